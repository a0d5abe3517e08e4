"""The outermost edge of the installer: signals and our own exceptions become one sentence and an exit code."""

import signal
from collections.abc import Callable
from types import FrameType

from talk import Stop, say


def guarded(work: Callable[[], None]) -> int:
    """Does the work; its exit code."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _stop)
    try:
        work()
    except Stop as stop:
        say(str(stop))
        return stop.code
    except KeyboardInterrupt:
        say("\nStopped; run it again to go on")
        return 130
    return 0


def _stop(number: int, frame: FrameType | None) -> None:
    raise Stop("Stopped; run it again to go on", code=128 + number)
