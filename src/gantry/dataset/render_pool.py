"""Processes that decode and paint: a bounded number, each with limits, so that damage or an attack costs one of them.

A thread that wants a picture takes a process, hands over two memory files and waits; when all are taken it waits its
turn. They start when first needed and end with us.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from threading import Condition, Thread
from time import monotonic
from typing import Any

from gantry.dataset.render_errors import Damaged, NotDecodable, RenderersBusy, TooLarge

#: Processes at once.
MOST = max(1, min(4, os.cpu_count() or 1))
#: One picture may take so long, and one may wait so long for its turn, seconds.
TASK_SECONDS = 30.0
WAIT_SECONDS = 20.0
#: Pictures after which a process is replaced: decoders leak.
_TASKS = 5000
_MAX_ANSWER = 4096
_MAX_OUT = 1 << 30


class _Renderer:
    """One process."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "gantry.dataset.render_child", str(theirs.fileno())], env=environment,
                pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip
        self._socket = ours
        self.tasks = 0

    def work(self, source: int, target: int) -> dict[str, Any]:
        """What it answers. Raises TimeoutError, OSError or ValueError when it died."""
        self.tasks += 1
        self._socket.settimeout(TASK_SECONDS)
        socket.send_fds(self._socket, [b"1"], [source, target])
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


class _Pool:
    """The processes of this one."""

    def __init__(self) -> None:
        self._free = Condition()
        self._idle: list[_Renderer] = []
        self._count = 0
        self._owner = os.getpid()

    def take(self) -> _Renderer:
        """One that is idle, or a new one. Raises RenderersBusy."""
        deadline = monotonic() + WAIT_SECONDS
        with self._free:
            if self._owner != os.getpid():  # forked: they are our parent's
                self._owner, self._idle, self._count = os.getpid(), [], 0
            while not self._idle and self._count >= MOST:
                if not self._free.wait(deadline - monotonic()) and monotonic() >= deadline:
                    raise RenderersBusy("everything that decodes pixels is at work")
            if self._idle:
                return self._idle.pop()
            self._count += 1
        try:
            return _Renderer()
        except BaseException:
            self.gone()
            raise

    def give(self, renderer: _Renderer) -> None:
        """Back, for the next."""
        if renderer.tasks >= _TASKS:
            renderer.end()
            self.gone()
            return
        with self._free:
            self._idle.append(renderer)
            self._free.notify()

    def gone(self) -> None:
        """One has ended."""
        with self._free:
            self._count -= 1
            self._free.notify()

    def close(self) -> None:
        """End those that are idle."""
        with self._free:
            idle, self._idle = self._idle, []
            self._count -= len(idle)
        for renderer in idle:
            renderer.end()

    def warm(self) -> None:
        """Have one started, so that the first picture need not wait for it."""
        with self._free:
            if self._count or self._owner != os.getpid():
                return

        def start() -> None:
            with suppress(RenderersBusy, OSError):
                self.give(self.take())

        Thread(target=start, daemon=True).start()


_pool = _Pool()
close_renderers = _pool.close
warm_renderers = _pool.warm


def run(job: dict[str, Any], parts: Sequence[bytes]) -> bytes:
    """Have `job` done on the bytes of `parts`; gives the bytes that come out.

    Raises NotDecodable, TooLarge, Damaged, RenderersBusy, OSError.
    """
    renderer = _pool.take()
    source = target = -1
    try:
        source, target = os.memfd_create("gantry-frame"), os.memfd_create("gantry-picture")
        _write(source, [json.dumps(job).encode("utf-8") + b"\n", *parts])
        told = renderer.work(source, target)
        size = os.fstat(target).st_size
        answer = os.pread(target, size, 0) if size <= _MAX_OUT else b""
    except BaseException as error:
        renderer.end()
        _pool.gone()
        if isinstance(error, TimeoutError):
            raise TooLarge(f"decoding took longer than {TASK_SECONDS:.0f} s") from None
        if isinstance(error, OSError | ValueError):
            raise NotDecodable("the decoder ended: the pixels are damaged, or need too much memory") from None
        raise
    finally:
        for descriptor in (source, target):
            if descriptor >= 0:
                os.close(descriptor)
    _pool.give(renderer)
    if "error" in told:
        kind = {"damaged": Damaged, "too-large": TooLarge}.get(told.get("kind", ""), NotDecodable)
        raise kind(f"the pixels cannot be decoded: {told['error']}")
    return answer


def _write(descriptor: int, parts: Sequence[bytes]) -> None:
    for part in parts:
        view = memoryview(part)
        while view:
            view = view[os.write(descriptor, view) :]
