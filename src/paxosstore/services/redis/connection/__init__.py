"""One client: its transport, where its commands go, and the order in which they take effect and are answered."""
