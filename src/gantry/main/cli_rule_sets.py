"""`gantry rule`: versions, drafts, trials, replays, decisions, what is kept back."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gantry.main import cli_output
from gantry.main.cli_context import connected, house
from gantry.main.cli_output import JsonOption, YesOption
from gantry.main.cli_rules import DraftOption, ExpectedOption, VersionOption, _by, app

if TYPE_CHECKING:
    from gantry.routing.difference import RuleDifference

NoteOption = Annotated[str, typer.Option("--note", help="Why, for the history.")]


def _set_as_dict(found: Any) -> dict[str, Any]:
    names = ("version", "state", "author", "note", "based_on", "revision", "created_at", "updated_at", "activated_at",
             "activated_by", "retired_at")  # fmt: skip
    return {name: getattr(found, name) for name in names}


def _tell(found: Any, message: str, *, json: bool) -> None:
    if json:
        cli_output.print_json(_set_as_dict(found))
    else:
        cli_output.note(message)


@app.command("versions")
def versions_(json: JsonOption = False) -> None:
    """List the versions of the rules, newest first."""
    with house(create=False):
        from gantry.routing.models import RuleSet

        found = list(RuleSet.objects.order_by("-version"))
    if json:
        cli_output.print_json([_set_as_dict(one) for one in found])
        return
    cli_output.print_table(
        ("version#", "state", "rules#", "by", "note", "activated"),
        (
            (one.version, one.state if one.activated_at or one.state != "retired" else "thrown away", len(one.rules),
             one.author, one.note, one.activated_at)
            for one in found
        ),
        empty="No versions: there are no rules yet.",
    )  # fmt: skip


@app.command()
def draft(
    note: NoteOption = "",
    of: Annotated[str, typer.Option("--of", metavar="N|active", help="What it is a copy of.")] = "active",
    discard: Annotated[bool, typer.Option("--discard", help="Throw the draft away.")] = False,
    rebase: Annotated[bool, typer.Option("--rebase", help="Put its changes on top of what is active by now.")] = False,
    yes: YesOption = False,
    json: JsonOption = False,
) -> None:
    """Begin a draft of the rules: change it with --draft, try it, then activate it."""
    if discard:
        cli_output.confirm("Throw the draft of the rules away?", yes=yes)
    with house():
        from gantry.routing import versions

        if discard:
            found = versions.discard_draft(_by())
            message = f"Threw the draft (version {found.version}) away."
        elif rebase:
            found = versions.rebase_draft(_by())
            message = f"The draft (version {found.version}) is on top of version {found.based_on or 0} now."
        else:
            found = versions.start_draft(_by(), note=note, of=of)
            message = f"Began version {found.version} as a draft: change it with `gantry rule add --draft` and so on."
    _tell(found, message, json=json)


@app.command()
def diff(
    after: Annotated[str, typer.Argument(metavar="N|draft", help="This version ...")] = "draft",
    before: Annotated[str, typer.Argument(metavar="N|active", help="... against this one.")] = "active",
    json: JsonOption = False,
) -> None:
    """Show what differs between two versions."""
    with house(create=False):
        from gantry.routing import versions

        new = versions.pick(after)
        old = versions.active() if before == "active" else versions.pick(before)
        found = versions.changes_between(old, new)
    if json:
        cli_output.print_json({"before": old.version if old else 0, "after": new.version, "items": found})
        return
    rows: list[tuple[Any, ...]] = []
    for one in found:
        if one.kind == "changed":
            rows += [(one.name, key, _words(was), _words(now)) for key, (was, now) in one.fields.items()]
        else:
            rows.append((one.name, one.kind, "", ""))
    cli_output.print_table(("rule", "what", "before", "after"), rows, empty="Nothing differs.")


def _words(value: Any) -> str:
    return ", ".join(str(item) for item in value) if isinstance(value, list | tuple) else "" if value is None else str(value)


def _list_changes(changes: Sequence[RuleDifference], *, json: bool) -> None:
    for one in [] if json else changes[:50]:
        cli_output.note(f"  {one}")


def _count(changes: Sequence[RuleDifference]) -> str:
    rules = len({one.name for one in changes})
    return "which changes no rule" if not rules else f"which changes {rules} rule{'s'[: rules != 1]}"


@app.command()
def activate(note: NoteOption = "", expect: ExpectedOption = None, yes: YesOption = False, json: JsonOption = False) -> None:
    """Let the draft decide from now on."""
    with house(create=False):
        from gantry.routing import versions

        waiting = versions.draft()
        changes = versions.changes_between(versions.active(), waiting)
        _list_changes(changes, json=json)
        cli_output.confirm(f"Activate version {waiting.version}, {_count(changes)}?", yes=yes)
        found = versions.activate_draft(_by(), expected=waiting.revision if expect is None else expect, note=note)
    _tell(found, f"Version {found.version} of the rules decides from now on.", json=json)


@app.command()
def rollback(
    to: Annotated[int | None, typer.Argument(metavar="[N]", help="To this version; else to the one before.")] = None,
    expect: ExpectedOption = None,
    yes: YesOption = False,
    json: JsonOption = False,
) -> None:
    """Go back to an earlier version: a copy of it becomes active."""
    with house(create=False):
        from gantry.routing import versions

        target = versions.active_before() if to is None else versions.version(to)
        now = versions.active()
        changes = versions.changes_between(now, target)
        _list_changes(changes, json=json)
        cli_output.confirm(f"Go back to version {target.version}, {_count(changes)}?", yes=yes)
        # What was shown is what is done: nobody may have activated another in between.
        found = versions.roll_back(target.version, _by(), expected=(now.version if now else 0) if expect is None else expect)
    _tell(found, f"Version {found.version} ({found.note}) decides from now on.", json=json)


@app.command("try")
def try_(
    what: Annotated[str, typer.Argument(metavar="FILE|STUDY_UID", help="A DICOM file, or a study of the index.")],
    version: VersionOption = "active",
    draft: DraftOption = False,
    calling: Annotated[str, typer.Option("--calling", help="For a file: the AE title that is thought to send it.")] = "",
    called: Annotated[str, typer.Option("--called", help="For a file: the AE title that it calls.")] = "",
    address: Annotated[str, typer.Option("--address", help="For a file: the address it comes from.")] = "",
    at: Annotated[datetime | None, typer.Option("--at", help="For a file: when it comes, in the site's time zone.")] = None,
    json: JsonOption = False,
) -> None:
    """Dry run: which rules match and why not, what would be ordered, what edits would change. Orders nothing."""
    with connected(create=False) as connection:
        from zoneinfo import ZoneInfo

        from gantry import config
        from gantry.routing import trial, versions

        which = "draft" if draft else version
        rule_set = versions.active() if which == "active" else versions.pick(which)
        home = Path(config.current().home)
        if Path(what).is_file():
            moment = at.replace(tzinfo=ZoneInfo(config.current().time_zone)) if at else None
            found = trial.try_file(connection, rule_set, Path(what), trial.Arrival(calling, called, address, moment))
        else:
            found = trial.try_study(connection, rule_set, what, home)
    if json:
        cli_output.print_json(found)
    else:
        _print_trial(found)


def _print_trial(found: Any) -> None:
    rows: list[tuple[Any, ...]] = []
    for rule in found.rules:
        verdict = rule.problem or (f"{rule.matched} of {found.instances}" if rule.matched else "no")
        does = f"keeps back: {rule.quarantine}" if rule.quarantine else f"{rule.mode}: {', '.join(rule.destinations)}"
        rows.append((rule.rule, verdict, rule.trigger, does, "", ""))
        rows += [("", "", "", "", f"{'yes' if one.held else 'NO'}  {one.condition}", one.seen) for one in rule.conditions]
    cli_output.print_table(
        ("rule", "matches", "on", "does", "condition", "value seen"), rows, title=f"Rules of version {found.version}",
        empty="There are no rules.",
    )  # fmt: skip
    changes = [(rule.rule, one.path, one.before, one.after) for rule in found.rules for one in rule.differences]
    if changes:
        cli_output.print_table(("rule", "element", "before", "after"), changes, title="What edits would change")
    goes = ", ".join(f"{node} ({count})" for node, count in found.destinations.items())
    cli_output.note(f"Would go to: {goes or 'nowhere'}." + (f" {found.kept_back} kept back." if found.kept_back else ""))
    if found.cut:
        cli_output.note("The study has more instances than were looked at.")


@app.command()
def replay(
    days: Annotated[float, typer.Option(min=0.001, max=3660, help="Over the studies of the last so many days.")] = 7,
    version: VersionOption = "",
    draft: DraftOption = False,
    json: JsonOption = False,
) -> None:
    """Show which studies would have gone elsewhere with the draft (or another version) than with the active rules."""
    with connected(create=False) as connection:
        from gantry.routing import versions
        from gantry.routing.replay import replay as run

        candidate = versions.pick(version if version and not draft else "draft")
        done = 0
        with cli_output.progress("studies", quiet=json) as advance:

            def tell(now: int, _total: int) -> bool:
                nonlocal done
                advance(now - done)
                done = now
                return False

            connection.autocommit = False
            found = run(connection, versions.active(), candidate, days, tell)
    if json:
        cli_output.print_json(found)
        return
    cli_output.print_table(
        ("destination", "studies before#", "after#", "instances before#", "after#", "gained#", "lost#"),
        (
            (one.node, one.studies_before, one.studies_after, one.instances_before, one.instances_after, one.gained, one.lost)
            for one in found.nodes
        ),
        title=f"Version {found.before_version} (before) and {found.after_version} (after), {days:g} days",
        empty="Neither version sends anything of these days anywhere.",
    )
    if found.examples:
        cli_output.print_table(
            ("Study Instance UID", "before", "after"),
            ((one.study_instance_uid, _going(one.before), _going(one.after)) for one in found.examples),
            title="Studies that would have gone elsewhere" + (" (the first)" if found.changed > len(found.examples) else ""),
        )
    cli_output.note(f"{found.changed} of {found.studies} studies ({found.instances} instances) would have gone elsewhere.")
    for name, problem in found.problems.items():
        cli_output.note(f"Problem: rule {name}: {problem}")


def _going(going: dict[str, int]) -> str:
    return ", ".join(f"{node} ({count})" for node, count in sorted(going.items())) or "nowhere"


@app.command()
def why(study: Annotated[str, typer.Argument(metavar="STUDY_UID")], json: JsonOption = False) -> None:
    """Why did this study go there: the rules that matched, in which version, by which conditions."""
    with connected(create=False) as connection:
        from gantry.routing.decisions import why as find

        found = find(connection, study)
    if json:
        cli_output.print_json(found)
        return
    cli_output.print_table(
        ("decision#", "rule", "version#", "on", "because", "did", "when"),
        (
            (
                one.id,
                one.rule_name,
                one.version,
                one.trigger,
                " and ".join(one.conditions) or "everything",
                _did(one),
                one.first_at,
            )
            for one in found
        ),
        empty="No rule has matched this study.",
    )


def _because(one: Any) -> str:
    return " and ".join(one.conditions) or "everything"


def _did(one: Any) -> str:
    if one.action.get("quarantine"):
        return f"kept {one.held} instances back: {one.action['quarantine']}"
    if not one.deliveries:
        return "ordered nothing new: it was ordered already"
    marks = [name for name in ("hold", "edits", "priority") if one.action.get(name)]
    return f"ordered {one.deliveries} deliveries" + (f" ({', '.join(marks)})" if marks else "")


@app.command()
def held(
    study: Annotated[str | None, typer.Option("--study", metavar="UID", help="Of this study.")] = None,
    state: Annotated[str, typer.Option(metavar="held|released|dismissed")] = "held",
    json: JsonOption = False,
) -> None:
    """List the instances that rules keep back."""
    with connected(create=False) as connection:
        from gantry.routing.decisions import list_held

        found = list_held(connection, state=state, study_uid=study)
    if json:
        cli_output.print_json(found)
        return
    cli_output.print_table(
        ("number#", "SOP instance", "rule", "reason", "since"),
        ((one.id, one.sop_instance_uid, one.rule_name, one.reason, one.held_at) for one in found),
        empty="Rules keep nothing back.",
    )


@app.command()
def release(
    ids: Annotated[list[int] | None, typer.Argument(metavar="[NUMBER]...", help="As `gantry rule held` shows them.")] = None,
    study: Annotated[str | None, typer.Option("--study", metavar="UID", help="All of this study.")] = None,
    dismiss: Annotated[bool, typer.Option("--dismiss", help="Leave them where they are, for good.")] = False,
    reason: Annotated[str, typer.Option("--reason", help="Why; kept in the audit.")] = "",
    yes: YesOption = False,
    json: JsonOption = False,
) -> None:
    """Let instances go that a rule keeps back: they are routed as if it did not."""
    if not ids and study is None:
        raise typer.BadParameter("Name their numbers, or --study UID.")
    cli_output.confirm("Leave them back for good?" if dismiss else "Release them to their destinations?", yes=yes)
    with connected(create=False) as connection:
        from gantry.routing import decisions

        act = decisions.dismiss if dismiss else decisions.release
        count = act(connection, ids=ids or None, study_uid=study, by=_by(), reason=reason)
    if json:
        cli_output.print_json({"instances": count})
    else:
        cli_output.note(f"{'Dismissed' if dismiss else 'Released'} {count} instances.")
