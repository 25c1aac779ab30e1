"""Time two commits against each other, each built in a worktree of its own, in turns.

python benchmarks/compare_commits.py BASE [HEAD] [--rounds 5] [--small] [--bits] [--keep FOLDER]

For every task: seconds of BASE, and the ratio HEAD / BASE of its median, and of each round the least and the largest.
Machines change speed from minute to minute, so every round runs both commits, and only ratios count; a ratio whose
rounds lie on both sides of 1 says nothing. HEAD is the committed state, unless given. ``--bits`` also compares what
``tests/stress/fixed_fits.py`` gives, the one beside this script. ``--keep`` builds in a folder that is not removed, so
that the next comparison compiles only what differs.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parent.parent
FIXED_FITS = ROOT / "tests" / "stress" / "fixed_fits.py"


def tasks(n, d):
    """(name, callable) of what is timed, through public names only, so that it runs on any commit."""
    import numpy as np

    from sklearn_zipml import DoubleSamplingQuantizer, PackedMatrix, ZipMLLSSVC, ZipMLRegressor

    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, d), dtype=np.float32)
    y = X @ rng.standard_normal(d) + rng.standard_normal(n)
    packed = {bits: DoubleSamplingQuantizer(bits, random_state=0).fit_transform(X) for bits in (2, 4, 8)}
    few = {"random_state": 0, "max_iter": 3, "tol": 0}
    for bits, matrix in packed.items():
        yield f"pack to {bits} bits", lambda bits=bits: DoubleSamplingQuantizer(bits, random_state=0).fit_transform(X)
        for solver in ("saga", "sgd"):
            model = ZipMLRegressor(bits, solver=solver, **few)
            yield f"3 epochs of {solver} at {bits} bits", lambda model=model, matrix=matrix: model.fit(matrix, y)
    yield "fit to the end at 4 bits", lambda: ZipMLRegressor(4, random_state=0).fit(packed[4], y)
    yield "16 targets at 4 bits", lambda: ZipMLRegressor(4, **few).fit(packed[4], np.tile(y[:, None], 16))
    yield "classify at 2 bits", lambda: ZipMLLSSVC(2, **few).fit(packed[2], y > 0)
    yield "partial_fit", lambda: ZipMLRegressor(8, random_state=0).partial_fit(X[: n // 4], y[: n // 4])
    yield "requantize 8 to 4 bits", lambda: packed[8].requantize(4, random_state=0)
    yield "take half the rows", lambda: packed[4][np.arange(0, n, 2)].nbytes
    yield "pack in chunks", lambda: PackedMatrix.from_chunks(X, sample_bits=4, random_state=0)
    model = ZipMLRegressor(4, **few).fit(packed[4], y)
    yield "predict packed rows", lambda: model.predict(packed[4])


def measure(small):
    """Print the seconds of every task, the best of three, as JSON."""
    import warnings

    warnings.simplefilter("ignore")  # of convergence: few epochs are timed
    found = {}
    for name, call in tasks(*((4000, 60) if small else (60_000, 500))):
        seconds = []
        for _ in range(3):
            start = time.perf_counter()
            call()
            seconds.append(time.perf_counter() - start)
        found[name] = min(seconds)
    print(json.dumps(found))


def python(worktree, *arguments):
    """What a Python script prints with the package of a worktree."""
    # one thread: what several take depends on what else runs
    environment = os.environ | {"PYTHONPATH": str(worktree), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-P", *map(str, arguments)]
    return subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout


def git(*arguments):
    """What git prints in this repository."""
    return subprocess.run(["git", *arguments], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def build_in(commit, folder):
    """Check a commit out into a worktree and compile its modules."""
    if folder.exists():
        subprocess.run(["git", "checkout", "--quiet", "--detach", commit], cwd=folder, check=True)
    else:
        git("worktree", "add", "--quiet", "--detach", str(folder), commit)
    jobs = str(os.cpu_count() or 1)
    command = [sys.executable, "setup.py", "--quiet", "build_ext", "--inplace", "-j", jobs]
    build = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if build.returncode:
        sys.exit(f"{commit} does not build:\n{build.stdout}")


def compare_speed(worktrees, rounds, small):
    """Print the table of ratios."""
    script = [__file__, "--measure", *(["--small"] if small else [])]
    found = []
    for k in range(rounds):
        turn = worktrees if k % 2 == 0 else worktrees[::-1]  # neither commit is always the first
        by_worktree = {worktree: json.loads(python(worktree, *script)) for worktree in turn}
        found.append([by_worktree[worktree] for worktree in worktrees])
    width = max(map(len, found[0][0]))
    print(f"{'task':{width}}  base, s  head/base  least  largest")
    for name in found[0][0]:
        base, head = ([pair[k][name] for pair in found] for k in (0, 1))
        ratios = [b / a for a, b in zip(base, head, strict=True)]
        numbers = f"{median(base):7.3f}  {median(ratios):9.2f}  {min(ratios):5.2f}  {max(ratios):7.2f}"
        print(f"{name:{width}}  {numbers}")


def compare_bits(worktrees):
    """Print the fits that differ; whether there are none."""
    base, head = (python(worktree, FIXED_FITS).splitlines() for worktree in worktrees)
    different = [f"{a} != {b}" for a, b in zip(base, head, strict=True) if a != b]
    print(*different, f"{len(base) - 1} results, {'all the same' if not different else 'some differ'}", sep="\n")
    return not different


def main():
    """Build, compare, and clean up."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("base", nargs="?")
    parser.add_argument("head", nargs="?", default="HEAD")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--bits", action="store_true")
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        measure(options.small)
        return
    if options.base is None:
        parser.error("name the commit to compare with, such as main")
    commits = [git("rev-parse", f"{name}^{{commit}}") for name in (options.base, options.head)]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) if options.keep is None else options.keep.resolve()
        worktrees = [folder / name for name in ("base", "head")]
        try:
            for commit, worktree in zip(commits, worktrees, strict=True):
                build_in(commit, worktree)
            same = not options.bits or compare_bits(worktrees)
            compare_speed(worktrees, options.rounds, options.small)
        finally:
            for worktree in worktrees:
                if options.keep is None and worktree.exists():
                    git("worktree", "remove", "--force", str(worktree))
    sys.exit(not same)


if __name__ == "__main__":
    main()
