"""
Training on a Dask cluster
==========================

Partitions of a Dask collection are packed where they lie, and the model is the one that all rows in one piece would
give. Here the cluster is a thread of this process; with the address of a scheduler the rest is the same.
"""

# %%
# Rows in ten partitions, which nobody has read yet.

from dask import array as da
from distributed import Client

from sklearn_zipml import ZipMLRegressor
from sklearn_zipml.dask import DaskPackedMatrix, DaskZipMLRegressor

client = Client(processes=False, dashboard_address=":0")
rng = da.random.default_rng(0)
X = rng.normal(size=(50_000, 20), chunks=(5_000, 20))
y = X @ rng.normal(size=20) + rng.normal(size=50_000, chunks=5_000)

# %%
# The fit waits for its result. Predictions are lazy.

model = DaskZipMLRegressor(random_state=0, client=client).fit(X, y)
print(f"R2 {model.score(X, y):.4f}, {model.bytes_sent_} bytes exchanged by solver_={model.solver_!r}")
model.predict(X)

# %%
# The coefficients are those of all rows in one piece, to the bit.

rows, targets = client.gather(client.compute([X, y]))
local = ZipMLRegressor(random_state=0).partial_fit(rows, targets)
print("the same bits:", bool((local.coef_ == model.coef_).all()))

# %%
# For several fits the rows are packed once, and stay on the workers.

packed = DaskPackedMatrix.pack(X, y, random_state=0)
print(packed)
for alpha in (1e-4, 1e-1, 1e1):
    print(f"alpha {alpha:g}: R2 {DaskZipMLRegressor(alpha=alpha).fit(packed).score(X, y):.4f}")

# %%
# With very many columns the model and the gradient go back and forth, here in four bits a number.

few_bits = DaskZipMLRegressor(solver="rounds", model_bits=4, gradient_bits=4).fit(packed)
share = few_bits.bytes_sent_ / few_bits.float32_bytes_
print(f"R2 {few_bits.score(X, y):.4f} after {few_bits.n_iter_} rounds, {share:.2f} of the bytes of float32")

packed.release()
client.close()
