"""Peak anonymous memory of this process (Linux only), for the benchmarks of memory."""

import pathlib
import threading
import time


def anonymous_bytes():
    """Resident anonymous memory of this process."""
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon"))


class Peak:
    """Largest anonymous memory inside a with block, sampled every millisecond."""

    def __enter__(self):
        self.start = self.peak = anonymous_bytes()
        self.running = True
        self.thread = threading.Thread(target=self._watch)
        self.thread.start()
        return self

    def _watch(self):
        while self.running:
            self.peak = max(self.peak, anonymous_bytes())
            time.sleep(0.001)

    def __exit__(self, *error):
        self.running = False
        self.thread.join()
