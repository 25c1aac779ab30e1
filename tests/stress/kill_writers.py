"""Kill processes while they save or append: the old file or the new one must be there, whole.

Run: python tests/stress/kill_writers.py [--times 50] [--rows 200000]

Each writer is killed (SIGKILL) at a random moment of the time that one needs, from the opening of its file on.
"""

import argparse
import pathlib
import random
import subprocess
import sys
import tempfile
import time

import numpy as np

from sklearn_zipml import PackedMatrix

WRITER = """
import sys, numpy as np
from sklearn_zipml import PackedMatrix
what, path, source = sys.argv[1:]
packed, X = PackedMatrix.load(source), np.zeros((5000, 64), dtype=np.float32)
print("ready", flush=True)
sys.stdin.readline()
packed.save(path) if what == "save" else PackedMatrix.append(path, X, np.zeros(len(X)), random_state=0)
print("done", flush=True)
"""


def write(what, path, source, seconds=None):
    """Run a writer; kill it after some seconds, or wait and return how many it needed."""
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, what, path, source], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:
        process.stdout.readline()
        start = time.perf_counter()
        process.stdin.write("\n")
        process.stdin.flush()
        if seconds is None:
            process.stdout.readline()
            return time.perf_counter() - start
        time.sleep(seconds)
        process.kill()
        return None


def main():
    """Kill writers and check what they left."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=50)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng, failures, new = random.Random(options.seed), 0, 0
    data = np.random.default_rng(0).standard_normal((options.rows, 64), dtype=np.float32)
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        path, sources = folder / "data.zq", [folder / "one.zq", folder / "two.zq"]
        for k, source in enumerate(sources):
            PackedMatrix.from_chunks(data * (k + 1), data[:, 0], random_state=k).save(source)
        for what in ("save", "append"):
            path.write_bytes(sources[0].read_bytes())
            needed = write(what, path, sources[1])
            after = path.read_bytes()
            for _ in range(options.times):
                path.write_bytes(before := sources[0].read_bytes())
                write(what, path, sources[1], rng.uniform(0, 1.2 * needed))
                content = path.read_bytes()
                PackedMatrix.load(path, verify=True)
                failures += content not in (before, after)
                new += content == after
            print(f"{what}: {options.times} kills within {1.2 * needed:.3f} s, {new} left the new file")
            new = 0
    print(f"{failures} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
