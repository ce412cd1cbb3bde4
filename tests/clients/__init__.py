"""Small real jobs of the clients that people use, against three real nodes of which one is killed. See `make clients`."""
