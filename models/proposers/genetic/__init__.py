"""A genetic algorithm over molecular graphs."""
