"""Redis 7.0's own TCL suite against three nodes: `make redis-suite`. Nothing of it is kept here."""
