"""Where the shards of a fit lie, as the exchange of `_shards.logistic` wants it: states that stay there, and sums."""

from weakref import finalize


class Held(list):
    """Futures of a thing for each site, released when nobody has them any more."""


class Sites:
    """Lists of shards, one for every thread of a worker that holds some; see `_shards.logistic.fit_parts`.

    Parameters
    ----------
    engine : Engine
    shards : list of lists of futures

    Attributes
    ----------
    shards : Held, the lists
    """

    def __init__(self, engine, shards):
        self.engine, self.shards, self._gone = engine, Held(shards), []

    def spread(self, things):
        """A thing for each site."""
        return Held(things)

    def share(self, thing):
        """The future of a thing that all sites are given: it is sent once."""
        return self.engine.submit(_same, thing)

    def keep(self, function, *given):
        """Held futures of what a function makes at every site, of what is held there and what all are given."""
        gone = self._gone[:]
        del self._gone[: len(gone)]
        self.engine.release(gone)
        spread = [one if isinstance(one, Held) else [one] * len(self.shards) for one in given]
        held = Held(self.engine.submit(function, *some) for some in zip(*spread, strict=True))
        # not released there: an interrupt would be lost in what runs as a thing is forgotten
        finalize(held, self._gone.extend, list(held)).atexit = False
        return held

    def ask(self, function, *given):
        """What a function makes at every site."""
        held = self.keep(function, *given)
        return self.engine.results(list(held))  # Dask looks for futures in lists, not in what is like one

    def total(self, function, merge, *given):
        """What it makes at all of them, merged on the way."""
        held = self.keep(function, *given)
        future = self.engine.merged(list(held), merge)
        found = self.engine.result(future)
        self.engine.release([future])
        return found


def _same(thing):
    return thing
