"""Files of instances: taken over only when they are whole and what the server received."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
from pathlib import Path
from typing import Any

from gantry_client.errors import DamagedDownload, Unreachable
from gantry_client.http import Connector
from gantry_client.nouns.asking import API, part

_CHUNK = 1024 * 1024


def download(connector: Connector, sop_instance_uid: str, path: str | os.PathLike[str]) -> int:
    """See `GantryClient.download`."""
    target = Path(path)
    draft = target.with_name(f".{target.name}.{os.getpid()}.{os.urandom(4).hex()}.part")
    try:
        with connector.open("GET", f"{API}/instances/{part(sop_instance_uid)}/file") as answer, open(draft, "xb") as file:
            size = _receive(answer, file)
        os.replace(draft, target)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(draft)
    return size


def _receive(answer: http.client.HTTPResponse, file: Any) -> int:
    expected = answer.headers.get("X-Gantry-Dataset-SHA256", "")
    offset = int(answer.headers.get("X-Gantry-Dataset-Offset", "0"))
    digest, size = hashlib.sha256(), 0
    while True:
        try:
            chunk = answer.read(_CHUNK)
        except (OSError, http.client.HTTPException) as error:
            raise Unreachable(f"the file broke off: {error or type(error).__name__}") from error
        if not chunk:
            break
        file.write(chunk)
        digest.update(memoryview(chunk)[max(0, offset - size) :])
        size += len(chunk)
    if answer.length:
        raise Unreachable(f"the file broke off {answer.length} bytes before its end")
    if digest.hexdigest() != expected:
        raise DamagedDownload("The data set that came does not have the SHA-256 that the server recorded.")
    return size
