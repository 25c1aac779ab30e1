"""
A file larger than memory
=========================

Rows of 384 MB, and a process that may take 200 MB for them. Read as floats they do not fit.
:meth:`~sklearn_zipml.PackedMatrix.from_chunks` reads a chunk at a time and keeps codes of 4 bits; the model is trained
on those.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

ROWS, COLUMNS, LIMIT = 400_000, 240, 200_000_000

folder = tempfile.TemporaryDirectory()
path = Path(folder.name)
rng = np.random.default_rng(0)
coefficients = rng.uniform(-1, 1, COLUMNS).astype(np.float32)
rows = np.lib.format.open_memmap(path / "rows.npy", "w+", np.float32, (ROWS, COLUMNS))
target = np.empty(ROWS, dtype=np.float32)
for start in range(0, ROWS, 20_000):
    X = rng.random((20_000, COLUMNS), dtype=np.float32)
    rows[start : start + 20_000] = X
    target[start : start + 20_000] = X @ coefficients + rng.standard_normal(20_000)
np.save(path / "target.npy", target)
del rows

# %%
# What runs under the limit is a process of its own. Linux counts its memory, but for files that it maps, and gives it
# 200 MB more than Python and its libraries hold. It tries to read all rows, which fails, and then packs and trains.
JOB = """
import json, sys
import numpy as np
from sklearn_zipml import PackedMatrix, ZipMLRegressor

path, limit = sys.argv[1], int(sys.argv[2])
if sys.platform == "linux":
    import resource
    held = next(int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith("VmData"))
    resource.setrlimit(resource.RLIMIT_DATA, (held + limit, held + limit))
try:
    np.load(path + "/rows.npy")
    refused = None
except MemoryError as error:
    refused = str(error)
packed = PackedMatrix.from_chunks(path + "/rows.npy", path + "/target.npy", sample_bits=4, random_state=0)
model = ZipMLRegressor(sample_bits=4, alpha=0, random_state=0).fit(packed)
print(json.dumps({"refused": refused, "packed": packed.nbytes, "coef": model.coef_.tolist()}))
"""
command = [sys.executable, "-c", JOB, path, str(LIMIT)]
done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=300)
told = json.loads(done.stdout)
print("np.load:", told["refused"] or "no limit on this system")
error = np.abs(told["coef"] - coefficients).max()
print(f"from_chunks and fit: {told['packed'] / 1e6:.0f} MB packed, coefficients of -1 to 1 are right to {error:.3f}")

# %%
# The packed rows are an eighth of the file. What else the process needs are some rows at a time, and sums that the fit
# keeps. Tables are read in chunks of 32 MB, which are held as floats beside that.
sizes = {"rows": ROWS * COLUMNS * 4, "limit": LIMIT, "packed, with target": told["packed"]}
figure, ax = plt.subplots(figsize=(7, 2.4), layout="constrained")
bars = ax.barh(list(sizes), [size / 1e6 for size in sizes.values()], color=["0.7", "C3", "C0"])
ax.bar_label(bars, fmt="%.0f MB", padding=4)
ax.invert_yaxis()
ax.set(xlabel="MB", xlim=(0, 1.15 * sizes["rows"] / 1e6), title="What fits")
plt.show()

folder.cleanup()
