"""Gates: what a molecule must pass before it may be asked. Each says why it turns a molecule away."""
