"""Acquisition functions: what asking a candidate would be worth."""
