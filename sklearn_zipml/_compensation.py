"""How much of the rounding variance may be subtracted from a stored sample (DESIGN section 2).

The bias of the second-moment matrix of one stored draw is the known diagonal D. The noise of a finite sample is not
exactly D, though: subtracting all of it can leave a matrix with negative eigenvalues, so tau D is subtracted.
"""

import numpy as np


def shrinkage(problem):
    """tau in [0, 1] such that H - tau D stays positive definite.

    Returns
    -------
    float
    """
    noise = problem.variance * problem.unit**2
    noisy = noise > 1e-12 * max(noise.max(initial=0), 1e-300)
    if not noise.any():
        return 0.0
    edge = max(0.0, 1 - np.sqrt(noisy.sum() / problem.n)) ** 2
    if edge == 0:
        return 0.0
    return min(edge, max(0.0, 0.9 * smallest_ratio(problem, noise, noisy)))


def smallest_ratio(problem, noise, noisy):
    """Smallest generalized eigenvalue of (H, D): min over x of x'Hx / x'Dx."""
    if problem.is_dense_cheap():
        return dense_ratio(problem.dense_curvature(), noise, noisy)
    return iterative_ratio(problem.curvature, noise)


def dense_ratio(gram, noise, noisy):
    """The same from the dense matrix; columns without noise are eliminated first."""
    clean = ~noisy & (np.diag(gram) > 0)
    reduced = gram[np.ix_(noisy, noisy)]
    if clean.any():
        cross = gram[np.ix_(noisy, clean)]
        own = gram[np.ix_(clean, clean)]
        ridge = 1e-9 * np.trace(own) / len(own)
        reduced = reduced - cross @ np.linalg.solve(own + ridge * np.eye(len(own)), cross.T)
    scale = np.sqrt(noise[noisy])
    return float(np.linalg.eigvalsh(reduced / scale[:, None] / scale)[0])


def iterative_ratio(curvature, noise, iterations=40, tolerance=0.02):
    """The same by a locally optimal conjugate gradient descent of the quotient, for wide matrices.

    Every iterate is an upper bound; the search ends when the bound stops falling.
    """
    rng = np.random.default_rng(0)
    x = rng.standard_normal(len(noise)) * (noise > 0)
    hx = curvature(x)
    direction = h_direction = None
    value = np.inf
    for _ in range(iterations):
        quotient = (x @ hx) / (x @ (noise * x))
        if value - quotient < tolerance * abs(quotient) / 4 and np.isfinite(value):
            return min(value, quotient)
        value = quotient
        residual = hx - value * noise * x
        norm = np.linalg.norm(residual)
        if norm == 0:
            return value
        residual = residual / norm
        basis, images = [x, residual], [hx, curvature(residual)]
        if direction is not None:
            basis.append(direction)
            images.append(h_direction)
        weights = _best_combination(np.array(basis), np.array(images), noise)
        direction = weights[1] * basis[1] + (weights[2] * basis[2] if len(basis) > 2 else 0)
        h_direction = weights[1] * images[1] + (weights[2] * images[2] if len(basis) > 2 else 0)
        x, hx = weights[0] * x + direction, weights[0] * hx + h_direction
        size = np.linalg.norm(x)
        x, hx = x / size, hx / size
        size = max(np.linalg.norm(direction), 1e-300)
        direction, h_direction = direction / size, h_direction / size
    return value


def _best_combination(basis, images, noise):
    """Coefficients of the combination of a few vectors with the smallest quotient."""
    h = basis @ images.T
    h = (h + h.T) / 2
    d = (basis * noise) @ basis.T
    # largest x'Dx / x'Hx: H is positive definite where D need not be
    values, vectors = np.linalg.eigh(h)
    keep = values > 1e-10 * values[-1]
    root = vectors[:, keep] / np.sqrt(values[keep])
    _, inner = np.linalg.eigh(root.T @ d @ root)
    return root @ inner[:, -1]
