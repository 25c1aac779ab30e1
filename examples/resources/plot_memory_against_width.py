"""
Memory against width
====================

What a packed matrix takes, everything included: codes, level tables and statistics of the columns. Codes are stored in
1, 2, 4 or 8 bits, so that a register decodes whole groups: 3 bits take the room of 4, and 5 to 7 that of 8.
"""

import matplotlib.pyplot as plt
import numpy as np

from sklearn_zipml import DoubleSamplingQuantizer

X = np.random.default_rng(0).standard_normal((20_000, 200), dtype=np.float32)
packed = DoubleSamplingQuantizer(sample_bits=8, random_state=0).fit_transform(X)
sizes = {f"{bits} bits": packed.requantize(bits, random_state=0).nbytes for bits in (1, 2, 3, 4, 6)}
sizes |= {"8 bits": packed.nbytes, "float32": X.nbytes, "float64": 2 * X.nbytes}
for name, size in sizes.items():
    print(f"{name:>8}: {size / 2**20:6.2f} MiB, {X.nbytes / size:4.1f}x smaller than float32")

# %%
figure, axis = plt.subplots(figsize=(7, 3.8), layout="constrained")
colors = ["C0" if name.endswith("bits") else "0.7" for name in sizes]
bars = axis.barh(list(sizes), [size / 2**20 for size in sizes.values()], color=colors)
axis.bar_label(bars, [f"{size * 8 / X.size:.2f} bits a value" for size in sizes.values()], padding=4)
axis.invert_yaxis()
axis.set(xlabel="MiB", xlim=(0, 44), title="20,000 rows of 200 columns")
plt.show()
