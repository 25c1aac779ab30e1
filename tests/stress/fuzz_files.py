"""Read damaged and hostile files: no crash, no hang, no memory beyond the file's size and a constant.

Run: python tests/stress/fuzz_files.py [--mutations 10000] [--seed 0]

Half of the mutations change bytes blindly; the other half change metadata or sections and repair the checksums, as an
attacker would. A file that is accepted is used: decoded, selected from, requantized, trained on. With sanitizers:

    tests/stress/sanitize address tests/stress/fuzz_files.py --mutations 2000

The exit code is 1 if anything else than a ValueError came.
"""

import argparse
import json
import pathlib
import random
import signal
import sys
import tempfile
import traceback
import tracemalloc
import warnings
import zlib

import numpy as np

from sklearn_zipml import PackedMatrix, ZipMLRegressor
from sklearn_zipml._storage.file_writer import HEADER, MAGIC

CONSTANT = 32 << 20
SECONDS = 20
NUMBERS = [
    -1,
    0,
    1,
    2,
    63,
    64,
    255,
    256,
    2**31,
    2**32,
    2**61,
    2**62,
    2**63,
    2**64,
    10**30,
    0.5,
    None,
    True,
    "x",
    [],
    {},
]


def good_files():
    """Bytes of small files of every width, of several samplings, with weights, and of taken rows."""
    rng = np.random.default_rng(0)
    kinds = ((1, "naive", 2), (2, "double", 2), (4, "compensated", 2), (6, "double", 2), (8, "compensated", 2))
    for bits, sampling, n_draws in (*kinds, (4, "double", 5), (7, "double", 3)):
        X = rng.standard_normal((130, 7))
        settings = {"sample_bits": bits, "sampling": sampling, "n_draws": n_draws, "random_state": 0}
        packed = PackedMatrix.from_chunks(X, X.sum(axis=1), **settings)
        yield saved(packed)
    X = rng.standard_normal((600, 9))
    for bits in (2, 3):  # with outliers and known dither
        yield saved(PackedMatrix.from_chunks(X, X.sum(axis=1), sample_bits=bits, random_state=0))
    yield saved(PackedMatrix.from_chunks(X, sample_weight=np.ones(600), sample_bits=4, random_state=0))
    X = rng.standard_normal((130, 67))  # rows of 64 bytes or more, taken, list their order
    yield saved(PackedMatrix.from_chunks(X, X.sum(axis=1), sample_bits=8, random_state=0)[5:])


def saved(packed):
    """Bytes of the file of a container."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "good"
        packed.save(path)
        return path.read_bytes()


def blind(content, rng):
    """Flip, overwrite, cut, extend, move or clear bytes."""
    content = bytearray(content)
    for _ in range(rng.randint(1, 4)):
        at, length = rng.randrange(len(content) + 1), rng.choice([1, 2, 4, 8, 64, 500])
        what = rng.randrange(6)
        if what == 0 and at < len(content):
            content[at] ^= 1 << rng.randrange(8)
        elif what == 1:
            content[at : at + length] = rng.randbytes(length)
        elif what == 2:
            del content[at:]
        elif what == 3:
            content[at:at] = rng.randbytes(length)
        elif what == 4:
            content[at : at + length] = bytes(length)
        else:
            source = rng.randrange(len(content) + 1)
            content[at : at + length] = content[source : source + length]
    return bytes(content)


def clever(content, rng):
    """Change metadata or the bytes of a section, and repair the checksums."""
    _, version, _, _, offset, length, _ = HEADER.unpack(content[: HEADER.size])
    body, metadata = bytearray(content[HEADER.size : offset]), json.loads(content[offset : offset + length])
    in_sections, in_metadata = rng.choice([(1, 0), (3, 0), (0, 1), (0, 3), (1, 1)])
    for section in rng.choices(list(metadata["sections"].values()), k=in_sections):
        start, count = section["offset"] - HEADER.size, rng.choice([1, 2, 4, 8, 100])
        start += rng.randrange(max(1, min(200, len(body) - start)))
        body[start : start + count] = rng.randbytes(len(body[start : start + count]))
    for _ in range(in_metadata):
        change(metadata, rng)
    for section in metadata["sections"].values() if isinstance(metadata.get("sections"), dict) else ():
        repair(section, bytes(body))
    text = json.dumps(metadata).encode()
    if rng.random() < 0.05:
        text = blind(text, rng)
    fields = (MAGIC, version, zlib.crc32(text), HEADER.size + len(body) + len(text), HEADER.size + len(body), len(text))
    header = HEADER.pack(*fields, 0)
    return HEADER.pack(*fields, zlib.crc32(header[:-4])) + bytes(body) + text


def change(value, rng):
    """Change something inside nested dicts and lists."""
    keys = list(value) if isinstance(value, dict) else list(range(len(value)))
    if not keys:
        return
    key = rng.choice(keys)
    if isinstance(value[key], (dict, list)) and rng.random() < 0.9:
        change(value[key], rng)
    elif rng.random() < 0.1:
        del value[key]
    elif isinstance(value[key], int) and rng.random() < 0.5:
        value[key] += rng.choice([-64, -1, 1, 64])
    else:
        value[key] = rng.choice([*NUMBERS, "|u1", "<f8", "<U1", "|O", "optimal", "double", "float32"])


def repair(section, body):
    """Give a section the checksum of the bytes it names."""
    try:
        size = np.dtype(section["dtype"]).itemsize * int(np.prod(section["shape"], dtype=object))
        start = section["offset"] - HEADER.size
        section["crc32"] = zlib.crc32(body[start : start + size])
    except (TypeError, ValueError, KeyError, OverflowError, MemoryError):
        return  # nothing that a checksum could be taken of


def use(packed):
    """What a user would do with a file."""
    np.asarray(packed)
    packed[[0, -1, 5 % len(packed)]]
    if packed.sample_bits > 2 and packed.n_draws <= 2:
        packed.requantize(2, random_state=0)
    y = np.arange(float(len(packed)))
    ZipMLRegressor(packed.sample_bits, max_iter=3, random_state=0).fit(packed, y).predict(packed)


def attempt(path, size):
    """Read one file; whether it was accepted. Raises for anything but a clean refusal."""
    tracemalloc.reset_peak()
    before = tracemalloc.get_traced_memory()[0]
    try:
        packed = PackedMatrix.load(path, mmap=size % 2 == 0)
    except ValueError:
        packed = None
    allocated = tracemalloc.get_traced_memory()[1] - before
    if allocated > size + CONSTANT:
        raise MemoryError(f"{allocated} bytes allocated for a file of {size}")
    if packed is None:
        return False
    try:
        use(packed)
    except ValueError:
        return True  # refused later, with a message
    return True


def main():
    """Run all mutations."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mutations", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    rng, files = random.Random(options.seed), list(good_files())
    accepted = failures = 0
    tracemalloc.start()
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "mutated"
        for k in range(options.mutations):
            content = rng.choice((blind, clever))(rng.choice(files), rng)
            path.unlink(missing_ok=True)  # maps of the last one must not change
            path.write_bytes(content)
            signal.alarm(SECONDS)  # a hang ends the process
            try:
                accepted += attempt(path, len(content))
            except Exception:  # counted and shown: the run is to go on
                failures += 1
                print(f"mutation {k}:\n{traceback.format_exc()}", file=sys.stderr)
            signal.alarm(0)
    print(f"{options.mutations} mutations: {accepted} accepted and used, {failures} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
