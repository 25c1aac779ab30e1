"""Threads that are kept, and teams of them that do one piece of work.

An interrupt must not come between starting a team and waiting for it: the others would work, or wait for each other,
for ever. Python handles signals between the instructions of its own code, and where C code asks it to. So this is
compiled, calls nothing of Python's own that could be interrupted in the middle, and asks in `poll_here` only. Threads
are daemons, of which the interpreter waits for none at its end, and start without an exchange of signals.
"""

import _thread
import os
import sys
from collections import deque
from queue import SimpleQueue
from threading import local

from cpython.exc cimport PyErr_CheckSignals

cdef double SECONDS = 0.1  # between looks at signals where waiting for a lock is not interrupted by them


class Stopped(BaseException):
    """The team of this thread was stopped."""


# Queues of the threads that have nothing to do, and of the one that holds what belongs to the process.
_idle, _keepers = deque(), deque()
# crew: the team that this thread works for now; is_worker: whether it is one of these threads.
_here = local()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_idle.clear)  # a child has none of its parent's threads
    os.register_at_fork(after_in_child=_keepers.clear)


def in_worker():
    """Whether this is a thread of a team, and not one that waits for it."""
    return getattr(_here, "is_worker", False)


cdef int poll_here() except -1:
    PyErr_CheckSignals()
    crew = getattr(_here, "crew", None)
    if crew is not None and (<Crew> crew).is_stopped:
        raise Stopped
    return 0


cdef int poll_locked() except -1 nogil:
    """`poll_here` with the interpreter's lock, which a pass has dropped."""
    with gil:
        return poll_here()


cdef int poll_in_time(size_t *left, size_t values) except -1 nogil:
    """The same every few milliseconds: called for every so many values, whose sum `left` counts; it is 0 at first."""
    left[0] += values
    if left[0] >= LOOK_VALUES:
        left[0] = 0
        poll_locked()
    return 0


def poll():
    """Raise what a signal handler raises, or Stopped if the team that this thread works for was stopped."""
    poll_here()


cdef class Crew:
    """Members that do one piece of work at the same time; the calling thread is member 0.

    Parameters
    ----------
    work : callable(member)
    end : callable() or None, makes members leave that wait for each other
    size : int
    queues : list, of threads for members 1, 2, ...
    """

    cdef object work, end, error
    cdef list results, queues, finished
    cdef bint is_stopped
    cdef int size

    def __cinit__(self, work, end, int size, list queues):
        self.work, self.end, self.results = work, end, [None] * size
        self.queues, self.finished = queues, []
        for _ in self.queues:
            lock = _thread.allocate_lock()
            lock.acquire()
            self.finished.append(lock)
        self.size = 1 + len(self.queues)  # members that have a thread of their own

    cdef stop(self, error):
        """Let all members leave; the first error is that of the team."""
        if self.error is None:
            self.error = error
        self.is_stopped = True
        if self.end is not None:
            self.end()

    cdef do(self, int member):
        try:
            before, _here.crew = getattr(_here, "crew", None), self
            try:
                self.results[member] = self.work(member)
            finally:
                _here.crew = before
        except Stopped:
            pass
        except BaseException as error:
            self.stop(error)

    cdef run(self, others):
        """The results of all members, those in `others` after member 0; or the first error of one."""
        cdef int sent = 0
        try:
            for queue in self.queues:
                queue.put((self, sent + 1))
                sent += 1
            for member in (0, *others):
                if not self.is_stopped:
                    self.do(member)
        except BaseException as error:
            self.stop(error)
        _idle.extend(self.queues[sent:])
        for lock in self.finished[:sent]:
            self.wait(lock)
        error, self.error = self.error, None
        if error is not None:
            raise error
        return self.results

    cdef wait(self, lock):
        """Wait for a member, whatever the handlers of signals raise meanwhile."""
        while True:
            try:
                if lock.acquire(True, SECONDS):
                    return
                PyErr_CheckSignals()
            except BaseException as error:
                self.stop(error)


def _serve(queue, idle):
    """What a thread does: the parts in teams that it is given. Meanwhile its queue is not in `idle`."""
    _here.is_worker = True
    while True:
        crew, member = queue.get()
        (<Crew> crew).do(member)
        finished, crew = (<Crew> crew).finished[member - 1], None
        idle.append(queue)
        finished.release()


cdef list hire(int count):
    """Queues of as many threads as there can be, at most count: idle ones, then new ones."""
    found = []
    if sys.is_finalizing():  # threads no longer run
        return found
    while len(found) < count and _idle:
        try:
            found.append(_idle.pop())
        except IndexError:  # another thread took it
            break
    while len(found) < count:
        queue = started(_idle)
        if queue is None:
            break
        found.append(queue)
    return found


cdef started(idle):
    """The queue of a new thread, or None if there are too many, or the interpreter is at its end."""
    queue = SimpleQueue()
    try:
        _thread.start_new_thread(_serve, (queue, idle))
    except RuntimeError:
        return None
    return queue


def run_team(int size, work, stop=None):
    """Results of work(member) of `size` members, as many at a time as threads can be had; the others come after.

    An error, or an interrupt, of one stops all, which `poll` tells them; it is raised once they have left. stop() is
    called before that.
    """
    if size == 1:
        return [work(0)]
    cdef Crew crew = Crew(work, stop, size, hire(size - 1))
    return crew.run(range(crew.size, size))


def run_lockstep(int size, begin, work, stop):
    """The same of members that wait for each other: there are no more of them than threads.

    begin(size) is told first how many there are. stop() makes those leave that wait for others.
    """
    cdef Crew crew = Crew(work, stop, size, hire(size - 1))
    del crew.results[crew.size:]
    begin(crew.size)
    return crew.run(())


def run_apart(work):
    """Do work() in a thread that does no other, where no signal is handled in the middle; False if there is none."""
    if sys.is_finalizing():
        return False
    if not _keepers:
        queue = started(deque(maxlen=0))
        if queue is None:
            return False
        _keepers.append(queue)
    cdef Crew crew = Crew(lambda member: work() if member else None, None, 2, [_keepers[0]])
    crew.run(())
    return True


def run_abandonable(work):
    """The result of work(), done in another thread, which an interrupt does not wait for: then it is done in vain."""
    cdef list queues = hire(1)
    if not queues:
        return work()
    cdef Crew crew = Crew(lambda member: work(), None, 2, queues)
    queues[0].put((crew, 1))
    while not crew.finished[0].acquire(True, SECONDS):
        poll_here()
    if crew.error is not None:
        raise crew.error
    return crew.results[1]


cdef class Hold:
    """A context that takes something for the whole process, and gives it back whatever happens.

    Parameters
    ----------
    take, give : callable()
    """

    cdef object take, give
    cdef bint is_held

    def __cinit__(self, take, give):
        self.take, self.give = take, give

    def __enter__(self):
        run_apart(self._take)  # without threads there is nothing that it would help

    def __exit__(self, *_):
        self._let_go()

    def __del__(self):  # interrupted before the body of the context, or behind it
        self._let_go()

    def _take(self):
        self.take()
        self.is_held = True

    def _give(self):
        if self.is_held:
            self.is_held = False
            self.give()

    cdef _let_go(self):
        if self.is_held and not run_apart(self._give):
            self._give()
