"""The command line: pack, info, fit, predict, score and bench.

Exit codes: 0 for success, 1 for data that cannot be used (one line on stderr says why), 2 for wrong arguments, 130 when
interrupted. With --json, stdout is one JSON object.
"""

from .main import main

__all__ = ["main"]
