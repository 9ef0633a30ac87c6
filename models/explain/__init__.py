"""What a fitted surrogate says of the oracle: sensitivities, dependence on one parameter, and predictions on demand."""
