"""`gantry rule`: when this arrives, it goes there. Versions, drafts and trials are in cli_rule_sets.py."""

from __future__ import annotations

import inspect
import json as reading
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from gantry.main import cli_output
from gantry.main.cli_context import connected, house
from gantry.main.cli_output import JsonOption, YesOption

app = typer.Typer(no_args_is_help=True, help="Rules: what arrives is forwarded.")
DraftOption = Annotated[bool, typer.Option("--draft", help="In the draft (`gantry rule draft`), not in the active rules.")]
ExpectedOption = Annotated[
    int | None,
    typer.Option("--expect", metavar="N", help="Refuse when the version (with --draft: the draft's revision) is not N any more."),
]
VersionOption = Annotated[str, typer.Option("--version", metavar="N|draft", help="Of this version.")]
ToOption = Annotated[list[str] | None, typer.Option("--to", help="Destination node; repeat for several.")]
WhenOption = Annotated[
    list[str] | None,
    typer.Option(help="Condition, as in 'Modality=CT,MR and not (StationName=X* or time 22:00-06:00)'; repeat: all must hold."),
]
OnOption = Annotated[
    str | None,
    typer.Option(metavar="arrived|association|settled", help="What it waits for: arrival, end of the association, quiet time."),
]
QuietOption = Annotated[float | None, typer.Option("--quiet", metavar="SECONDS", help="A quiet time of its own (with settled).")]
ModeOption = Annotated[
    str | None, typer.Option("--mode", metavar="all|order|failover", help="To all, one after the other, or the first that works.")
]
PriorityOption = Annotated[int | None, typer.Option("--priority", min=0, max=1000, help="Higher goes first; 100 is urgent.")]
UrgentOption = Annotated[bool, typer.Option("--urgent", help="The same as --priority 100.")]
HoldOption = Annotated[bool | None, typer.Option("--hold/--no-hold", help="Order it; a person releases it.")]
EditOption = Annotated[
    list[str] | None,
    typer.Option("--edit", help="Tag edit: KEYWORD=VALUE sets, -KEYWORD removes, TO<FROM copies, or JSON; repeat."),
]
EditsOption = Annotated[Path | None, typer.Option("--edits", metavar="FILE", help="Tag edits as JSON.")]
QuarantineOption = Annotated[str | None, typer.Option("--quarantine", metavar="REASON", help="Keep it back: it goes nowhere.")]


def as_dict(rule: Any) -> dict[str, Any]:
    """A rule as JSON."""
    return {**rule.to_json(), "when": rule.when, "enabled": rule.enabled}


def _by() -> Any:
    from gantry.audit.record import by_cli

    return by_cli()


def _edit(text: str) -> dict[str, Any]:
    """One --edit."""
    if text.startswith("{"):
        try:
            found = reading.loads(text)
        except ValueError as error:
            raise typer.BadParameter(f"{text[:60]!r} is no JSON: {error}") from error
        return dict(found)
    if text.startswith("-"):
        return {"op": "remove", "tag": text[1:].strip()}
    if "=" in text and ("<" not in text or text.index("=") < text.index("<")):
        tag, value = text.split("=", 1)
        return {"op": "set", "tag": tag.strip(), "value": value.split("\\") if "\\" in value else value}
    if "<" in text:
        tag, source = text.split("<", 1)
        return {"op": "copy", "tag": tag.strip(), "from": source.strip()}
    raise typer.BadParameter(f"{text[:60]!r} is no edit: write KEYWORD=VALUE, -KEYWORD, TO<FROM, or JSON")


