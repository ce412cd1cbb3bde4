"""The Redis protocol on top of the store: every logical database, or every slot of one, is an entity."""
