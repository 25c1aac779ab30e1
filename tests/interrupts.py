"""Interrupts after some time."""

import signal
from contextlib import contextmanager

import pytest

needs_timers = pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timers here")


class Interrupt(BaseException):
    """What the handler of these tests raises."""


@contextmanager
def interrupt_after(seconds):
    """A real signal, whose handler raises."""

    def raise_it(*_):
        raise Interrupt

    previous = signal.signal(signal.SIGALRM, raise_it)
    try:
        signal.setitimer(signal.ITIMER_REAL, seconds)
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
