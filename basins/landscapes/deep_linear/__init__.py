"""A deep linear network with the square loss: problem, gradient, strata, certificates."""
