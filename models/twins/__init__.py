"""Twins: generative surrogates, which draw answers as the oracle would give them, noise included."""
