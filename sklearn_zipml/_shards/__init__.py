"""Training on parts of the rows that lie apart: plain functions over packed parts, which know nothing of who calls."""
