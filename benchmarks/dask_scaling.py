"""What training on Dask costs: workers, rounds, bytes, and workers that die.

    python benchmarks/dask_scaling.py speed     one worker and two, and what peers take and hold
    python benchmarks/dask_scaling.py quality   rounds of few bits beside the local fit, and bytes on the wire
    python benchmarks/dask_scaling.py logistic  the same of logistic regression, beside its steps in float64
    python benchmarks/dask_scaling.py rounds    the cost of a round here, and of 64 workers on paper
    python benchmarks/dask_scaling.py kills     a worker killed at random moments of ten fits

Options: --rows, --columns and --dask-ml (of speed), --repeats.
"""

import argparse
import os
import signal
import threading
import time
import warnings
from contextlib import contextmanager

import numpy as np
from dask import array as da
from dask import config, delayed
from distributed import Client, LocalCluster, wait
from distributed.protocol import serialize_bytelist, to_serialize
from sklearn.exceptions import ConvergenceWarning

from sklearn_zipml import ZipMLLogisticRegression, ZipMLRegressor
from sklearn_zipml.dask import DaskPackedMatrix, DaskZipMLLogisticRegression, DaskZipMLRegressor

BANDWIDTH, LATENCY = 10e9 / 8, 1e-3  # of the paper cluster: 10 Gbit/s at the leader, a millisecond a message
WORKERS = (2, 8, 16, 64, 256)


@contextmanager
def cluster(workers):
    """A client of so many processes of one thread."""
    settings = {"threads_per_worker": 1, "processes": True, "dashboard_address": ":0", "silence_logs": 30}
    # a busy machine takes longer to start a worker anew than the cluster would wait before it gives it up
    waiting = config.set({"distributed.deploy.lost-worker-timeout": "120s"})
    with waiting, LocalCluster(n_workers=workers, memory_limit=0, **settings) as started, Client(started) as client:
        client.wait_for_workers(workers)
        client.run(__import__, "sklearn_zipml.dask")
        yield client


def chunk(number, rows, columns):
    """Rows of a partition, float32, and their targets."""
    rng = np.random.default_rng(number)
    X = rng.standard_normal((rows, columns), dtype=np.float32)
    X += 0.3 * X[:, :1]
    return X, X @ np.linspace(-1, 1, columns, dtype=np.float32) + rng.standard_normal(rows, dtype=np.float32)


def collection(client, rows, columns, parts):
    """X and y, persisted in equal partitions."""
    size = rows // parts
    pairs = [delayed(chunk, pure=False)(number, size, columns) for number in range(parts)]
    X = da.concatenate([da.from_delayed(pair[0], (size, columns), np.float32) for pair in pairs])
    y = da.concatenate([da.from_delayed(pair[1], (size,), np.float32) for pair in pairs])
    X, y = client.persist([X, y])
    wait([X, y])
    return X, y


def normal_equations(X, y):
    """Ridge regression by Dask's own products, in float32, centred by the means."""
    gram, cross, mean, level = da.compute(X.T @ X, X.T @ y, X.mean(axis=0), y.mean())
    n = len(X)
    gram = gram.astype(float) / n - np.outer(mean, mean) + 1e-4 * np.eye(len(gram))
    return np.linalg.solve(gram, cross / n - mean * level)


def dask_ml_fit(X, y):
    """LinearRegression of dask-ml, with its defaults but for the ridge penalty."""
    from dask_ml.linear_model import LinearRegression

    return LinearRegression(penalty="l2", C=1 / (1e-4 * len(X))).fit(X, y).coef_


def packed_bytes(client, X, y):
    """Memory of the shards, and the time of a fit that finds them there."""
    packed = DaskPackedMatrix.pack(X, y, client=client, random_state=0)
    start = time.perf_counter()
    DaskZipMLRegressor(client=client).fit(packed)
    took, size = time.perf_counter() - start, packed.nbytes
    packed.release()
    return took, size


