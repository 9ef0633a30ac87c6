"""Generative models of molecules: what proposers draw from."""
