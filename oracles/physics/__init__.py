"""Physics simulators of our own, whose answers are known exactly somewhere."""
