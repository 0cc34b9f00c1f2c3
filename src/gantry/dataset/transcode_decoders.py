"""Processes that decode pixels: damage, or an attack, in them costs one of them and no more.

They start when the first compressed data set is met, serve one at a time, and end with us.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from threading import Lock
from typing import Any

from gantry.dataset.transcode_errors import CannotDecode, DecodersMissing, TooMuch

#: Processes at once; whoever comes later waits for none of them but gets a fresh one that ends after its work.
KEPT = 2
#: Data sets after which a process is replaced.
_JOBS = 500
#: Seconds for one data set: some to start, and some for each MB that comes out.
_SECONDS, _SECONDS_PER_MB = 30.0, 0.5
_MAX_ANSWER = 4096


class _Decoder:
    """One process."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "gantry.dataset.transcode_child", str(theirs.fileno())],
                pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip
        self._socket = ours
        self.jobs = 0

    def decode(self, job: dict[str, str | int], source: int, target: int, seconds: float) -> dict[str, Any]:
        """What it answers. Raises TimeoutError, OSError when it died."""
        self.jobs += 1
        self._socket.settimeout(seconds)
        socket.send_fds(self._socket, [json.dumps(job).encode()], [source, target])
        answer = self._socket.recv(_MAX_ANSWER)
        if not answer:
            raise ConnectionResetError("it ended")
        told: dict[str, Any] = json.loads(answer)
        return told

    def end(self) -> None:
        """At once."""
        self._socket.close()
        self._process.kill()
        self._process.wait()


class _Decoders:
    """Those that wait for work, of this process."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._idle: list[_Decoder] = []
        self._owner = os.getpid()

    def take(self) -> _Decoder:
        with self._lock:
            if self._owner != os.getpid():  # forked: they are our parent's
                self._owner, self._idle = os.getpid(), []
            if self._idle:
                return self._idle.pop()
        return _Decoder()

    def give(self, decoder: _Decoder) -> None:
        with self._lock:
            if decoder.jobs < _JOBS and len(self._idle) < KEPT:
                self._idle.append(decoder)
                return
        decoder.end()

    def close(self) -> None:
        with self._lock:
            idle, self._idle = self._idle, []
        for decoder in idle:
            decoder.end()


_decoders = _Decoders()


def close_decoders() -> None:
    """End the processes that wait for work. They end by themselves when we do."""
    _decoders.close()


def decode(job: dict[str, str | int], source: int, target: int) -> dict[str, str | int]:
    """Decode the encapsulated pixels in the file `source` into the file `target`; both are descriptors, at any place.

    `job` holds the image pixel module, by the names that the decoders use. Gives the same as it has become, and `bytes`.
    Raises CannotDecode, DecodersMissing, TooMuch.
    """
    samples = int(job["rows"]) * int(job["columns"]) * int(job["samples_per_pixel"]) * int(job["number_of_frames"])
    seconds = _SECONDS + _SECONDS_PER_MB * samples * int(job["bits_allocated"]) / 8e6
    decoder = _decoders.take()
    try:
        told = decoder.decode(job, source, target, seconds)
    except TimeoutError:
        decoder.end()
        raise TooMuch(f"decoding took longer than {seconds:.0f} s") from None
    except (OSError, ValueError):
        decoder.end()
        raise CannotDecode("the decoder ended: the pixels are damaged, or need too much memory") from None
    except BaseException:
        decoder.end()
        raise
    _decoders.give(decoder)
    if "missing" in told:
        raise DecodersMissing(f"compressed pixels need decoders that are not installed ({told['missing']})")
    if "error" in told:
        raise CannotDecode(f"the pixels cannot be decoded: {told['error']}")
    return {str(name): value for name, value in told.items() if isinstance(value, str | int)}
