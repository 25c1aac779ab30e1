#!/usr/bin/env python
"""Bad input to every public callable: `bad_input.py [--cases N] [--jobs J] [--seconds S] [--only TEXT]`.

One argument or setting, later two, of a call with good ones is replaced by each value of bad_values.py. The call either
works and gives finite results, or raises TypeError, ValueError (NotFittedError is one), or OSError about a path, with a
message that names the parameter or the value; and what it was called on, its arguments and files are then as they were.
No warning about arithmetic comes out, and nothing takes 10 seconds. Cases are the same in every run.
"""

import argparse
import contextlib
import io
import os
import pickle
import re
import signal
import sys
import tempfile
import time
import warnings
from concurrent.futures import ProcessPoolExecutor
from itertools import islice
from multiprocessing import get_context

import joblib
import numpy as np
from bad_calls import calls
from bad_values import ARRAYS, OF_NONE, SCALARS

SECONDS = 10
# Words of scikit-learn's own messages about data, which name no parameter.
ABOUT_DATA = (
    "array|sample|feature|dtype|sparse|float|numeric|label|class|target|row|column|weights|shape|NaN|data|length|fitted|"
    "dimension|splits"
)
DATA = ("cv", "path", "X", "y", "sample_weight", "source", "classes", "codes", "values", "indices", "key", "groups")
# Parameters that many things may be given for, or that are ignored; finite results are asked for all the same.
OPEN = {
    "target",
    "columns",
    "header",
    "scoring",
    "cv",
    "groups",
    "key",
    "path",
    "mmap",
    "name",
    "score_name",
    "verbose",
}


class TooLong(BaseException):
    """A call that goes on for SECONDS."""


# Cases: (call, [(parameter, name of the value, make)])


def replacements(call, parameter):
    """What to try for one parameter: both kinds of values for arrays, arrays for data."""
    if parameter in call.settings:
        return SCALARS
    if isinstance(call.arguments[parameter], np.ndarray):
        return ARRAYS + SCALARS
    return ARRAYS if parameter in DATA else SCALARS


def single_cases(every):
    for call in every:
        for parameter in call.parameters:
            for name, make in replacements(call, parameter):
                yield call, [(parameter, name, make)]


def double_cases(every):
    """Two at once, drawn for ever."""
    rng = np.random.default_rng(0)
    every = [call for call in every if len(call.parameters) > 1]
    while True:
        call = every[rng.integers(len(every))]
        bad = []
        for k in rng.permutation(len(call.parameters))[:2]:
            values = replacements(call, call.parameters[k])
            bad.append((call.parameters[k], *values[rng.integers(len(values))]))
        yield call, bad


def all_cases(folder):
    """Every single one, in an order of no meaning so that a part stands for all, then pairs without end."""
    every = list(calls(folder))
    singles = list(single_cases(every))
    for k in np.random.default_rng(0).permutation(len(singles)):
        yield singles[k]
    yield from double_cases(every)


def label(call, bad):
    return f"{call.name}({', '.join(f'{parameter}={name}' for parameter, name, _ in bad)})"


# Judging


def state_of(call, subject, arguments):
    """What a call that fails must leave: attributes, arguments and files. Settings are what they were if they are."""
    own = dict(vars(subject)) if hasattr(subject, "__dict__") else subject
    if isinstance(own, dict):
        own |= {name: id(own[name]) for name in call.settings if name in own}
    arrays = {name: value for name, value in arguments.items() if type(value) is np.ndarray and value.dtype != object}
    return pickle.dumps((own, arrays)), [file.read_bytes() for file in call.files]


def is_open(call, parameter):
    """Whether a call may take anything for a parameter; transformers have a y that they ignore."""
    return parameter in OPEN or (parameter == "y" and "DoubleSamplingQuantizer" in call.name)


def is_finite(result):
    """Whether the numbers of a result are."""
    values = (result, getattr(result, "coef_", None), getattr(result, "intercept_", None))
    floats = [np.asarray(value) for value in values if isinstance(value, np.ndarray | float)]
    return all(np.isfinite(value).all() for value in floats if value.dtype.kind == "f")


