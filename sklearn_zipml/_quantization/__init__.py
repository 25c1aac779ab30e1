"""From rows of floats to packed rows: levels, rounding, streams of chunks, fewer bits."""
