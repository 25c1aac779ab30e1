"""Runs a command and prints what it found, or why it cannot."""

import json
import sys

from .parser import parser
from .shown import table


def main(arguments=None):
    """Run a command.

    Parameters
    ----------
    arguments : list of str or None, default=None
        Those of the process, if None.

    Returns
    -------
    int
        Exit code.
    """
    options = parser().parse_args(arguments)
    try:
        result = options.run(options)
    except (ValueError, TypeError, OSError, ImportError, MemoryError) as error:
        text = " ".join(str(error).split()) or type(error).__name__
        print(f"{options.prog}: {text}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    if result is not None:
        print(json.dumps(result) if options.json else table(result))
    return 0
