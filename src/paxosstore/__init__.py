"""PaxosStore: a replicated, strongly consistent store that never elects a leader."""
