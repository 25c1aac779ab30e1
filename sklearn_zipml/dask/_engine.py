"""Work handed to a Dask client, and what becomes of it: results, errors, and nothing left behind."""

import time
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress

from dask import delayed
from distributed import Client, get_client, get_worker, rejoin, secede, wait

FAN_IN = 8  # results that are merged at a time
NO_WORKERS = 45  # seconds that a fit waits for a worker when there is none
LOOK = 2
FETCH = 30


class Engine:
    """A context whose futures are gone when it ends, however it ends.

    Parameters
    ----------
    client : distributed.Client or None, which is that of the task or the process this runs in
    """

    def __init__(self, client):
        self.client, self._futures, self._has_left = checked_client(client), [], False

    def __enter__(self):
        try:  # in a task: others may have its thread while it waits for them
            get_worker()
        except ValueError:
            return self
        secede()
        self._has_left = True
        return self

    def __exit__(self, *_):
        # released, not cancelled: what nobody else wants is then forgotten, running or not
        self.release(self._futures)
        if self._has_left:
            rejoin()

    def compute(self, tasks):
        """Futures of Delayed objects."""
        futures = self.client.compute(tasks)
        self._futures += futures
        return futures

    def submit(self, function, *arguments, **named):
        """The future of function(*arguments, **named), some of which may be futures, or lists of them."""
        future = self.client.submit(function, *arguments, **named, pure=False)
        self._futures.append(future)
        return future

    def results(self, futures):
        """What futures came to, a list; the error of the first one that failed."""
        patience = FETCH
        while True:
            self.wait(futures)
            # not for ever: a worker may die between the two, and be the last
            with self._clear_errors(), suppress(TimeoutError):
                return [future.result(timeout=patience) for future in futures]
            patience *= 2  # there may be much to fetch

    def result(self, future):
        """The same of one."""
        return self.results([future])[0]

    def wait(self, futures):
        """Until all are done, or one has failed, whose error is raised; not for ever where there are no workers."""
        alone_since = None
        while True:
            with self._clear_errors(), suppress(TimeoutError):
                wait(futures, timeout=LOOK)
            failed = [future for future in futures if future.status in ("error", "cancelled")]
            if failed:
                with self._clear_errors():
                    self.client.gather(failed)
            # a result that was there is lost, and pending again, when its worker has died since
            if all(future.status == "finished" for future in futures):
                return
            if self.client.scheduler_info(n_workers=-1)["workers"]:
                alone_since = None
                continue
            alone_since = alone_since or time.monotonic()
            if time.monotonic() - alone_since > NO_WORKERS:
                raise RuntimeError(f"client: its cluster has had no workers for {NO_WORKERS} seconds; start some.")

    @contextmanager
    def _clear_errors(self):
        try:
            yield
        except CancelledError as error:
            raise RuntimeError(
                "The fit was cancelled, or a worker died with data that Dask cannot make again: give X, y and "
                f"sample_weight by collections that are read from their source, not scattered. Dask says: {error}"
            ) from error

    def release(self, futures):
        """Let go of futures that are not needed any more."""
        futures, gone = list(futures), {future.key for future in futures}
        self._futures = [future for future in self._futures if future.key not in gone]
        for future in futures:
            future.release()

    def keep(self, futures):
        """Let futures outlive the context; they are the caller's then."""
        kept = {future.key for future in futures}
        self._futures = [future for future in self._futures if future.key not in kept]
        return futures

    def merged(self, futures, merge):
        """The future of all of them, merged a few at a time by merge(list)."""
        given = {future.key for future in futures}
        while len(futures) > 1:
            groups = [futures[start : start + FAN_IN] for start in range(0, len(futures), FAN_IN)]
            merged = [group[0] if len(group) == 1 else self.submit(merge, group) for group in groups]
            needed = given | {future.key for future in merged}
            self.release([future for future in futures if future.key not in needed])  # the workers still keep them
            futures = merged
        return futures[0]

    def sites(self, futures):
        """Futures by where their results lie: a list for every thread of a worker that holds some."""
        holders, threads = self.client.who_has(futures), self.client.nthreads()
        by_worker = {}
        for future in futures:
            by_worker.setdefault(next(iter(holders.get(future.key, ())), None), []).append(future)
        sites = []
        for worker, own in sorted(by_worker.items(), key=lambda item: str(item[0])):
            count = min(len(own), threads.get(worker, 1))
            sites += [own[k::count] for k in range(count)]
        return sites


def checked_client(client):
    """The client, or the current one.

    Raises
    ------
    ValueError
        Where there is none, or it is asynchronous.
    """
    if client is None:
        try:
            client = get_client()
        except ValueError:
            raise ValueError(
                "client=None, and there is no current Dask client: make one (distributed.Client()), or pass client=."
            ) from None
    if not isinstance(client, Client):
        raise ValueError(f"client={client!r} is not a distributed.Client.")
    if client.asynchronous:
        raise ValueError("client is asynchronous, and fit waits for its results: pass a client that is not.")
    return client


def task(function):
    """A function whose calls are Delayed, of names of their own."""
    return delayed(function, pure=False)


def constant(thing):
    """A thing that many tasks are given, Delayed: it is sent once."""
    return delayed(thing, traverse=False, pure=False)
