"""Score, memory and levels as tables and pictures."""
