"""Retention rules and volumes in the file."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psycopg

from gantry.catalogue import retention
from gantry.intake import volumes
from gantry.main.one_file.plan import Run, Section, WrongField
from gantry.main.one_file.schema import Retention, Volume
from gantry.storage.layout import volume_link
from gantry.storage.volumes import MARK, link_volume, read_mark


class RetentionRules(Section[Retention]):
    """When studies go to the trash by themselves."""

    name = "retention"

    def read(self, home: Path, connection: psycopg.Connection[Any]) -> list[Retention]:
        """By name."""
        fields = tuple(Retention.model_fields)
        return [Retention(**{name: getattr(row, name) for name in fields}) for row in retention.list_rules(connection)]

    def normal(self, item: Retention, run: Run) -> Retention:
        """Without outer spaces."""
        return item.model_copy(update={"calling_aet": item.calling_aet.strip(), "modality": item.modality.strip()})

    def add(self, item: Retention, run: Run) -> None:
        """Put it."""
        retention.put_rule(
            run.connection, item.name, days=item.days, calling_aet=item.calling_aet, modality=item.modality,
            after=item.after, enabled=item.enabled, by=run.by,
        )  # fmt: skip

    def change(self, before: Retention, item: Retention, fields: Mapping[str, tuple[Any, Any]], run: Run) -> None:
        """As adding."""
        self.add(item, run)

    def remove(self, item: Retention, run: Run) -> None:
        """Drop it."""
        retention.drop_rule(run.connection, item.name, by=run.by)


class Volumes(Section[Volume]):
    """Where objects of this home are kept."""

    name = "volumes"
    ordered = True

    def read(self, home: Path, connection: psycopg.Connection[Any]) -> list[Volume]:
        """In the order in which they are filled. The home itself is there only once it is known to the database."""
        identity = volumes.home_id(home)
        rows = volumes.list_volumes(connection, identity) if identity is not None else []
        return [
            Volume(
                name=row.name, path="" if row.is_home else row.path, wanted="readonly" if row.wanted == "readonly" else "writing",
                quota_bytes=row.quota_bytes, reserve_bytes=row.reserve_bytes, position=row.position,
            )
            for row in rows
        ]  # fmt: skip

    def normal(self, item: Volume, run: Run) -> Volume:
        """Full paths. The home must be known before it is compared."""
        if (item.name == volumes.HOME) != (not item.path):
            raise WrongField("path", "a volume has a path, and the volume `home`, the home itself, has none")
        if item.name == volumes.HOME:
            volumes.of_home(run.connection, run.home)
            return item
        return item.model_copy(update={"path": os.path.abspath(Path(item.path).expanduser())})

    def differences(self, before: Volume, item: Volume, run: Run) -> dict[str, tuple[Any, Any]]:
        """A position that is not given stays."""
        found = super().differences(before, item, run)
        if item.position is None:
            found.pop("position", None)
        return found

    def counts(self, item: Volume) -> bool:
        """The home is always there."""
        return item.name != volumes.HOME

    def add(self, item: Volume, run: Run) -> None:
        """An empty folder becomes a volume; our mark goes again when the transaction is rolled back."""
        if read_mark(item.path) is None:
            run.undo.append(lambda: _unmark(Path(item.path)))
        row = volumes.add_volume(
            run.connection, run.home, item.name, Path(item.path), quota_bytes=item.quota_bytes,
            reserve_bytes=item.reserve_bytes, by=run.by,
        )  # fmt: skip
        link = volume_link(run.home, row.id)
        run.undo.append(lambda: _unlink(link))
        if item.wanted != "writing" or item.position is not None:
            changes = volumes.Changes(wanted=item.wanted, position=item.position)
            volumes.set_volume(run.connection, run.home, item.name, changes, by=run.by)

    def change(self, before: Volume, item: Volume, fields: Mapping[str, tuple[Any, Any]], run: Run) -> None:
        """Another path must be the same volume, elsewhere."""
        if "path" in fields:
            row = volumes.get_volume(run.connection, run.home, item.name)
            run.undo.append(lambda: link_volume(run.home, row.id, before.path))
        changes = volumes.Changes(
            wanted=item.wanted if "wanted" in fields else None,
            quota_bytes=(item.quota_bytes or 0) if "quota_bytes" in fields else None,
            reserve_bytes=item.reserve_bytes if "reserve_bytes" in fields else None,
            position=item.position if "position" in fields else None,
            path=Path(item.path) if "path" in fields else None,
        )
        volumes.set_volume(run.connection, run.home, item.name, changes, by=run.by)

    def remove(self, item: Volume, run: Run) -> None:
        """Refused while objects lie on it."""
        volumes.remove_volume(run.connection, run.home, item.name, by=run.by)


def _unmark(place: Path) -> None:
    with contextlib.suppress(OSError):
        (place / MARK).unlink()
        (place / "objects").rmdir()


def _unlink(link: str) -> None:
    with contextlib.suppress(OSError):
        os.unlink(link)
