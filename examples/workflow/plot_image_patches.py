"""
Pixels of 8 bits
================

A linear model of a quarter of a million patches of a photograph: the colour of a pixel from the pixels around it. They
are bytes to begin with, and stay bytes, without loss; fewer bits are enough, too.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_sample_images
from sklearn.linear_model import Ridge

from sklearn_zipml import DoubleSamplingQuantizer, ZipMLRegressor

# %%
# All patches of five by five pixels and three colours. What is to be predicted is the middle one.
image = load_sample_images().images[0]
patches = np.lib.stride_tricks.sliding_window_view(image, (5, 5, 3)).reshape(-1, 25, 3)
target = patches[:, 12].astype(np.float64)
pixels = np.delete(patches, 12, axis=1).reshape(len(patches), -1)
print(pixels.shape, pixels.dtype)

# %%
# Trained on the upper half of the picture, and scored on the lower one.
half = len(pixels) // 2
full = Ridge().fit(pixels[:half].astype(np.float64), target[:half])
sizes = {"float64": 8 * pixels[:half].size / 1e6}
scores = {"float64": full.score(pixels[half:].astype(np.float64), target[half:])}
for bits in (8, 4, 2):
    packed = DoubleSamplingQuantizer(bits, random_state=0).fit_transform(pixels[:half])
    model = ZipMLRegressor(bits, alpha=1 / half, random_state=0).fit(packed, target[:half])
    sizes[f"{bits} bits"], scores[f"{bits} bits"] = packed.nbytes / 1e6, model.score(pixels[half:], target[half:])
    lossless = np.array_equal(packed[:1000], pixels[:1000])
    print(f"{bits} bits: R² {scores[f'{bits} bits']:.4f}, {packed.nbytes / 1e6:.1f} MB, lossless: {lossless}")

figure, axes = plt.subplots(1, 3, figsize=(10, 3.2), layout="constrained")
axes[0].imshow(image)
axes[0].set_axis_off()
axes[1].bar(list(scores), list(scores.values()))
axes[1].set(ylabel="R² of the lower half", ylim=(0.8, 1))
axes[2].bar(list(sizes), list(sizes.values()))
axes[2].set(ylabel="MB of training rows")
plt.show()
