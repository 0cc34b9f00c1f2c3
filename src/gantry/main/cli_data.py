"""`gantry import`, `send`, `studies`, `verify`: instances in, out, looked up and checked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from zoneinfo import ZoneInfo

import typer

from gantry.main import cli_output
from gantry.main.cli_context import connected, house, load
from gantry.main.cli_nodes import target
from gantry.main.cli_output import JsonOption, YesOption

if TYPE_CHECKING:
    from gantry.nodes.items import SendTarget
    from gantry.nodes.meter import Meter

#: Outcomes that need no line of their own.
_GOOD = frozenset({"confirmed", "stored", "duplicate", "new version"})
_SHOWN = 100
_STUDY_COLUMNS = (
    "patient ID", "patient name", "study date", "modalities", "description", "series#", "instances#", "size#", "conflicts#",
    "Study Instance UID",
)  # fmt: skip
PathsArgument = Annotated[list[Path], typer.Argument(metavar="PATH...", exists=True, help="Files, or folders with all in them.")]


def import_(paths: PathsArgument, json: JsonOption = False) -> None:
    """Take Part 10 files in, every byte kept. Exit status 1 if a DICOM file could not be taken in and indexed."""
    outcomes: list[Any] = []
    with house() as home:
        from gantry.intake.import_files import import_paths

        with cli_output.progress("Importing", quiet=json) as advance:
            for outcome in import_paths(paths, home=home.path):
                outcomes.append(outcome)
                advance(1)
    counts = Counter(outcome.outcome for outcome in outcomes)
    if json:
        cli_output.print_json({"counts": counts, "files": outcomes})
    else:
        _print_outcomes([(item.path, item.outcome, item.reason) for item in outcomes], counts)
    raise typer.Exit(1 if counts["failed"] or counts["quarantined"] else 0)


def send(
    paths: PathsArgument,
    to: Annotated[str, typer.Option("--to", metavar="NODE|AET@HOST:PORT", help="Where to.")],
    associations: Annotated[int, typer.Option(min=1, max=64, help="Associations at once.")] = 4,
    urgent: Annotated[
        bool, typer.Option("--urgent", help="Do not wait for the bandwidth limit of the node, nor for its calendar.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Send Part 10 files over DICOM, data set bytes unchanged. Exit status 0 only if all were confirmed.

    To a node, the bandwidth limit of the node holds, shared with all that is sent to it.
    """
    from gantry.nodes.meter import URGENT
    from gantry.transfers.send_paths import FileOutcome, send_paths

    outcomes: list[FileOutcome] = []
    with _link(to, len(paths), urgent=urgent) as (where, meter), cli_output.progress("Sending", quiet=json) as advance:

        def note(outcome: FileOutcome) -> None:
            outcomes.append(outcome)
            advance(1)

        priority = URGENT if urgent else 0
        report = send_paths(paths, where, note, associations=associations, meter=meter, priority=priority)
    if json:
        cli_output.print_json(
            [{**cli_output.plain(outcome), "status": outcome.dimse_status, "reason": outcome.explanation} for outcome in outcomes]
        )
    else:
        _print_outcomes([(item.path, item.outcome, item.explanation) for item in outcomes], report.counts)
        cli_output.note(f"{cli_output.size(report.bytes_confirmed)} of data sets confirmed by {where.address}")
    if report.failure:
        cli_output.note(f"{where.address}: {report.failure}")
    raise typer.Exit(0 if report.ok else 1)