def peers_here(with_dask_ml):
    """Names of peers, and their fits."""
    peers = {"plain Dask normal equations, float32": normal_equations}
    if not with_dask_ml:
        return peers
    try:
        __import__("dask_ml.linear_model")
        peers["dask-ml LinearRegression"] = dask_ml_fit
    except Exception as error:  # it may be there and not fit the Dask that is
        print(f"dask-ml is left out: {type(error).__name__}: {error}")
    return peers


def speed(rows, columns, repeats, with_dask_ml=False):
    """Times of one worker and two, interleaved with those of peers."""
    peers = peers_here(with_dask_ml)
    for workers in (1, 2):
        with cluster(workers) as client:
            X, y = collection(client, rows, columns, 16)
            times = {}
            for _ in range(repeats):
                start = time.perf_counter()
                DaskZipMLRegressor(random_state=0, client=client).fit(X, y)
                times.setdefault("DaskZipMLRegressor, packing included", []).append(time.perf_counter() - start)
                took, size = packed_bytes(client, X, y)
                times.setdefault("DaskZipMLRegressor, of packed shards", []).append(took)
                for name, fit in peers.items():
                    start = time.perf_counter()
                    fit(X, y)
                    times.setdefault(name, []).append(time.perf_counter() - start)
            print(
                f"{workers} worker(s), {rows} x {columns}: "
                f"float32 rows {X.nbytes / 1e6:.0f} MB, shards {size / 1e6:.0f}"
            )
            for name, taken in times.items():
                print(f"  {name:40} {min(taken):7.2f} s  (all: {' '.join(f'{t:.2f}' for t in taken)})")


def wire_bytes(thing):
    """Bytes that Dask sends for a thing, its headers included."""
    return sum(memoryview(frame).nbytes for frame in serialize_bytelist(to_serialize(thing)))


QUALITY = (
    # name, rows, columns, decay, factors, targets, whether there are weights
    ("Gaussian", 12_000, 1000, 0.0, 0, 1, False),
    ("decaying", 12_000, 1200, 1.0, 0, 1, False),
    ("wide", 3000, 5000, 0.5, 0, 1, False),
    ("one factor", 12_000, 1000, 0.0, 1, 1, False),
    ("ten factors", 12_000, 1000, 0.0, 10, 1, False),
    ("ten factors, weights", 12_000, 1000, 0.0, 10, 1, True),
    ("two factors, weights, three targets", 12_000, 1000, 0.0, 2, 3, True),
)


def quality(_rows, _columns, _repeats):
    """R² of rounds below that of the local fit, and bytes against float32."""
    from sklearn_zipml._shards.messages import encoded

    rng = np.random.default_rng(0)
    with cluster(2) as client:
        for name, n, d, decay, factors, targets, weighted in QUALITY:
            X = rng.standard_normal((n, d)) * np.arange(1, d + 1) ** -decay
            if factors:
                common = rng.standard_normal((n, factors)) @ rng.standard_normal((factors, d))
                X = 0.5 * X + common / np.sqrt(factors)
            y = X @ rng.standard_normal((d, targets)) / np.sqrt((X**2).sum(axis=1).mean())
            y = (y + 0.5 * rng.standard_normal(y.shape)).reshape((n, targets) if targets > 1 else n)
            weights = rng.lognormal(size=n) if weighted else None
            local = ZipMLRegressor(4, alpha=1e-3, random_state=0).fit(X, y, weights).score(X, y, weights)
            arrays = [X, y] if weights is None else [X, y, weights]
            pieces = [client.scatter([array[k::6] for array in arrays]) for k in range(6)]
            dX, dy, *more = map(list, zip(*pieces, strict=True))
            for bits in (16, 8, 4):
                settings = {"alpha": 1e-3, "solver": "rounds", "model_bits": bits, "gradient_bits": bits}
                model = DaskZipMLRegressor(4, random_state=0, client=client, **settings)
                model.fit(dX, dy, sample_weight=more[0] if more else None)
                share = model.bytes_sent_ / model.float32_bytes_
                message = encoded(rng.standard_normal((1, d)), bits, 0) + bytes(4)
                wire = wire_bytes(message) / wire_bytes(rng.standard_normal(d).astype(np.float32).tobytes() + bytes(4))
                print(
                    f"{name:11} {n} x {d}, {bits:2} bits: "
                    f"R² {local - model.score(X, y, weights):+.5f} below local ({local:.4f}), "
                    f"{model.n_iter_} rounds, bytes {share:.4f} of float32, of one message on the wire {wire:.3f}",
                    flush=True,
                )


