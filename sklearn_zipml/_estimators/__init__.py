"""The public estimators: parameters, validation, and what surrounds a fit."""
