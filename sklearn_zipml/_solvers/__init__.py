"""The optimisation problem of a fit and the methods that minimise it."""
