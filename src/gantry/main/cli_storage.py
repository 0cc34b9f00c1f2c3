"""`gantry storage`, `studies`, `trash`: volumes, scrubber, deleting and keeping studies."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from typer.core import TyperGroup

from gantry.main import cli_data, cli_output
from gantry.main.cli_context import connected, load
from gantry.main.cli_output import JsonOption, YesOption
from gantry.main.cli_storage_words import gigabytes, parse_size

ReasonOption = Annotated[str, typer.Option("--reason", help="Why; kept in the audit.")]
UidArgument = Annotated[str, typer.Argument(metavar="STUDY", help="Study Instance UID.")]
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="Of the volume.")]
QuotaOption = Annotated[str | None, typer.Option("--quota", metavar="SIZE", help="As in 500GB; 0: none.")]
ReserveOption = Annotated[str | None, typer.Option("--reserve", metavar="SIZE", help="Free space to keep, as in 10GB.")]


class OrList(TyperGroup):
    """A group whose first word may be left out: then it lists."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        first = next((word for word in args if not word.startswith("-")), "")
        if first not in self.commands and not {"-h", "--help"} & set(args):
            args = ["list", *args]
        return super().parse_args(ctx, args)


studies = typer.Typer(cls=OrList, help="Studies: list, delete, restore, protect, hold. `gantry studies QUERY` lists.")
storage = typer.Typer(no_args_is_help=True, help="Volumes, retention, the scrubber.")
trash = typer.Typer(cls=OrList, help="Deleted studies.")
retention = typer.Typer(cls=OrList, help="Rules by which studies go to the trash.")
storage.add_typer(retention, name="retention")
studies.command("list")(cli_data.studies)


# Studies and the trash


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


# Volumes and the scrubber


@storage.command("volumes")
def volumes(json: JsonOption = False) -> None:
    """List the volumes of this home, in the order in which they are filled. Exit status 1 if one is missing."""
    with connected(create=False) as connection:
        from gantry.intake.volumes import levels

        found = levels(connection, Path(load().home))
    missing = any(one.state == "missing" for one in found)
    if json:
        cli_output.print_json(
            [
                {**cli_output.plain(one.volume), "state": one.state, "note": one.note, "free_bytes": one.free_bytes}
                for one in found
            ]
        )
    else:
        rows = (
            (one.volume.name, one.state, cli_output.size(one.volume.used_bytes), gigabytes(one.volume.quota_bytes),
             gigabytes(one.free_bytes), gigabytes(one.volume.reserve_bytes or None), one.volume.path, one.note)
            for one in found
        )  # fmt: skip
        cli_output.print_table(("volume", "state", "used#", "quota#", "free#", "reserve#", "path", "note"), rows)
    raise typer.Exit(1 if missing else 0)


@storage.command("add-volume")
def add_volume(
    name: NameArgument,
    path: Annotated[Path, typer.Argument(help="An empty folder, best of another file system.")],
    quota: QuotaOption = None,
    reserve: ReserveOption = None,
    json: JsonOption = False,
) -> None:
    """Add a volume; it is written to when those before it are full."""
    with connected(create=False) as connection:
        from gantry.audit import by_cli
        from gantry.intake import volumes as verbs

        made = verbs.add_volume(
            connection, Path(load().home), name, path, quota_bytes=parse_size(quota) or None,
            reserve_bytes=parse_size(reserve) or 0, by=by_cli(),
        )  # fmt: skip
    if json:
        cli_output.print_json(made)
    else:
        cli_output.note(f"Volume {name} is there; the indexer uses it within seconds.")


@storage.command("set")
def set_volume(
    name: NameArgument,
    quota: QuotaOption = None,
    reserve: ReserveOption = None,
    state: Annotated[Literal["writing", "readonly"] | None, typer.Option(help="Whether new objects go there.")] = None,
    position: Annotated[int | None, typer.Option(min=0, max=10000, help="Volumes are filled in this order.")] = None,
    path: Annotated[Path | None, typer.Option(help="Where the same volume is mounted now.")] = None,
    json: JsonOption = False,
) -> None:
    """Change a volume; the home itself is the volume `home`."""
    with connected(create=False) as connection:
        from gantry.audit import by_cli
        from gantry.intake import volumes as verbs

        changes = verbs.Changes(state, parse_size(quota), parse_size(reserve), position, path)
        changed = verbs.set_volume(connection, Path(load().home), name, changes, by=by_cli())
    if json:
        cli_output.print_json(changed)
    else:
        cli_output.note(f"Volume {name} is changed.")


@storage.command("remove-volume")
def remove_volume(name: NameArgument, json: JsonOption = False) -> None:
    """Forget a volume on which nothing lies."""
    with connected(create=False) as connection:
        from gantry.audit import by_cli
        from gantry.intake import volumes as verbs

        verbs.remove_volume(connection, Path(load().home), name, by=by_cli())
    if json:
        cli_output.print_json({"removed": name})
    else:
        cli_output.note(f"Volume {name} is forgotten; its folder is left as it is.")


