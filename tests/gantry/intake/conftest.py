"""A home, a receiver's spool, the indexer, and data sets to send."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from tests.support import part10_files as files

from gantry import database
from gantry.dataset import Envelope, build_prefix
from gantry.intake.indexer import Indexer, Settling
from gantry.storage import SpoolReader, SpoolWriter

ASSOCIATION = UUID("00000000-0000-4000-8000-000000000001")
LARGE = 1 << 20  # so large objects get a file of their own in the spool


class Spool:
    """A receiver without its network: `send` is what C-STORE does with an object."""

    def __init__(self, home: Path, slot: str = "r0") -> None:
        self.home = home
        self.slot = slot
        self.writer = SpoolWriter(home, slot, durability="disk", reserve_bytes=0)
        self.writer.open()

    def send(self, dataset: bytes, *, instance: str = "", association: UUID | None = ASSOCIATION, **changes: Any) -> bytes:
        """Store a data set; gives its digest. `instance` is the UID of the command."""
        fields: dict[str, Any] = {
            "origin": "dimse", "sop_class_uid": files.CT_IMAGE_STORAGE, "sop_instance_uid": instance,
            "transfer_syntax_uid": files.EXPLICIT_LITTLE_ENDIAN, "calling_aet": "CT1", "called_aet": "GANTRY",
            "remote_address": "127.0.0.1", "association_id": association, "slot": self.slot,
            "received_at": datetime.now(UTC), "sha256": None, **changes,
        }  # fmt: skip
        incoming = self.writer.begin(*build_prefix(Envelope(**fields)))
        incoming.write(memoryview(dataset))
        return incoming.commit()

    def close(self) -> None:
        self.writer.close()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    path = tmp_path / "home"
    path.mkdir(mode=0o700)
    return path


@pytest.fixture
def spool(home: Path) -> Iterator[Spool]:
    opened = Spool(home)
    yield opened
    opened.close()


@pytest.fixture
def connection(transactional_db: None) -> Iterator[psycopg.Connection]:
    with database.connect(autocommit=True) as opened:
        yield opened


@pytest.fixture
def make_indexer(home: Path, connection: psycopg.Connection) -> Iterator[Callable[..., Indexer]]:
    """make_indexer(**options): each is a new process in all but name (own reader, own connection)."""
    made: list[tuple[SpoolReader, Indexer]] = []

    def make(**options: Any) -> Indexer:
        reader = SpoolReader(home)
        options.setdefault("settling", Settling(0.0, True))
        indexer = Indexer(home, reader, **options)
        made.append((reader, indexer))
        return indexer

    yield make
    for reader, indexer in made:
        indexer.close()
        reader.close()


def rows(connection: psycopg.Connection) -> list[Any]:
    """What is in the index, in words: UID, digest, path, current."""
    return connection.execute(
        "SELECT i.sop_instance_uid, v.sha256, v.file_path, v.current FROM catalogue_version v"
        " JOIN catalogue_instance i ON i.id = v.instance_id ORDER BY v.id"
    ).fetchall()


def stored_files(home: Path, *folders: str) -> list[str]:
    """Files below these folders of the home (objects and quarantine), relative to it."""
    return sorted(
        os.path.relpath(os.path.join(base, name), home)
        for folder in folders or ("objects", "quarantine")
        for base, _, names in os.walk(home / folder)
        for name in names
    )


def spooled_files(home: Path) -> list[str]:
    """Objects that wait as files."""
    return [name for name in stored_files(home, "spool") if "/incoming/" in name]


def new_association() -> UUID:
    return uuid4()
