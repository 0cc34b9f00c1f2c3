"""`gantry studies`, `trash`: deleting and keeping studies."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from gantry.main import cli_data, cli_output
from gantry.main.cli_context import OrList, connected, load
from gantry.main.cli_output import JsonOption, YesOption

ReasonOption = Annotated[str, typer.Option("--reason", help="Why; kept in the audit.")]
UidArgument = Annotated[str, typer.Argument(metavar="STUDY", help="Study Instance UID.")]

studies = typer.Typer(cls=OrList, help="Studies: list, delete, restore, protect, hold. `gantry studies QUERY` lists.")
trash = typer.Typer(cls=OrList, help="Deleted studies.")
studies.command("list")(cli_data.studies)


@studies.command("delete")
def delete(uid: UidArgument, reason: ReasonOption, yes: YesOption = False, json: JsonOption = False) -> None:
    """Put a study into the trash: it vanishes everywhere, and can be restored until its time there is over."""
    cli_output.confirm("The study goes to the trash and is no longer found or sent. Go on?", yes=yes)
    with connected(create=False) as connection:
        from gantry.audit import by_cli
        from gantry.catalogue.trash import put_in_trash
        from gantry.transfers.recycle import count_open_of_study

        gone = put_in_trash(connection, uid, by=by_cli(), reason=reason, count_open=count_open_of_study)
    if json:
        cli_output.print_json(gone)
    else:
        until = cli_output.text(gone.expires_at)
        cli_output.note(
            f"{gone.instance_count} instances are in the trash until {until}; `gantry trash restore {uid}` undoes it."
        )


@studies.command("restore")
@trash.command("restore")
def restore(uid: UidArgument, json: JsonOption = False) -> None:
    """Take a study out of the trash, as it was."""
    with connected(create=False) as connection:
        from gantry.audit import by_cli
        from gantry.catalogue import trash as verbs

        count = verbs.restore(connection, uid, by=by_cli())
    if json:
        cli_output.print_json({"study_instance_uid": uid, "instances": count})
    else:
        cli_output.note(f"The study is back, with {count} instances.")


@studies.command("protect")
def protect(uid: UidArgument, reason: ReasonOption = "", json: JsonOption = False) -> None:
    """Keep a study from being deleted and recycled."""
    _protect(uid, reason, on=True, json=json)


@studies.command("unprotect")
def unprotect(uid: UidArgument, reason: ReasonOption = "", json: JsonOption = False) -> None:
    """Take the protection away; a legal hold stays."""
    _protect(uid, reason, on=False, json=json)


def _protect(uid: str, reason: str, *, on: bool, json: bool) -> None:
    with connected(create=False) as connection:
        from gantry.audit import by_cli
        from gantry.catalogue import protect as verbs

        changed = verbs.protect(connection, uid, by=by_cli(), reason=reason, on=on)
    if json:
        cli_output.print_json({"study_instance_uid": uid, "protected": on, "changed": changed})
    else:
        cli_output.note(f"The study is {'' if on else 'no longer '}protected.")


@studies.command("hold")
def hold(
    uid: UidArgument,
    label: Annotated[str, typer.Option("--label", help="Names the hold, as a case number does.")],
    reason: ReasonOption,
    json: JsonOption = False,
) -> None:
    """Place a legal hold: nothing deletes the study while it is not lifted."""
    with connected(create=False) as connection:
        from gantry.audit import by_cli
        from gantry.catalogue import protect as verbs

        fresh = verbs.hold(connection, uid, label=label, reason=reason, by=by_cli())
    if json:
        cli_output.print_json({"study_instance_uid": uid, "label": label, "new": fresh})
    else:
        cli_output.note("The hold is placed." if fresh else "There was such a hold already.")


@studies.command("lift")
def lift(
    uid: UidArgument,
    label: Annotated[str, typer.Option("--label", help="Which hold.")],
    reason: ReasonOption,
    yes: YesOption = False,
    json: JsonOption = False,
) -> None:
    """Lift a legal hold."""
    cli_output.confirm("The study may be deleted after that. Go on?", yes=yes)
    with connected(create=False) as connection:
        from gantry.audit import by_cli
        from gantry.catalogue import protect as verbs

        verbs.lift(connection, uid, label=label, reason=reason, by=by_cli())
    if json:
        cli_output.print_json({"study_instance_uid": uid, "label": label, "lifted": True})
    else:
        cli_output.note("The hold is lifted.")


@studies.command("holds")
def holds(
    ended: Annotated[bool, typer.Option("--all", help="Those that were lifted, too.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=10000, help="At most so many.")] = 1000,
    json: JsonOption = False,
) -> None:
    """List legal holds, the newest first."""
    with connected(create=False) as connection:
        from gantry.catalogue.protect import list_holds

        found = list_holds(connection, ended=ended, limit=limit)
    if json:
        cli_output.print_json(found)
        return
    rows = ((one.label, one.study_instance_uid, one.reason, one.placed_by, one.placed_at, one.lifted_at) for one in found)
    cli_output.print_table(("label", "Study Instance UID", "reason", "by", "since", "lifted"), rows, empty="No holds.")


@trash.command("list")
def list_trash(
    all_: Annotated[bool, typer.Option("--all", help="Those that were restored or removed, too.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=10000, help="At most so many.")] = 1000,
    json: JsonOption = False,
) -> None:
    """List deleted studies, the last first."""
    with connected(create=False) as connection:
        from gantry.catalogue.trash import list_trash as verb

        found = verb(connection, state=None if all_ else "trash", limit=limit)
    if json:
        cli_output.print_json(found)
        return
    rows = (
        (one.study_instance_uid, one.state, one.instance_count, cli_output.size(one.size_bytes), one.reason, one.trashed_by,
         one.trashed_at, one.expires_at)
        for one in found
    )  # fmt: skip
    columns = ("Study Instance UID", "state", "instances#", "size#", "reason", "by", "deleted", "removed for good")
    cli_output.print_table(columns, rows, empty="The trash is empty.")


@trash.command("empty")
def empty(
    uids: Annotated[list[str] | None, typer.Argument(metavar="[STUDY...]", help="Only these (default: all).")] = None,
    reason: ReasonOption = "the trash was emptied",
    yes: YesOption = False,
    json: JsonOption = False,
) -> None:
    """Remove studies in the trash for good, before their time. Exit status 1 if something keeps one of them."""
    cli_output.confirm("Their bytes are deleted, and nothing brings them back. Go on?", yes=yes)
    gone: list[Any] = []
    kept: dict[str, str] = {}
    with connected(create=False) as connection:
        from gantry.audit import by_cli
        from gantry.catalogue.errors import CatalogueError
        from gantry.catalogue.remove import remove_study
        from gantry.catalogue.trash import list_trash as listed
        from gantry.intake.volumes import of_home
        from gantry.transfers.recycle import ABOVE, unlink_all

        for uid in uids or [one.study_instance_uid for one in listed(connection, limit=100_000)]:
            try:
                gone.append(remove_study(uid, ABOVE, by=by_cli(), reason=reason))
            except CatalogueError as error:
                kept[uid] = str(error)
        files = unlink_all(connection, of_home(connection, Path(load().home)))
    if json:
        cli_output.print_json({"removed": gone, "kept": kept, "files": files})
    else:
        cli_output.print_table(("Study Instance UID", "kept because"), kept.items()) if kept else None
        size = cli_output.size(sum(one.bytes for one in gone))
        cli_output.note(f"{len(gone)} studies are removed for good: {files} files, {size}.")
    raise typer.Exit(1 if kept else 0)
