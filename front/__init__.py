"""Theoros: an active-learning engine for scientists whose samples are expensive to label.

This is the front door: it re-exports what users write most often and imports nothing heavy. The rooms of the house
are `theoros.oracles`, `theoros.models`, `theoros.db`, `theoros.workers` and `theoros.orchestrator`.
"""