def names_it(error, bad):
    """Whether a message tells what is wrong with what."""
    message = str(error)
    inside = [word for _, name, _ in bad for word in re.findall(r"^np\.\w+\((.+)\)$", name)]  # the 4 of np.int64(4)
    words = [word for parameter, name, _ in bad for word in (parameter, name.strip("'\""))]
    known = [re.escape(word) for word in words + inside if word]
    if any(re.search(rf"(?<![A-Za-z]){word}(?![A-Za-z])", message) for word in known):
        return True
    if "not the parts of a PackedMatrix: " in message:  # of a state, whose parts may each be good
        return True
    about_data = any(parameter in DATA for parameter, *_ in bad)
    return (about_data or "fitted" in message) and re.search(ABOUT_DATA, message, re.IGNORECASE) is not None


def wrong_with(error, bad):
    """What is wrong with an error, or None."""
    if any(parameter in ("scoring", "source") and name.startswith("<") for parameter, name, _ in bad):
        return None  # a function that the caller gives, which fails
    if isinstance(error, OSError) and {"path", "source", "y", "sample_weight"} & {parameter for parameter, *_ in bad}:
        return None if str(error) else "an OSError that says nothing"
    about_rows = bool({"key", "indices"} & {parameter for parameter, *_ in bad})
    allowed = (TypeError, ValueError, OSError, *([IndexError] if about_rows else []))
    if not isinstance(error, allowed) or isinstance(error, np.linalg.LinAlgError | UnicodeError):
        return f"{type(error).__name__}: {error}"
    return None if names_it(error, bad) else f"says too little: {type(error).__name__}: {error}"


def judge(call, bad):
    """What is wrong with one case, or None."""
    settings, arguments = {}, dict(call.arguments)
    for parameter, _, make in bad:
        good = call.arguments.get(parameter)
        value = make(good if isinstance(good, np.ndarray) else np.ones((40, 3)))
        (settings if parameter in call.settings else arguments)[parameter] = value
    subject = call.subject(**settings)
    before = state_of(call, subject, arguments)
    try:
        result = call.invoke(subject, **arguments)
    except TooLong:
        return f"takes more than {SECONDS} s"
    except Exception as error:
        wrong = wrong_with(error, bad)
        if wrong is None and state_of(call, subject, arguments) != before:
            wrong = f"state changed by {type(error).__name__}: {error}"
        return wrong
    if any(name in OF_NONE and not is_open(call, parameter) for parameter, name, _ in bad):
        return "accepted"
    # scores are scikit-learn's, and so is what they make of targets of 1e300
    return None if is_finite(result) or call.name.endswith(".score") else "not finite"


def watched(call, bad):
    """`judge` with warnings about arithmetic as errors, quiet and timed."""

    def stop(*_):
        raise TooLong

    previous = signal.signal(signal.SIGALRM, stop)
    try:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", RuntimeWarning)
            warnings.filterwarnings("ignore", module=r"sklearn\.", category=RuntimeWarning)  # of its own arithmetic
            signal.alarm(SECONDS)
            return judge(call, bad)
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, previous)


# Running


def run(job, given):
    """(cases, failures) of every `jobs`-th case."""
    end = time.monotonic() + given.seconds
    done = failures = 0
    place = tempfile.TemporaryDirectory()
    with place as folder, contextlib.chdir(folder), joblib.parallel_config("threading"):
        for call, bad in islice(all_cases(folder), job, given.cases, given.jobs):
            if given.only not in label(call, bad):
                continue
            if time.monotonic() > end:
                break
            done += 1
            wrong = watched(call, bad)
            if wrong:
                failures += 1
                print(f"{label(call, bad)}: {wrong[:300]}", flush=True)
    return done, failures


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=60_000, help="some 52,000 are single ones")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--seconds", type=float, default=3600, help="no case is begun later")
    parser.add_argument("--only", default="", help="cases whose name holds this text")
    given = parser.parse_args()
    with ProcessPoolExecutor(given.jobs, mp_context=get_context("spawn")) as pool:
        counts = list(pool.map(run, range(given.jobs), [given] * given.jobs))
    done, failures = map(sum, zip(*counts, strict=True))
    print(f"{done} cases, {failures} failures")
    return failures > 0


if __name__ == "__main__":
    sys.exit(main())
