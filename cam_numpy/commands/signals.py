"""Signals, from the first moment on: this module imports next to nothing, and is imported first."""

import signal
import sys
import time

ECHO = 1.0  # seconds; a second Ctrl-C within them is a nervous finger, and must not stop the tidying up
SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


class Signals:
    """Ctrl-C, `kill` and a terminal that closes: each raises KeyboardInterrupt, on which all tidy up.

    Until `release` one that comes has to wait.

    Attributes
    ----------
    number : int or None
        The signal that came.
    """

    def __init__(self):
        self.number, self._last, self._held = None, -ECHO, True
        for number in SIGNALS:
            if signal.getsignal(number) != signal.SIG_IGN:  # as `nohup` has it
                signal.signal(number, self._came)
        sys.unraisablehook = self._lost

    def release(self):
        """From here on somebody catches KeyboardInterrupt."""
        self._held = False
        if self.number:
            raise KeyboardInterrupt

    def _came(self, number, frame):
        now = time.monotonic()
        if now - self._last >= ECHO:
            self.number, self._last = number, now
            if not self._held:
                raise KeyboardInterrupt

    def _lost(self, unraisable):
        """Python cannot raise in a callback, such as those of the import system: raise it again soon."""
        if not isinstance(unraisable.exc_value, KeyboardInterrupt):
            if not self.number:  # else: what was interrupted half-way complains when it is deleted
                sys.__unraisablehook__(unraisable)
            return
        import threading

        self._last = -ECHO
        again = threading.Timer(0.05, _send, [self.number])
        again.daemon = True
        again.start()

    def ignore(self):
        """From here on no signal changes the exit status; Python would take our own handler away."""
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)


def _send(number):
    """Send this process a signal, from any thread."""
    import _thread
    import threading

    if hasattr(signal, "pthread_kill"):
        signal.pthread_kill(threading.main_thread().ident, number)  # wakes it, whatever it waits for
    else:
        _thread.interrupt_main(number)