@storage.command("scrub")
def scrub(
    now: Annotated[bool, typer.Option("--now", help="Compare everything now, in this command, as fast as it goes.")] = False,
    status: Annotated[bool, typer.Option("--status", help="Only say how far it is.")] = False,
    json: JsonOption = False,
) -> None:
    """Compare stored files with their digests and the index, and mend. Without --now the worker does it, slowly.

    Exit status 1 if problems are left.
    """
    with connected(create=False) as connection:
        from gantry.intake import scrub as verbs

        home = Path(load().home)
        if now:
            from gantry.main import home as homes
            from gantry.transfers.heal import scrub_home

            patience = 120.0 if homes.is_claimed(homes.open_home(home, create=False)) else 0.0
            if scrub_home(connection, home, begin=True, grace_seconds=patience, unbridled=True) is None:
                cli_output.note("Another process scrubs this home right now.")
        elif not status:
            verbs.ask(connection, home)
        state = verbs.status(connection, home)
        found = verbs.list_findings(connection, home, limit=1000)
    if json:
        cli_output.print_json({"status": state, "findings": found})
    else:
        _print_scrub(state, found)
    raise typer.Exit(1 if found else 0)


def _print_scrub(state: Any, found: list[Any]) -> None:
    if found:
        rows = ((one.kind, one.path, one.explanation, one.action_note, one.found_at) for one in found)
        cli_output.print_table(("finding", "file", "explanation", "what was tried", "since"), rows)
    if state is None:
        return
    share = f" of about {cli_output.size(state.total_bytes)}" if state.total_bytes else ""
    words = f"{state.checked_files} files ({cli_output.size(state.checked_bytes)}{share}) compared"
    words += f", {state.problems} problems, {state.mended} mended"
    where = f"running, phase {state.phase}" if state.state == "running" else "idle"
    if state.asked_at is not None:
        where += ", asked for: it begins within a minute where a worker runs"
    cli_output.note(f"The scrubber is {where}; this pass: {words}. {state.open_findings} findings are open.")
    if state.note:
        cli_output.note(state.note)


@storage.command("recycle")
def recycle(json: JsonOption = False) -> None:
    """Do now what the worker does every five minutes: empty what expired, apply retention rules, recycle for quotas."""
    with connected(create=False) as connection:
        from gantry.transfers.recycle import run_life

        run = run_life(connection, Path(load().home))
    if json:
        cli_output.print_json(run)
    else:
        cli_output.note(
            f"{run.trashed} studies went to the trash by rules, {run.removed} left it for good, {run.recycled} were recycled; "
            f"{run.unlinked} files are gone."
        )
        for line in run.notes:
            cli_output.note(line)


@retention.command("list")
def list_rules(json: JsonOption = False) -> None:
    """List retention rules."""
    with connected(create=False) as connection:
        from gantry.catalogue.retention import list_rules as verb

        found = verb(connection)
    if json:
        cli_output.print_json(found)
        return
    rows = (
        (one.name, one.calling_aet or "any", one.modality or "any", f"{one.days} days after {one.after}", one.enabled)
        for one in found
    )
    cli_output.print_table(("rule", "sender", "modality", "to the trash", "enabled"), rows, empty="No retention rules.")


@retention.command("set")
def put_rule(
    name: Annotated[str, typer.Argument(help="Of the rule.")],
    days: Annotated[int, typer.Option(min=0, help="So many days after.")],
    after: Annotated[Literal["delivered", "received"], typer.Option(help="After what.")] = "delivered",
    calling_aet: Annotated[str, typer.Option(help="Only what this AE title sent.")] = "",
    modality: Annotated[str, typer.Option(help="Only studies with this modality.")] = "",
    disable: Annotated[bool, typer.Option("--disable", help="Keep the rule, do not apply it.")] = False,
    json: JsonOption = False,
) -> None:
    """Add a retention rule, or change the one of this name."""
    with connected(create=False) as connection:
        from gantry.audit import by_cli
        from gantry.catalogue.retention import put_rule as verb

        verb(
            connection, name, days=days, calling_aet=calling_aet, modality=modality, after=after, enabled=not disable, by=by_cli()
        )
    if json:
        cli_output.print_json({"name": name})
    else:
        cli_output.note(f"Rule {name} is kept.")


@retention.command("remove")
def drop_rule(name: Annotated[str, typer.Argument(help="Of the rule.")], json: JsonOption = False) -> None:
    """Remove a retention rule."""
    with connected(create=False) as connection:
        from gantry.audit import by_cli
        from gantry.catalogue.retention import drop_rule as verb

        verb(connection, name, by=by_cli())
    if json:
        cli_output.print_json({"removed": name})
    else:
        cli_output.note(f"Rule {name} is removed; what it sent to the trash stays there.")
