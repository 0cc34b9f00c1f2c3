"""Passcodes of the users we are at nodes: files of their own in HOME/secrets (0600), never in the database."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from gantry.nodes.errors import BadNode

_LIMIT = 4096


def keep_passcode(home: Path, node_id: int, passcode: str) -> None:
    """Write it so that a crash leaves the old or the new one. Raises BadNode for one that cannot be meant."""
    if "\0" in passcode or len(passcode.encode("utf-8")) > _LIMIT:
        raise BadNode(f"a passcode has at most {_LIMIT} bytes and no character NUL")
    path = _path(home, node_id)
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(passcode.encode("utf-8"))
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def passcode_of(home: Path, node_id: int) -> str:
    """The passcode; empty: the node has none."""
    try:
        return _path(home, node_id).read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""


def forget_passcode(home: Path, node_id: int) -> None:
    """Remove it."""
    _path(home, node_id).unlink(missing_ok=True)


def _path(home: Path, node_id: int) -> Path:
    return home / "secrets" / f"node-{node_id}.passcode"