@contextmanager
def _link(to: str, count: int, *, urgent: bool) -> Iterator[tuple[SendTarget, Meter | None]]:
    """Where it goes, and the bandwidth of that node. Raises LinkClosed."""
    where = target(to)
    if "@" in to:
        yield where, None
        return
    with house(create=False):
        from gantry.audit import by_cli, record
        from gantry.nodes import registry
        from gantry.nodes.calendar import parse_calendar
        from gantry.nodes.meter import Meter
        from gantry.transfers.errors import LinkClosed
        from gantry.transfers.send_paths import opening

        node = registry.get(to)
        meter = Meter(node.pk, parse_calendar(node.bandwidth), ZoneInfo(load().time_zone)) if node.bandwidth else None
        if meter is not None and meter.rate() == 0 and not urgent:
            raise LinkClosed(f"the bandwidth calendar of the node {to} is closed{opening(meter)}")
        with connected(create=False) as connection:
            record(connection, "node.send", by_cli(), kind="node", key=to, after={"count": count, "urgent": urgent})
        try:
            yield where, meter
        finally:
            if meter is not None:
                meter.close()


def _print_outcomes(outcomes: Sequence[tuple[str, str, str]], counts: Mapping[str, int]) -> None:
    others = [outcome for outcome in outcomes if outcome[1] not in _GOOD]
    if others:
        cli_output.print_table(("file", "outcome", "explanation"), others[:_SHOWN])
    if len(others) > _SHOWN:
        cli_output.note(f"... and {len(others) - _SHOWN} more; --json lists all.")
    cli_output.note(", ".join(f"{count} {word}" for word, count in sorted(counts.items())) or "No files.")


def studies(
    query: Annotated[
        str | None,
        typer.Argument(help="As in the search box of the web app: name, Patient ID, accession number, day, modality, UID."),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many.")] = 100,
    json: JsonOption = False,
) -> None:
    """List studies, the last received first."""
    with connected(create=False) as connection:
        from gantry.catalogue import Wanted, search_studies

        page = search_studies(connection, Wanted(text=query or ""), limit=limit)
    if json:
        cli_output.print_json(
            [{key: value for key, value in cli_output.plain(item).items() if key != "place"} for item in page.items]
        )
    else:
        cli_output.print_table(
            _STUDY_COLUMNS,
            (
                (item.patient_id, item.patient_name, item.study_date, item.modalities, item.study_description, item.series_count,
                 item.instance_count, cli_output.size(item.size_bytes), item.conflict_count or "", item.study_instance_uid)
                for item in page.items
            ),
            empty="No studies.",
        )  # fmt: skip
    if page.next:
        cli_output.note(f"There are more than {limit}; narrow the query, or use --limit.")


def verify(
    mend: Annotated[bool, typer.Option("--mend", help="Index files the index does not know, remove halves of files.")] = False,
    yes: YesOption = False,
    grace: Annotated[
        float | None, typer.Option(help="Leave alone what is younger and unknown, seconds (default: 60 while `gantry up` runs).")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Compare every stored file with its digest and the index, both ways. Exit status 1 if problems are left."""
    if mend:
        cli_output.confirm("Mending removes halves of files that were never acknowledged. Go on?", yes=yes)
    with connected(create=False) as connection:
        from gantry.main import home as homes
        from gantry.main import verify_home

        home = homes.open_home(load().home, create=False)
        patience = grace if grace is not None else 60.0 if homes.is_claimed(home) else 0.0
        with cli_output.progress("Verifying", total=verify_home.count_files(connection), quiet=json) as advance:
            report = verify_home.verify_home(home, connection, grace_seconds=patience, on_file=advance)
        if mend:
            verify_home.mend_home(home, connection, report)
    left = report.left
    if json:
        cli_output.print_json({**cli_output.plain(report), "left": left, "ok": not left})
    else:
        answers = {id(item.finding): f"{item.action}: {item.explanation}" for item in report.mended}
        if report.problems:
            rows = ((item.kind, item.path, item.explanation, answers.get(id(item), "")) for item in report.problems)
            cli_output.print_table(("finding", "file", "explanation", "mended"), rows)
        cli_output.note(f"{report.checked} files ({cli_output.size(report.bytes)}) compared, {len(left)} problems left.")
        if left and not mend:
            cli_output.note(
                "`gantry verify --mend` mends what can be mended; damaged or missing bytes must be sent again or restored."
            )
    raise typer.Exit(1 if left else 0)
