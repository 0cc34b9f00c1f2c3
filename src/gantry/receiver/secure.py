"""TLS of the second DICOM port, from the settings; certificates may be renewed while it runs."""

from __future__ import annotations

import logging
import os
import ssl
import threading
import time
from pathlib import Path
from typing import Self

from dimse.errors import TlsError
from dimse.tls import TlsContext, TlsFiles, server_context
from gantry.config import Config

log = logging.getLogger("gantry.receiver")
#: A certificate that is out of date, or not yet in date on a machine whose clock is wrong, may be put right while we run.
BY_TIME = frozenset({"own-expired", "own-not-yet-valid"})
#: How often the files are looked at when callers come, and how soon those that did not do are tried again, seconds.
_LOOK_SECONDS, _AGAIN_SECONDS = 1.0, 30.0
_MOST_FILES = 1000


def tls_context(config: Config) -> TlsContext | None:
    """For the TLS listener; None when the settings name none. Paths that are not absolute begin at the home.

    Raises dimse.errors.TlsError with cause and remedy when the files do not do.
    """
    if not config.dicom_tls_address:
        return None
    certificate, key, authorities, revocations = _named(config)
    files = TlsFiles(certificate, key, authorities, revocations=revocations)
    return server_context(files, client_certificates=config.dicom_tls_clients)


class RenewedContext(TlsContext):
    """A context of the listener that is made anew when a file behind it has changed: each handshake takes the newest.

    Files that do not do (half of a renewal, a wrong key) change nothing: the last good ones hold on, and the log says
    why. When ours is out of date at the start, callers over TLS are refused until it was renewed, and nothing else
    stands still for it.
    """

    _config: Config
    _current: TlsContext | None
    _lock: threading.Lock
    _seen: object
    _looked_at: float
    _again_at: float

    @classmethod
    def of(cls, config: Config) -> Self:
        """Raises TlsError when the files do not do for another reason than their date."""
        own = cls(ssl.PROTOCOL_TLS_SERVER)
        own._config, own._lock = config, threading.Lock()
        own._seen, own._current = _state(config), None
        own._looked_at, own._again_at = time.monotonic(), float("inf")
        try:
            own._current = tls_context(config)
        except TlsError as error:
            if error.kind not in BY_TIME:
                raise
            log.error("callers over TLS are refused: %s: %s", error.cause, error.remedy)
            own._again_at = own._looked_at + _AGAIN_SECONDS
        return own

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        """As `ssl.SSLContext`, by the newest good files. Without any, the handshake fails: this context has no certificate."""
        current = self._newest()
        if current is None:
            return super().wrap_bio(incoming, outgoing, server_side, server_hostname, session)
        return current.wrap_bio(incoming, outgoing, server_side, server_hostname, session)

    def _newest(self) -> TlsContext | None:
        with self._lock:
            now = time.monotonic()
            if now - self._looked_at < _LOOK_SECONDS:
                return self._current
            self._looked_at = now
            state = _state(self._config)
            if state == self._seen and now < self._again_at:
                return self._current
            self._seen, self._again_at = state, float("inf")
            try:
                self._current = tls_context(self._config)
                log.info("the files of the TLS port were read anew")
            except TlsError as error:
                self._again_at = now + _AGAIN_SECONDS
                kept = "the last good ones hold on" if self._current is not None else "callers over TLS are refused"
                log.error("changed files of the TLS port do not do (%s): %s: %s", kept, error.cause, error.remedy)
            return self._current


def place(config: Config, path: str) -> str:
    """Where a file of the settings is; empty stays empty."""
    return str(Path(config.home) / Path(path).expanduser()) if path else ""


def _named(config: Config) -> list[str]:
    named = (config.dicom_tls_certificate, config.dicom_tls_key, config.dicom_tls_authorities, config.dicom_tls_crl)
    return [place(config, path) for path in named]


def _state(config: Config) -> object:
    """What tells one state of the files from another: none of them is read."""
    found: list[tuple[str, tuple[int, int, int] | None]] = []
    for path in filter(None, _named(config)):
        try:
            inside = sorted(entry.path for entry in os.scandir(path))[:_MOST_FILES] if os.path.isdir(path) else []
        except OSError:
            inside = []
        for each in (path, *inside):
            try:
                status = os.stat(each)
            except OSError:
                found.append((each, None))
            else:
                found.append((each, (status.st_ino, status.st_size, status.st_mtime_ns)))
    return found
