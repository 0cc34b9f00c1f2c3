"""`gantry quarantine`: what could not be indexed."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Literal
from uuid import UUID

import typer

from gantry.main import cli_output
from gantry.main.cli_context import OrList, connected, load
from gantry.main.cli_output import JsonOption, YesOption
from gantry.main.cli_studies import ReasonOption

quarantine = typer.Typer(cls=OrList, help="Objects that could not be indexed.")
IdArgument = Annotated[str, typer.Argument(metavar="ID", help="Of the held object, or its first characters.")]


@quarantine.command("list")
def list_held(
    state: Annotated[Literal["held", "indexed", "accepted", "discarded", "all"], typer.Option(help="Which.")] = "held",
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many.")] = 100,
    json: JsonOption = False,
) -> None:
    """List objects that could not be indexed, the newest first."""
    with connected(create=False) as connection:
        from gantry.intake.quarantine import list_held as verb

        found = verb(connection, state=None if state == "all" else state, limit=limit)
    if json:
        cli_output.print_json(found)
        return
    rows = (
        (
            str(one.id),
            one.state,
            one.reason,
            one.explanation,
            one.calling_aet,
            cli_output.size(one.file_bytes),
            one.quarantined_at,
        )
        for one in found
    )
    cli_output.print_table(("id", "state", "reason", "explanation", "sender", "size#", "since"), rows, empty="Nothing is held.")


@quarantine.command("show")
def show(identifier: IdArgument, json: JsonOption = False) -> None:
    """Show why an object is held, and which UIDs can be read in it."""
    with connected(create=False) as connection:
        from gantry.intake.quarantine import get_held

        found = get_held(connection, Path(load().home), _whole_id(connection, identifier))
    if json:
        cli_output.print_json(found)
        return
    held = found.held
    rows = (
        ("state", held.state), ("reason", held.explanation), ("sender", f"{held.calling_aet} {held.remote_address}".strip()),
        ("received", held.received_at), ("SOP class", found.sop_class_uid), ("SOP instance", found.sop_instance_uid),
        ("study", found.study_instance_uid), ("series", found.series_instance_uid),
        ("transfer syntax", held.transfer_syntax_uid), ("file", held.file_path), ("problem", found.problem),
    )  # fmt: skip
    cli_output.print_table(("of it", "value"), [row for row in rows if row[1]])


@quarantine.command("accept")
def accept(
    identifier: IdArgument,
    reason: ReasonOption,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEYWORD=UID", help="Set a UID in a copy of it; repeat for several.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Send a held object through the door again, as it is or with UIDs set."""
    repairs = dict(_pair(text) for text in set_ or ())
    with connected(create=False) as connection:
        from gantry.audit import by_cli
        from gantry.intake.quarantine import accept_held

        state = accept_held(
            connection, Path(load().home), _whole_id(connection, identifier), by=by_cli(), reason=reason, repairs=repairs
        )
    if json:
        cli_output.print_json({"id": identifier, "state": state})
    else:
        cli_output.note("It is in the index now." + (" The original stays in the quarantine." if state == "accepted" else ""))


def _pair(text: str) -> tuple[str, str]:
    keyword, sign, value = text.partition("=")
    if not sign:
        raise typer.BadParameter(f"{text[:80]!r}: write KEYWORD=UID, as in StudyInstanceUID=1.2.3")
    return keyword.strip(), value.strip()


@quarantine.command("discard")
def discard(identifier: IdArgument, reason: ReasonOption, yes: YesOption = False, json: JsonOption = False) -> None:
    """Delete the bytes of a held object for good."""
    cli_output.confirm("Its bytes are deleted, and nothing brings them back. Go on?", yes=yes)
    with connected(create=False) as connection:
        from gantry.audit import by_cli
        from gantry.intake.quarantine import discard_held

        discard_held(connection, Path(load().home), _whole_id(connection, identifier), by=by_cli(), reason=reason)
    if json:
        cli_output.print_json({"id": identifier, "state": "discarded"})
    else:
        cli_output.note("It is discarded.")


def _whole_id(connection: Any, text: str) -> UUID:
    """The id that begins like this. Raises BadParameter."""
    with suppress(ValueError):
        return UUID(text)
    found = connection.execute(
        "SELECT id FROM intake_quarantinedobject WHERE starts_with(id::text, %s) ORDER BY id LIMIT 2", [text.lower()]
    ).fetchall()
    if len(text) < 4 or len(found) != 1:
        raise typer.BadParameter(f"{text[:40]!r} is the beginning of no id, or of several; `gantry quarantine` lists them")
    return UUID(str(found[0][0]))
