"""What comes as a stream: files of instances, taken over only when they are whole and what the server received; the audit."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from gantry_client.errors import DamagedDownload, GantryClientError, Unreachable
from gantry_client.http import Connector, with_query
from gantry_client.nouns.asking import API, part, record
from gantry_client.records_watching import AuditCheck

_CHUNK = 1024 * 1024


def download(connector: Connector, sop_instance_uid: str, path: str | os.PathLike[str]) -> int:
    """See `GantryClient.download`."""
    where = f"{API}/instances/{part(sop_instance_uid)}/file"
    with _whole(Path(path)) as file, connector.open("GET", where) as answer:
        return _receive(answer, file)


def export_audit(
    connector: Connector, path: str | os.PathLike[str], since: datetime | None, until: datetime | None, form: str
) -> int:
    """See `GantryClient.export_audit`."""
    since_text, until_text = (None if at is None else at.isoformat() for at in (since, until))
    values = {"since": since_text, "until": until_text, "format": form}
    with _whole(Path(path)) as file, connector.open("GET", with_query(f"{API}/audit/export", values)) as answer:
        return sum(file.write(chunk) for chunk in _chunks(answer))


def verify_audit(connector: Connector, told: Callable[[int, int], object] | None) -> AuditCheck:
    """See `GantryClient.verify_audit`."""
    with connector.open("POST", f"{API}/audit/verify") as answer:
        for line in _lines(answer):
            if "result" in line:
                return record(AuditCheck, line["result"])
            if "error" in line:
                raise GantryClientError(f"The audit was not checked to its end: {line['error']}")
            if told is not None:
                told(int(line.get("entries", 0)), int(line.get("total", 0)))
    raise Unreachable("the check of the audit broke off")


@contextmanager
def _whole(target: Path) -> Iterator[Any]:
    """A file that appears under its name when the block ends well; otherwise what was there stays."""
    draft = target.with_name(f".{target.name}.{os.getpid()}.{os.urandom(4).hex()}.part")
    try:
        with open(draft, "xb") as file:
            yield file
        os.replace(draft, target)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(draft)


def _chunks(answer: http.client.HTTPResponse) -> Iterator[bytes]:
    """Until its end. Raises Unreachable when that did not come."""
    while True:
        try:
            chunk = answer.read(_CHUNK)
        except (OSError, http.client.HTTPException) as error:
            raise Unreachable(f"the file broke off: {error or type(error).__name__}") from error
        if not chunk:
            break
        yield chunk
    if answer.length:
        raise Unreachable(f"the file broke off {answer.length} bytes before its end")


def _lines(answer: http.client.HTTPResponse) -> Iterator[dict[str, Any]]:
    """Lines of JSON, each as it comes, none longer than a mebibyte."""
    try:
        while line := answer.readline(_CHUNK):
            yield json.loads(line)
    except (OSError, http.client.HTTPException) as error:
        raise Unreachable(f"the answer broke off: {error or type(error).__name__}") from error
    except ValueError as error:
        raise GantryClientError("The answer cannot be understood: is this a Gantry server of our version?") from error


def _receive(answer: http.client.HTTPResponse, file: Any) -> int:
    expected = answer.headers.get("X-Gantry-Dataset-SHA256", "")
    offset = int(answer.headers.get("X-Gantry-Dataset-Offset", "0"))
    digest, size = hashlib.sha256(), 0
    for chunk in _chunks(answer):
        file.write(chunk)
        digest.update(memoryview(chunk)[max(0, offset - size) :])
        size += len(chunk)
    if digest.hexdigest() != expected:
        raise DamagedDownload("The data set that came does not have the SHA-256 that the server recorded.")
    return size
