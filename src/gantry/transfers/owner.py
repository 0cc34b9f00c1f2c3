"""Who holds a lease: a name from which the next start of the same home can tell whether the holder is alive."""

from __future__ import annotations

import hashlib
import json
import os
import socket
from functools import cache
from pathlib import Path

from gantry import config


def home_prefix(home: Path | None = None) -> str:
    """The part of the name that all processes of one home on one host share."""
    place = f"{socket.gethostname()}\0{(home or config.current().home).absolute()}"
    return hashlib.sha256(place.encode()).hexdigest()[:16] + ":"


@cache
def home_id(home: Path) -> str:
    """The id of a home, whatever path it has on this host: two workers with one database tell by it whose files a row
    needs."""
    try:
        return str(json.loads((home / "home.json").read_text(encoding="utf-8"))["id"])
    except (OSError, ValueError, KeyError, TypeError):
        return home_prefix(home).rstrip(":")  # no home yet: a name for its place


def process_owner(home: Path | None = None) -> str:
    """The name of this process: home, process id and its start time (ids are used again, together they are not)."""
    return f"{home_prefix(home)}{_identity(os.getpid())}"


def is_alive(owner: str) -> bool:
    """Whether the process behind an owner of this host still runs."""
    _, _, identity = owner.partition(":")
    process_id = identity.partition(":")[0]
    return process_id.isdigit() and int(process_id) > 0 and _identity(int(process_id)) == identity


def _identity(process_id: int) -> str:
    try:
        # Field 22 of /proc/<pid>/stat, counted behind the command, which may hold blanks and brackets.
        fields = Path(f"/proc/{process_id}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
    except OSError:
        return f"{process_id}:{_boot_once()}" if process_id == os.getpid() else ""
    if fields[0] in {"Z", "X"}:
        return ""  # a zombie holds nothing any more
    return f"{process_id}:{fields[19]}"


@cache
def _boot_once() -> str:
    # No /proc (not Linux): a random word. Nobody else can know it, so every earlier run counts as dead.
    return os.urandom(8).hex()
