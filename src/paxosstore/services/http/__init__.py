"""What a node tells over HTTP: health, status, metrics, and the log of one entity. Read-only."""
