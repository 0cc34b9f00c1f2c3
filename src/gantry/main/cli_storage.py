"""`gantry storage`: volumes, retention, the scrubber."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from gantry.main import cli_output
from gantry.main.cli_context import OrList, connected, load
from gantry.main.cli_output import JsonOption
from gantry.main.cli_storage_words import gigabytes, parse_size

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="Of the volume.")]
QuotaOption = Annotated[str | None, typer.Option("--quota", metavar="SIZE", help="As in 500GB; 0: none.")]
ReserveOption = Annotated[str | None, typer.Option("--reserve", metavar="SIZE", help="Free space to keep, as in 10GB.")]


storage = typer.Typer(no_args_is_help=True, help="Volumes, retention, the scrubber.")
retention = typer.Typer(cls=OrList, help="Rules by which studies go to the trash.")
storage.add_typer(retention, name="retention")


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
        (
            one.name,
            one.calling_aet or "any",
            one.modality or "any",
            f"{one.days} days after {one.after}",
            "yes" if one.enabled else "no",
        )
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
