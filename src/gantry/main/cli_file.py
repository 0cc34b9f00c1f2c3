"""`gantry export` and `gantry apply`: the whole set-up as one file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gantry.main import cli_output
from gantry.main.cli_context import house
from gantry.main.cli_output import JsonOption, YesOption

if TYPE_CHECKING:
    from gantry.main.one_file.apply import Result

#: Exit status of a dry run when something would change.
WOULD_CHANGE = 3
_MARKS = {"added": "+", "changed": "~", "removed": "-", "unmanaged": "?", "named": "!"}
FileArgument = Annotated[str, typer.Argument(metavar="FILE", help="The file; - reads it from standard input.")]


def export(
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write it there (0600) and not to stdout.")] = None,
    json: JsonOption = False,
) -> None:
    """Write the whole set-up as one file (YAML), without secrets; the same set-up gives the same text."""
    with house(create=False) as home:
        from gantry.main.home import write_private
        from gantry.main.one_file import export as exporting

        found = exporting.collect(home.path)
        text = exporting.as_yaml(found)
        if output is not None:
            write_private(output, text)
    if json:
        cli_output.print_json(found)
    elif output is None:
        sys.stdout.write(text)
        sys.stdout.flush()
    else:
        cli_output.note(f"Wrote {output}.")


def apply(
    file: FileArgument,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would change; exit status 3 if anything.")] = False,
    prune: Annotated[bool, typer.Option("--prune", help="Remove what its sections do not name (never users).")] = False,
    seal: Annotated[bool, typer.Option("--seal", help="Take secrets that stand in the file in clear, and seal them.")] = False,
    invite: Annotated[bool, typer.Option("--invite", help="Invite new users who have an e-mail address; else: locked.")] = False,
    settings: Annotated[bool, typer.Option("--settings", help="Write changed settings into gantry.yaml too.")] = False,
    yes: YesOption = False,
    json: JsonOption = False,
) -> None:
    """Bring the instance to what a file says, all of it or nothing, and show what changed.

    Exit status: 0 done, or nothing to do; 1 it failed; 2 the file is wrong, nothing was changed; 3 a dry run found
    something to do.
    """
    raw, name = _read(file)
    with house() as home:
        from dataclasses import replace

        from gantry.audit import by_cli
        from gantry.main.one_file.apply import Options, apply, parsed
        from gantry.main.one_file.errors import FileRefused
        from gantry.main.one_file.text import read

        options = Options(dry_run=dry_run, prune=prune, seal=seal, invite=invite, settings=settings)
        try:
            parsed(read(raw, name))
            if prune and not dry_run and not yes:
                rehearsal = apply(raw, home.path, by_cli(), replace(options, dry_run=True), name=name)
                gone = [str(change) for change in rehearsal.changes if change.change == "removed"]
                if gone:
                    cli_output.confirm(f"{'; '.join(gone)[:2000]}. Do it?", yes=False)
            result = apply(raw, home.path, by_cli(), options, name=name)
        except FileRefused as error:
            _refused(error, json=json)
            raise typer.Exit(2) from None
    _show(result, json=json)
    raise typer.Exit(WOULD_CHANGE if dry_run and result.changed else 0)


def _read(file: str) -> tuple[bytes, str]:
    from gantry.main.one_file.text import MAX_BYTES

    if file == "-":
        return sys.stdin.buffer.read(MAX_BYTES + 1), "stdin"
    with open(file, "rb") as opened:
        return opened.read(MAX_BYTES + 1), file


def _refused(error: Any, *, json: bool) -> None:
    if json:
        cli_output.print_json({"problems": error.problems})
        return
    for line in error.lines:
        cli_output.err.print(f"[red]{cli_output.text(line)}[/red]", soft_wrap=True)
    cli_output.note(error.advice)


def _show(result: Result, *, json: bool) -> None:
    if json:
        cli_output.print_json(result.as_dict())
        return
    for one in result.changes:
        cli_output.out.print(cli_output.text(f"{_MARKS[one.change]} {one.section} {one.key}"), soft_wrap=True)
        if one.change in {"added", "changed", "named"}:
            _show_fields(one.fields)
    for line in result.notes:
        cli_output.note(line)
    count = sum(1 for one in result.changes if one.real)
    if any(one.change == "unmanaged" for one in result.changes):
        cli_output.note("? is here and not in the file; --prune removes it (users stay).")
    if any(one.change == "named" for one in result.changes):
        cli_output.note("! is set otherwise here; --settings writes it into gantry.yaml.")
    if not count:
        cli_output.note("Nothing to do." if not result.changes else "Nothing else to do.")
    else:
        cli_output.note(f"{count} would change; nothing was done." if result.dry_run else f"{count} changed.")


def _show_fields(fields: dict[str, tuple[Any, Any]]) -> None:
    from gantry.main.one_file.plan import shown

    for name, (before, after) in fields.items():
        words = shown(after) if before is None else f"{shown(before)} -> {shown(after)}"
        cli_output.out.print(cli_output.text(f"    {name}: {words}"), soft_wrap=True)
