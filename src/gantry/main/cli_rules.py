"""`gantry rule`: when this arrives, it goes there."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from gantry.main import cli_output
from gantry.main.cli_context import house
from gantry.main.cli_output import JsonOption, YesOption

app = typer.Typer(no_args_is_help=True, help="Rules: what arrives is forwarded.")


def as_dict(rule: Any) -> dict[str, Any]:
    """A rule as JSON."""
    return {
        "name": rule.name,
        "enabled": rule.enabled,
        "conditions": rule.conditions,
        "trigger": rule.trigger,
        "destinations": [node.name for node in rule.destinations.all()],
        "created_at": rule.created_at,
    }


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="A name of our own for it.")],
    to: Annotated[list[str], typer.Option("--to", help="Destination node; repeat for several.")],
    when: Annotated[
        list[str] | None,
        typer.Option(
            help="Condition on CallingAET, CalledAET or an indexed keyword, as in 'Modality=CT,MR'; repeat: all must hold."
        ),
    ] = None,
    on: Annotated[str, typer.Option(metavar="arrived|settled", help="At arrival, or when the study has gone quiet.")] = "arrived",
    json: JsonOption = False,
) -> None:
    """Add a rule; without conditions it takes everything."""
    with house():
        from gantry.routing import rules

        rule = rules.add(name, to=to, when=when or [], on=on)
        if json:
            cli_output.print_json(as_dict(rule))
        else:
            cli_output.note(f"Added rule {rule.name}: {_conditions(rule)} goes to {', '.join(to)} when {rule.trigger}.")


@app.command("list")
def list_(json: JsonOption = False) -> None:
    """List the rules."""
    with house(create=False):
        from gantry.routing import rules

        found = rules.list_rules()
        if json:
            cli_output.print_json([as_dict(rule) for rule in found])
            return
        cli_output.print_table(
            ("name", "when", "on", "to", "enabled"),
            (
                (
                    rule.name,
                    _conditions(rule),
                    rule.trigger,
                    [node.name for node in rule.destinations.all()],
                    "yes" if rule.enabled else "no",
                )
                for rule in found
            ),
            empty="No rules. Add one with `gantry rule add NAME --to NODE`.",
        )


@app.command()
def remove(name: str, yes: YesOption = False, json: JsonOption = False) -> None:
    """Remove a rule; what it has ordered stays ordered."""
    cli_output.confirm(f"Remove the rule {name}?", yes=yes)
    with house(create=False):
        from gantry.routing import rules

        rules.remove(name)
    if json:
        cli_output.print_json({"removed": name})
    else:
        cli_output.note(f"Removed rule {name}.")


def _conditions(rule: Any) -> str:
    from gantry.routing.conditions import from_json

    words = [str(from_json(condition)) for condition in rule.conditions]
    return " and ".join(words) or "everything"
