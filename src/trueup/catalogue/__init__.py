"""Items, kits and locations: what can be sold, and where it lies."""
