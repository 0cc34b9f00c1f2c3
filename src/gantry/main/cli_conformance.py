"""`gantry conformance`: the DICOM conformance statement of this instance."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from gantry.main import cli_output
from gantry.main.cli_context import load


class Format(StrEnum):
    """How it is written."""

    MD = "md"
    JSON = "json"


def conformance(
    format_: Annotated[Format, typer.Option("--format", help="md for people, json for programs.")] = Format.MD,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write it to this file.")] = None,
) -> None:
    """Print the DICOM conformance statement (PS3.2) of this instance, made from its code and settings."""
    import json

    from gantry.main.conformance import statement
    from gantry.main.conformance_page import as_markdown

    facts = statement(load())
    text = as_markdown(facts) if format_ is Format.MD else json.dumps(facts, indent=1, ensure_ascii=False) + "\n"
    if output is None:
        typer.echo(text, nl=False)
    else:
        output.write_text(text, encoding="utf-8")
        cli_output.note(f"Wrote {output}.")
