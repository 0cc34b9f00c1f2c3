"""`gantry verify`: files against the index and the index against files, and mending what can be mended."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import psycopg

from gantry.intake import volumes as intake_volumes
from gantry.intake.reconcile import Mended, expected_files, known_paths, mend
from gantry.main.home import Home
from gantry.storage import ExpectedFile, Finding, verify


@dataclass(slots=True)
class VerifyReport:
    """`problems`: what was found; `mended`: what was done about it."""

    checked: int = 0
    bytes: int = 0
    problems: list[Finding] = field(default_factory=list)
    mended: list[Mended] = field(default_factory=list)

    @property
    def left(self) -> list[Finding]:
        """The problems that are still there."""
        done = {id(item.finding) for item in self.mended if item.action != "left"}
        return [finding for finding in self.problems if id(finding) not in done]


def count_files(connection: psycopg.Connection[Any]) -> int:
    """About how many files verify_home() will compare."""
    row = connection.execute(
        "SELECT (SELECT count(*) FROM catalogue_version) + (SELECT count(*) FROM intake_quarantinedobject WHERE state = 'held')"
    ).fetchone()
    return int(row[0]) if row else 0


def verify_home(
    home: Home,
    connection: psycopg.Connection[Any],
    *,
    grace_seconds: float = 60.0,
    bytes_per_second: float | None = None,
    on_file: Callable[[int], None] = lambda _: None,
) -> VerifyReport:
    """Read every file that the index names, compare digests, and look for files that it does not name.

    Files younger than `grace_seconds` that the index does not name yet are left alone.
    """
    report = VerifyReport()
    volumes = intake_volumes.of_home(connection, home.path)

    def expected() -> Iterator[ExpectedFile]:
        for file in expected_files(connection, volumes):
            report.checked += 1
            report.bytes += file.dataset_bytes
            yield file
            on_file(1)

    findings = verify(
        home.path,
        expected(),
        lambda paths: known_paths(connection, paths),
        grace_seconds=grace_seconds,
        bytes_per_second=bytes_per_second,
        roots=volumes.roots,
        absent=[one.id for one in volumes.absent],
    )
    report.problems = [finding for finding in findings if finding.kind != "ok"]
    return report


def mend_home(home: Home, connection: psycopg.Connection[Any], report: VerifyReport) -> None:
    """Mend what verify_home() found: orphans are indexed, halves of files removed.

    What is damaged or missing stays a problem: only a sender or a backup has those bytes.
    """
    report.mended = list(mend(connection, home.path, report.problems))
