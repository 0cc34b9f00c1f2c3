"""stop_event: signals that come one upon the other are heard, and nothing waits for itself."""

from __future__ import annotations

import signal
import subprocess
import sys

_PROGRAM = """
import os, signal, threading, sys
from gantry.main.stopping import stop_event
stop = stop_event()
print("ready", flush=True)
stop.wait()
sys.exit(7)
"""


def test_a_storm_of_signals_ends_the_process() -> None:
    for _ in range(5):
        with subprocess.Popen([sys.executable, "-c", _PROGRAM], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            for _ in range(50):
                process.send_signal(signal.SIGTERM)
                process.send_signal(signal.SIGINT)
            assert process.wait(10) == 7