def _edits(edit: list[str] | None, edits: Path | None) -> tuple[Any, ...] | None:
    if edits is None:
        return None if edit is None else tuple(_edit(text) for text in edit)
    try:
        found = reading.loads(edits.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise typer.BadParameter(f"{edits}: cannot be read as JSON: {error}") from error
    return (*(found if isinstance(found, list) else [found]), *(_edit(text) for text in edit or []))


def _fields(  # noqa: PLR0913  options
    *, to: ToOption = None, when: WhenOption = None, on: OnOption = None, quiet: QuietOption = None, mode: ModeOption = None,
    priority: PriorityOption = None, urgent: UrgentOption = False, hold: HoldOption = None, edit: EditOption = None,
    edits: EditsOption = None, quarantine: QuarantineOption = None,
) -> dict[str, Any]:  # fmt: skip
    """What a rule says, from the options that say it: those that were given."""
    fields = {
        "to": to, "when": when, "trigger": on, "quiet_seconds": quiet, "mode": mode, "priority": 100 if urgent else priority,
        "hold": hold, "edits": _edits(edit, edits), "quarantine": quarantine,
    }  # fmt: skip
    return {key: value for key, value in fields.items() if value is not None}


def _takes_fields(command: Callable[..., None]) -> Callable[..., None]:
    """The command with the options of `_fields` after its name; it gets what they say as `fields`."""
    own = list(inspect.signature(command, eval_str=True).parameters.values())
    shared = list(inspect.signature(_fields, eval_str=True).parameters.values())
    others = [one for one in own if one.name != "fields"]

    def run(**options: Any) -> None:
        command(fields=_fields(**{one.name: options.pop(one.name) for one in shared}), **options)

    run.__name__, run.__doc__ = command.__name__, command.__doc__
    parameters = [one.replace(kind=one.KEYWORD_ONLY) for one in (others[0], *shared, *others[1:])]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # typer reads it
    run.__annotations__ = {one.name: one.annotation for one in parameters}
    return run


@app.command()
@_takes_fields
def add(
    name: Annotated[str, typer.Argument(help="A name of our own for it.")],
    fields: dict[str, Any],
    draft: DraftOption = False,
    expect: ExpectedOption = None,
    json: JsonOption = False,
) -> None:
    """Add a rule; without conditions it takes everything, and it waits for nothing but the arrival."""
    with house():
        from gantry.routing import rules

        to, when, trigger = fields.pop("to", []), fields.pop("when", []), fields.pop("trigger", "arrived")
        rule = rules.add(name, to=to, when=when, on=trigger, by=_by(), draft=draft, expected=expect, **fields)
        if json:
            cli_output.print_json(as_dict(rule))
        else:
            where = "to the draft" if draft else "to the active rules"
            cli_output.note(f"Added rule {rule.name} {where}: {conditions(rule)} {action(rule)} {moment(rule)}.")


@app.command()
@_takes_fields
def change(
    name: str, fields: dict[str, Any], draft: DraftOption = False, expect: ExpectedOption = None, json: JsonOption = False
) -> None:
    """Change a rule: what you name is set anew, the rest stays."""
    with house(create=False):
        from gantry.routing import rules
        from gantry.routing.spec import conditions_of

        if to := fields.pop("to", None):
            fields["destinations"] = tuple(to)
        if (when := fields.pop("when", None)) is not None:
            fields["conditions"] = conditions_of(when)
        if not fields:
            raise typer.BadParameter("Say what to change: see --help.")
        rule = rules.update(name, by=_by(), draft=draft, expected=expect, **fields)
    if json:
        cli_output.print_json(as_dict(rule))
    else:
        cli_output.note(f"Changed rule {rule.name}: {conditions(rule)} {action(rule)} {moment(rule)}.")


@app.command("list")
def list_(version: VersionOption = "active", draft: DraftOption = False, json: JsonOption = False) -> None:
    """List the rules, and what went wrong with them."""
    with connected(create=False) as connection:
        from gantry.routing import decisions, rules, versions

        found = rules.list_rules("draft" if draft else version)
        active = versions.active()
        failed = decisions.problems(connection, active.version) if active and not draft and version == "active" else []
    if json:
        cli_output.print_json([as_dict(rule) for rule in found])
        return
    cli_output.print_table(
        ("name", "when", "on", "does", "enabled"),
        (
            (rule.name, conditions(rule), waits(rule), action(rule), "yes" if rule.enabled else "no")
            for rule in found
        ),
        empty="No rules. Add one with `gantry rule add NAME --to NODE`.",
    )  # fmt: skip
    for problem in failed:
        cli_output.note(
            f"Problem: rule {problem.rule_name}: {problem.message} ({problem.count} times, last {problem.last_at:%F %T})."
        )


@app.command()
def show(name: str, version: VersionOption = "active", draft: DraftOption = False, json: JsonOption = False) -> None:
    """Show one rule in full."""
    with house(create=False):
        from gantry.routing import rules

        rule = rules.get(name, "draft" if draft else version)
    if json:
        cli_output.print_json(as_dict(rule))
        return
    rows: list[tuple[str, Any]] = [("when", conditions(rule)), ("on", waits(rule)), ("does", action(rule))]
    rows += [(f"edit {number}", reading.dumps(edit)) for number, edit in enumerate(rule.edits, 1)]
    rows += [("enabled", "yes" if rule.enabled else "no"), ("created", rule.created_at), ("changed", rule.updated_at)]
    cli_output.print_table(("field", "value"), rows, title=rule.name)


@app.command()
def remove(
    name: str, yes: YesOption = False, draft: DraftOption = False, expect: ExpectedOption = None, json: JsonOption = False
) -> None:
    """Remove a rule; what it has ordered stays ordered."""
    cli_output.confirm(f"Remove the rule {name}{' from the draft' if draft else ''}?", yes=yes)
    with house(create=False):
        from gantry.routing import rules

        rules.remove(name, by=_by(), draft=draft, expected=expect)
    if json:
        cli_output.print_json({"removed": name})
    else:
        cli_output.note(f"Removed rule {name}.")


def _switch(name: str, *, enabled: bool, draft: bool, json: bool) -> None:
    with house(create=False):
        from gantry.routing import rules

        rule = rules.enable(name, enabled=enabled, by=_by(), draft=draft)
    if json:
        cli_output.print_json(as_dict(rule))
    else:
        cli_output.note(f"Rule {name} is {'on' if enabled else 'off'}.")


@app.command()
def enable(name: str, draft: DraftOption = False, json: JsonOption = False) -> None:
    """Switch a rule on."""
    _switch(name, enabled=True, draft=draft, json=json)


@app.command()
def disable(name: str, draft: DraftOption = False, json: JsonOption = False) -> None:
    """Switch a rule off; what it has ordered stays ordered."""
    _switch(name, enabled=False, draft=draft, json=json)


@app.command()
def keywords(json: JsonOption = False) -> None:
    """List what a condition can ask for."""
    from gantry.dataset.tags import INDEXED_KEYWORDS
    from gantry.routing.conditions import ENVELOPE_KEYWORDS, MOMENT_KEYWORDS, STUDY_KEYWORDS

    rows = [(name, "how it came", vr) for name, vr in ENVELOPE_KEYWORDS.items()]
    rows += [(name, "when it came", "22:00-06:00" if name == "time" else "mon-fri") for name in MOMENT_KEYWORDS]
    rows += [(name, "its study, complete (not with `arrived`)", vr) for name, vr in STUDY_KEYWORDS.items()]
    rows += [(name, one.level, one.vr) for name, one in INDEXED_KEYWORDS.items()]
    if json:
        cli_output.print_json([{"keyword": name, "of": of, "vr": vr} for name, of, vr in rows])
    else:
        cli_output.print_table(("keyword", "of", "VR"), rows)


def conditions(rule: Any) -> str:
    """The conditions in words."""
    written = [f"({text})" if len(rule.when) > 1 and " or " in text else text for text in rule.when]
    return " and ".join(written) or "everything"


def moment(rule: Any) -> str:
    """When it is asked, as the end of a sentence."""
    words = {"arrived": "as it arrives", "association": "when its association has ended", "settled": "when the study has settled"}
    return words.get(rule.trigger, f"when {rule.trigger}")


def waits(rule: Any) -> str:
    """What it waits for, in words."""
    return f"{rule.trigger}, quiet for {rule.quiet_seconds:g} s" if rule.quiet_seconds is not None else str(rule.trigger)


def action(rule: Any) -> str:
    """What it does, in words."""
    if rule.quarantine:
        return f"is kept back: {rule.quarantine}"
    joint = {"order": ", then ", "failover": ", or if that is dead "}.get(rule.mode, ", ")
    marks = [
        *(["held"] if rule.hold else []),
        *([f"priority {rule.priority}"] if rule.priority else []),
        *([f"{len(rule.edits)} edits"] if rule.edits else []),
    ]
    return f"goes to {joint.join(rule.destinations)}" + (f" ({', '.join(marks)})" if marks else "")
