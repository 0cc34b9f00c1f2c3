"""`gantry audit`: who did what, and whether anybody has touched the book."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from gantry.main import cli_output
from gantry.main.cli_context import connected, house
from gantry.main.cli_output import JsonOption

app = typer.Typer(no_args_is_help=True, help="Audit: who did what, when, from where, to which patient's data.")
_COLUMNS = ("when", "act", "who", "via", "from", "what", "study", "patient", "reason")
SinceOption = Annotated[
    datetime | None,
    typer.Option(
        help="From then on (UTC unless it names a zone).", formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S%z"]
    ),
]
UntilOption = Annotated[
    datetime | None, typer.Option(help="Before then.", formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S%z"])
]


def _aware(moment: datetime | None) -> datetime | None:
    return moment.replace(tzinfo=UTC) if moment is not None and moment.tzinfo is None else moment


def _as_dict(entry: Any) -> dict[str, Any]:
    from gantry.audit.export import FIELDS

    return {field: getattr(entry, field) for field in FIELDS if field not in {"chain", "seq", "digest"}}


@app.command("list")
def list_(
    who: Annotated[str, typer.Option(help="User, AE title, or user of the operating system.")] = "",
    act: Annotated[str, typer.Option(help="A whole act (node.edit) or its noun (node).")] = "",
    study: Annotated[str, typer.Option(help="Study Instance UID.")] = "",
    patient: Annotated[str, typer.Option(help="Patient ID.")] = "",
    since: SinceOption = None,
    until: UntilOption = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="At most so many.")] = 50,
    json: JsonOption = False,
) -> None:
    """List entries, the newest first."""
    with house(create=False):
        from gantry.audit.find import Question, find

        question = Question(
            who=who, act=act, study_uid=study, patient_id=patient, since=_aware(since), until=_aware(until)
        )  # fmt: skip
        found = [_as_dict(entry) for entry in find(question).order_by("-pk")[: limit + 1]]
    if json:
        cli_output.print_json(found[:limit])
    else:
        rows = (
            (one["at"], one["act"], one["who"], one["via"], one["address"], " ".join(filter(None, (one["kind"], one["key"]))),
             one["study_uid"], one["patient_id"], one["reason"])
            for one in found[:limit]
        )  # fmt: skip
        cli_output.print_table(_COLUMNS, rows, empty="No entries fit.")
    if len(found) > limit:
        cli_output.note(f"There are more than {limit}; narrow the question, or use --limit or `gantry audit export`.")


@app.command()
def verify(
    anchor: Annotated[
        Path | None,
        typer.Option(help="File of anchors: all in it are checked, and the head of today is appended when all is well."),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Walk the chains: was an entry changed, removed, slipped in, or the end cut off? Exit status 1 if so."""
    with connected(create=False) as connection:
        from gantry.audit import anchors
        from gantry.audit.verify import verify as check
        from gantry.audit.work import place
        from gantry.main.cli_context import load

        own = place(load().home)
        known = [*anchors.read(own), *(anchors.read(anchor) if anchor else [])]
        report = check(connection, known)
    if report.ok and anchor:
        anchors.keep(anchor, report.heads)
    if json:
        heads = {str(chain): {"seq": seq, "digest": digest} for chain, (seq, digest) in report.heads.items()}
        cli_output.print_json(
            {"ok": report.ok, "entries": report.entries, "anchors": len(known), "retirements": report.retirements,
             "head": report.head, "heads": heads, "problem_count": report.problem_count, "problems": report.problems}
        )  # fmt: skip
    else:
        if report.problems:
            rows = ((problem.kind, problem.entry_id, problem.explanation) for problem in report.problems)
            cli_output.print_table(("finding", "entry#", "explanation"), rows)
        cli_output.note(f"{report.entries} entries, {len(known)} anchors, {report.problem_count} problems.")
        if report.retirements:
            cli_output.note(f"Old entries were retired {report.retirements} times: `gantry audit list --act audit.retire`.")
        cli_output.note(f"Head: {report.head}")
    raise typer.Exit(0 if report.ok else 1)


@app.command("export")
def export_(
    form: Annotated[Literal["jsonl", "csv"], typer.Option("--format", help="JSON lines, or CSV for a spreadsheet.")] = "jsonl",
    since: SinceOption = None,
    until: UntilOption = None,
    to: Annotated[Path | None, typer.Option("--to", help="A new file (default: stdout).")] = None,
) -> None:
    """Write entries with their place in the chain, oldest first. It is recorded itself."""
    with connected(create=False) as connection:
        from gantry.audit import by_cli, record
        from gantry.audit.export import export

        after = {"format": form, "since": str(since or ""), "until": str(until or "")}
        record(connection, "audit.export", by_cli(), after=after)
        lines = export(connection, form, since=_aware(since), until=_aware(until))
        if to is None:
            for line in lines:
                sys.stdout.write(line)
            return
        count = 0
        with open(to, "x", encoding="utf-8", newline="") as file:
            for line in lines:
                file.write(line)
                count += 1
        cli_output.note(f"Wrote {count - (form == 'csv')} entries to {to}.")


def note_act(act: str, node: str, paths_or_uids: int, *, study_uid: str = "") -> None:
    """Record what a command did with a node that has a name; an address typed in needs no home, so it has no audit."""
    if "@" in node:
        return
    with connected(create=False) as connection:
        from gantry.audit import by_cli, record

        record(connection, act, by_cli(), kind="node", key=node, study_uid=study_uid, after={"count": paths_or_uids})