LOGISTIC = (
    ("Gaussian", 12_000, 1000, 2, 0.0, 0),
    ("decaying", 12_000, 1200, 2, 1.0, 0),
    ("one factor", 12_000, 1000, 2, 0.0, 1),
    ("ten factors", 40_000, 1000, 2, 0.0, 10),
    ("three classes", 12_000, 1000, 3, 0.0, 1),
    ("ten classes", 12_000, 1000, 10, 0.0, 0),
    ("wide", 3000, 5000, 2, 0.5, 0),
    ("few columns", 20_000, 100, 2, 0.0, 10),
)


def labelled(n, d, n_classes, decay, factors, seed=0):
    """Rows sorted by their labels, and half as many new ones."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d), dtype=np.float32) * np.float32(1 if not factors else 0.5)
    X *= np.arange(1, d + 1, dtype=np.float32) ** np.float32(-decay)
    if factors:
        X += rng.standard_normal((n, factors)) @ rng.standard_normal((factors, d)) / np.sqrt(factors)
    scores = X @ rng.standard_normal((d, n_classes)) * (2 / np.sqrt((X**2).sum(axis=1).mean()))
    y = (scores + rng.gumbel(size=scores.shape)).argmax(axis=1)
    train, test = np.arange(2 * n // 3), np.arange(2 * n // 3, n)
    train = train[np.argsort(y[train], kind="stable")]
    return X[train], y[train], X[test], y[test]


def logistic(_rows, _columns, _repeats):
    """Log loss and accuracy on new rows beside those of the local fit, and bytes against float32.

    Partitions are sorted by label. Float32 is what the same messages would take in it, headers included, and what the
    steps that exchange second moments take in it.
    """
    from sklearn.metrics import log_loss

    with cluster(2) as client:
        for name, n, d, n_classes, decay, factors in LOGISTIC:
            X, y, X_test, y_test = labelled(3 * n // 2, d, n_classes, decay, factors)
            settings = {"C": 1000 / n, "random_state": 0}

            def told(model, X=X_test, y=y_test):
                return log_loss(y, model.predict_proba(X)), model.score(X, y)

            local = told(ZipMLLogisticRegression(4, **settings).fit(X, y))
            pairs = zip(np.array_split(X, 6), np.array_split(y, 6), strict=True)
            dX, dy = zip(*(client.scatter(list(pair)) for pair in pairs), strict=True)
            dX, dy = list(dX), list(dy)
            exact = DaskZipMLLogisticRegression(4, solver="newton", client=client, **settings).fit(dX, dy)
            print(
                f"{name}, {n} x {d}, {n_classes} classes: local log loss {local[0]:.4f}, accuracy {local[1]:.4f}; "
                f"newton {exact.n_iter_} steps, {exact.float32_bytes_ / 1e6:.3f} MB if float32"
            )
            for bits in (16, 8, 4):
                given = {"solver": "rounds", "model_bits": bits, "gradient_bits": bits, "max_iter": 300}
                with warnings.catch_warnings(record=True) as caught:
                    warnings.simplefilter("always", ConvergenceWarning)
                    model = DaskZipMLLogisticRegression(4, client=client, **given, **settings).fit(dX, dy)
                found = told(model.to_local())
                ended = [str(one.message) for one in caught if issubclass(one.category, ConvergenceWarning)]
                print(
                    f"  {bits:2} bits: log loss {found[0] - local[0]:+.5f}, accuracy {found[1] - local[1]:+.5f}, "
                    f"{model.n_iter_} rounds, {model.bytes_sent_ / 1e6:.3f} MB, "
                    f"{model.bytes_sent_ / model.float32_bytes_:.3f} of float32, "
                    f"{model.bytes_sent_ / exact.float32_bytes_:.4f} of newton's {' '.join(ended)}",
                    flush=True,
                )


def rounds(_rows, _columns, repeats):
    """The parts of a round, measured, and what they come to with more workers."""
    from sklearn_zipml._shards.messages import decoded, encoded

    with cluster(2) as client:
        for d in (1000, 10_000, 100_000):
            n = 40_000_000 // d
            X, y = collection(client, n, d, 4)
            packed = DaskPackedMatrix.pack(X, y, client=client, random_state=0)
            del X, y
            found = []
            for most in (2, 12):
                start = time.perf_counter()
                settings = {"solver": "rounds", "max_iter": most, "tol": 1e-15}
                with warnings.catch_warnings(action="ignore", category=ConvergenceWarning):
                    DaskZipMLRegressor(client=client, **settings).fit(packed)
                found.append(time.perf_counter() - start)
            vector = np.random.default_rng(0).standard_normal((1, d))
            message, taken = encoded(vector, 8, 0), []
            for _ in range(20 * repeats):
                start = time.perf_counter()
                decoded(message)
                taken.append(time.perf_counter() - start)
            code = min(taken)  # of the leader, for every worker
            print(f"{d} columns, {n} rows, 2 workers: {(found[1] - found[0]) / 10 * 1e3:.1f} ms a round")
            paper(d, len(message), code)
            packed.release()


def paper(d, size, code):
    """Bytes and seconds that the leader of a cluster spends on a round, with messages of `size` bytes or of float32."""
    for workers in WORKERS:
        ours, floats = (LATENCY * 2 + 2 * workers * n / BANDWIDTH for n in (size, 4 * d + 7))
        print(
            f"    on paper {workers:4} workers: "
            f"{2 * workers * size / 1e6:8.2f} MB and {(ours + workers * code) * 1e3:8.1f} "
            f"ms (of these {workers * code * 1e3:.1f} coding), float32 {2 * workers * 4 * d / 1e6:8.2f} MB and "
            f"{floats * 1e3:8.1f} ms"
        )


def kills(_rows, _columns, _repeats):
    """Fits of slow partitions, a worker of which is killed at a random moment."""
    expected = ZipMLRegressor(random_state=0).partial_fit(
        *map(np.concatenate, zip(*(slow(k, 0) for k in range(8)), strict=True))
    )
    rng = np.random.default_rng(0)
    for number in range(10):
        with cluster(2) as client:
            pairs = [tuple(delayed(slow, pure=False, nout=2)(k, 0.25)) for k in range(8)]
            moment = rng.uniform(0.1, 4)
            timer = threading.Timer(moment, kill, [client, number])
            timer.start()
            start = time.perf_counter()
            try:
                model = DaskZipMLRegressor(random_state=0, client=client).fit(*map(list, zip(*pairs, strict=True)))
                what = "the same bits" if np.array_equal(model.coef_, expected.coef_) else "OTHER COEFFICIENTS"
            except Exception as error:  # what it is told is the result
                what = f"{type(error).__name__}: {error}"
            took = time.perf_counter() - start
            timer.join()
            print(f"killed after {moment:.2f} s: {what} after {took:.1f} s", flush=True)


def slow(number, seconds):
    """A partition that takes a while."""
    time.sleep(seconds)
    X, y = chunk(number, 2000, 20)
    return X.astype(float), y.astype(float)


def kill(client, number):
    """Kill a worker process."""
    pids = sorted(client.run(os.getpid).values())
    os.kill(pids[number % len(pids)], signal.SIGKILL)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["speed", "quality", "logistic", "rounds", "kills"])
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--columns", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--dask-ml", action="store_true", help="take minutes more, for dask-ml's LinearRegression")
    chosen = parser.parse_args()
    extra = {"with_dask_ml": chosen.dask_ml} if chosen.what == "speed" else {}
    globals()[chosen.what](chosen.rows, chosen.columns, chosen.repeats, **extra)
