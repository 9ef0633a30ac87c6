"""What is believed: surrogates, acquisition functions, proposers and the decisions made from them."""
