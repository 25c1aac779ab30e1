"""Random settings of a fit: anything that is allowed, penalties over 20 decades."""

from dataclasses import dataclass, field

import numpy as np

from sklearn_zipml import ZipMLLSSVC, ZipMLRegressor

L1_WORK = 2e8  # beyond, coordinate descent in float64 takes too long


@dataclass
class Settings:
    """How problem K is fitted. alpha is the l2 and l1 penalty together, for the classifier 1 / (C * total weight)."""

    alpha: float
    l1_ratio: float
    packed: bool  # whether the rows are packed first, or by fit
    params: dict = field(default_factory=dict)
    levels: dict = field(default_factory=dict)  # sample_bits, sampling, levels, n_draws
    class_weight: str | None = None

    @property
    def is_exact(self):
        """Whether nothing is compensated, by the documentation."""
        return self.levels["sample_bits"] is None or self.levels["sampling"] in ("naive", "nearest")

    def model(self, data, total, seed):
        """Unfitted estimator."""
        params = {**self.params, **self.levels, "l1_ratio": self.l1_ratio, "random_state": seed}
        if data.classifier:
            return ZipMLLSSVC(C=1 / (self.alpha * total), class_weight=self.class_weight, **params)
        return ZipMLRegressor(alpha=self.alpha, **params)

    def __str__(self):
        shown = {
            k: v for k, v in {**self.levels, **self.params}.items() if (k, v) not in (("n_draws", 2), ("tol", 1e-4))
        }
        listed = ", ".join(f"{name}={value!r}" for name, value in shown.items())
        l1 = f" l1_ratio={self.l1_ratio}" if self.l1_ratio else ""
        return f"alpha={self.alpha:.3g}{l1} {listed}{' packed' if self.packed else ''} {self.class_weight or ''}"


def random_settings(rng, data, share):
    """Anything that is allowed."""
    bits = [None, None, 1, 2, 3, 4, 4, 5, 6, 7, 8][rng.integers(11)]
    sampling = str(rng.choice(["auto", "compensated", "double", "naive", "nearest"]))
    if sampling == "double" and bits == 1:
        bits = 2
    many = sampling == "double" and (bits or 0) > 2 and rng.random() < 0.3
    levels = {"sample_bits": bits, "sampling": sampling, "levels": str(rng.choice(["optimal", "uniform"]))}
    levels["n_draws"] = 3 if many else 2
    params = {"fit_intercept": bool(rng.random() < 0.7)}
    if rng.random() < 0.25:
        params["tol"] = float(rng.choice([1e-2, 1e-6, 1e-8]))
    if rng.random() < 0.1:
        params["solver"] = str(rng.choice(["saga", "sgd"]))
    if rng.random() < 0.04:
        params[str(rng.choice(["model_bits", "gradient_bits"]))] = int(rng.choice([1, 2, 4, 8]))
    alpha, l1_ratio = random_penalty(rng, data, share, params["fit_intercept"])
    balanced = "balanced" if data.classifier and rng.random() < 0.15 else None
    return Settings(alpha, l1_ratio, bool(rng.random() < 0.6), params, levels, balanced)


def random_penalty(rng, data, share, centred):
    """alpha and l1_ratio: none, the default, or 20 decades around the variance; or l1, up to what leaves nothing."""
    X = data.X.astype(np.float64)
    X -= share @ X if centred else 0.0
    if data.work() <= L1_WORK and rng.random() < 0.15:
        y = targets_of(data)[:, 0]
        largest = np.abs(X.T @ (share * (y - (share @ y if centred else 0.0)))).max()
        l1_ratio = float(rng.choice([0.1, 0.5, 0.9, 1.0]))
        return float(max(largest * 10 ** rng.uniform(-4, 0.3) / l1_ratio, np.finfo(float).tiny)), l1_ratio
    kind = rng.random()
    if kind < 0.12 and not data.classifier:
        return 0.0, 0.0
    if kind < 0.24:
        return 1e-4, 0.0
    variance = share @ X**2
    variance = variance[variance > 0] if variance.any() else np.ones(1)
    size = variance.max() if rng.random() < 0.5 else np.median(variance)
    return float(size * 10 ** rng.uniform(-12, 8)), 0.0


def targets_of(data):
    """Targets as float64 (n, outputs), labels as -1 and 1, one column a class; a class alone is -1."""
    if not data.classifier:
        return data.y.astype(np.float64).reshape(len(data.y), -1)
    classes = np.unique(data.y)
    if len(classes) == 1:
        return np.full((len(data.y), 1), -1.0)
    return np.where(data.y[:, None] == (classes[1:] if len(classes) == 2 else classes), 1.0, -1.0)
