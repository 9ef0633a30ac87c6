"""Models of the oracle with uncertainty."""
