"""`gantry backup`, `gantry restore`, `gantry secrets`: index and settings away and back, and new keys for what is sealed."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Annotated

import typer

from gantry.main import cli_output
from gantry.main.cli_context import connected, house, load
from gantry.main.cli_output import JsonOption, YesOption

secrets = typer.Typer(no_args_is_help=True, help="Secrets that are kept in the database, sealed or by reference.")


def _say(quiet: bool, step: str) -> None:
    if not quiet:
        cli_output.note(f"... {step}")


def _note_rehearsal(good: bool) -> None:
    """In the home of this command, when there is one: a rehearsal needs none."""
    from gantry.main import backup as making
    from gantry.main import home as homes
    from gantry.main.errors import SetupError

    with contextlib.suppress(SetupError, OSError):
        home = homes.open_home(Path(load().home), create=False)
        if good:
            making.note_rehearsal(home)


def backup(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where the backup's own folder is made.")],
    keys: Annotated[
        Path | None, typer.Option("--keys", metavar="FILE", help="Write the keys too, into this file; keep it elsewhere.")
    ] = None,
    verify: Annotated[bool, typer.Option("--verify", help="Restore it into an empty home and compare every table.")] = False,
    keep: Annotated[int, typer.Option(min=0, help="Keep so many in FOLDER and remove older ones; 0: all.")] = 0,
    json: JsonOption = False,
) -> None:
    """Back up index and settings while everything runs. Exit status 1 when it failed or does not restore."""
    from gantry.audit.record import by_cli
    from gantry.main import backup as making
    from gantry.main import restore as restoring

    with house(create=False) as home:
        made = making.make(home, folder, by_cli(), keys_to=keys, sums=verify, keep=keep, say=lambda step: _say(json, step))
        rehearsal = restoring.rehearse(made.folder, say=lambda step: _say(json, f"rehearsal: {step}")) if verify else None
        if rehearsal is not None and rehearsal.ok:
            making.note_rehearsal(home)
    rows = sum(int(entry["rows"]) for entry in made.manifest.tables.values())
    if json:
        cli_output.print_json({
            "folder": made.folder, "bytes": made.bytes, "rows": rows, "tables": made.manifest.tables, "removed": made.removed,
            "not_indexed": made.manifest.not_indexed, "verified": None if rehearsal is None else rehearsal.ok,
            "differences": [] if rehearsal is None else rehearsal.differences,
        })  # fmt: skip
    else:
        cli_output.out.print(f"{made.folder}: {rows} rows in {len(made.manifest.tables)} tables, {cli_output.size(made.bytes)}")
        for line in rehearsal.differences if rehearsal else []:
            cli_output.note(f"differs: {line}")
        if rehearsal is not None and rehearsal.ok:
            cli_output.note("Restored into an empty home and compared: all tables are the same.")
        if keys is None:
            cli_output.note("The keys are not in it: `gantry backup --keys FILE` writes them; keep that file elsewhere.")
        cli_output.note("The objects are files that never change: copy HOME/objects with the tool you copy files with.")
    raise typer.Exit(0 if rehearsal is None or rehearsal.ok else 1)


def restore(
    folder: Annotated[Path, typer.Argument(metavar="BACKUP", help="The folder gantry-backup-...")],
    keys: Annotated[Path | None, typer.Option("--keys", metavar="FILE", help="The file of the keys.")] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Put the index that is there aside.")] = False,
    verify: Annotated[bool, typer.Option("--verify", help="Only rehearse: restore elsewhere, compare, throw away.")] = False,
    yes: YesOption = False,
    json: JsonOption = False,
) -> None:
    """Bring a backup into an empty home. Exit status 1 when a table is not as in the backup."""
    from gantry.audit.record import by_cli
    from gantry.main import restore as restoring

    if verify:
        done = restoring.rehearse(folder, say=lambda step: _say(json, step))
        _note_rehearsal(done.ok)
    else:
        if replace:
            cli_output.confirm("The index of this home is put aside and the backup takes its place.", yes=yes)
        done = restoring.restore(folder, load(), by_cli(), keys=keys, replace=replace, say=lambda step: _say(json, step))
    if json:
        cli_output.print_json({"home": None if verify else done.home, "made_at": done.made_at, "tables": done.tables,
                               "differences": done.differences, "notes": done.notes, "ok": done.ok})  # fmt: skip
    else:
        rows = sum(int(entry["rows"]) for entry in done.tables.values())
        what = "The rehearsal" if verify else f"{done.home}: the restore"
        cli_output.out.print(f"{what} brought {rows} rows in {len(done.tables)} tables, as of {done.made_at}.", soft_wrap=True)
        for line in done.differences:
            cli_output.note(f"differs: {line}")
        for line in done.notes:
            cli_output.note(line)
        if not verify:
            cli_output.note("Bring HOME/objects back too; then `gantry verify` names what index and files do not share.")
    raise typer.Exit(0 if done.ok else 1)


@secrets.command("rotate")
def rotate(yes: YesOption = False, json: JsonOption = False) -> None:
    """Make a new key and seal every secret anew, those of earlier releases too; the old key is forgotten."""
    cli_output.confirm("Secrets in backups made before can then only be opened with the keys backed up then. Go on?", yes=yes)
    with connected(create=False) as connection:
        from gantry import audit, config, sealing

        def note(count: int) -> None:
            audit.record(connection, "secrets.rotate", audit.by_cli(), kind="secrets", after={"resealed": count})

        count = sealing.reseal(connection, Path(config.current().home), note=note)
    if json:
        cli_output.print_json({"resealed": count})
    else:
        cli_output.out.print(f"{count} secrets were sealed with a new key. Back it up: gantry backup FOLDER --keys FILE")


@secrets.command("list")
def list_(json: JsonOption = False) -> None:
    """Show where secrets lie and how they are kept: sealed with which key, or by reference; never the secrets."""
    with connected(create=False) as connection:
        from gantry import config, sealing

        rows = [list(row) for row in sealing.overview(connection, Path(config.current().home))]
    if json:
        cli_output.print_json([dict(zip(("table", "column", "key", "secrets"), row, strict=True)) for row in rows])
    else:
        cli_output.print_table(("table", "column", "kept", "secrets#"), rows, empty="No secrets are kept in the database.")
