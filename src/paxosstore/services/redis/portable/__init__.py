"""Keys of any kind in pieces of bounded size, independent of how they lie here: what exports and imports carry."""
