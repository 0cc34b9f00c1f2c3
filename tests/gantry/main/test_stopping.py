"""stop_event: signals that come one upon the other are heard, whenever they come, and nothing waits for itself."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterable

_PROGRAM = """
import os, signal, threading, sys
from gantry.main.stopping import stop_event
stop = stop_event()
{more}
print("ready", flush=True)
stop.wait()
sys.exit(7)
"""
#: The main thread, asleep, is not told of a signal: as if it came in the moment before it went to sleep.
_DEAF = "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])"
_OTHER = "signal.signal(signal.SIGUSR1, lambda *_: None)"


def ended(signals: Iterable[signal.Signals], more: str = "") -> int:
    """How the program ends that gets these signals."""
    program = [sys.executable, "-c", _PROGRAM.format(more=more)]
    with subprocess.Popen(program, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            for number in signals:
                process.send_signal(number)
            return process.wait(60)
        finally:
            process.kill()


def test_a_storm_of_signals_ends_the_process() -> None:
    for _ in range(5):
        assert ended([signal.SIGTERM, signal.SIGINT] * 50) == 7


def test_a_signal_that_the_main_thread_sleeps_through_is_heard() -> None:
    assert ended([signal.SIGTERM], _DEAF) == 7


def test_signals_of_others_do_not_end_it() -> None:
    assert ended([signal.SIGUSR1] * 20 + [signal.SIGTERM], _OTHER) == 7
