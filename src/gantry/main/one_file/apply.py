"""`gantry apply`: bring the instance to what the file says: all of it, or nothing."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.db import connection, transaction
from pydantic import ValidationError

from gantry import config
from gantry.accounts.connection import of_request
from gantry.accounts.errors import Conflict
from gantry.audit.record import By, record
from gantry.main import setting_origins
from gantry.main.one_file import export, settings, text
from gantry.main.one_file.errors import FileRefused, Problem
from gantry.main.one_file.plan import Change, Run, Section, Wanted, told
from gantry.main.one_file.schema import Part, SetupFile
from gantry.main.one_file.sections import SECTIONS
from gantry.main.one_file.text import Document
from gantry.routing.rules import list_rules

_LOCK = 0x67616E66696C65  # "ganfile"


@dataclass(frozen=True, slots=True)
class Options:
    """How a file is applied. `prune`: what it does not name goes (of sections that it has). `seal`: secrets in clear are
    taken and sealed. `invite`: new users with an address are invited by mail. `settings`: gantry.yaml is written.
    `remote`: by somebody who is not at the machine. `expected`: the `state` that they saw; another is a conflict."""

    dry_run: bool = False
    prune: bool = False
    seal: bool = False
    invite: bool = False
    settings: bool = False
    remote: bool = False
    expected: str = ""


@dataclass(slots=True)
class Result:
    """What became, or would become, another."""

    dry_run: bool
    changes: list[Change] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    #: Of all that is set up, before anything changed: for `Options.expected`. Only where somebody is remote.
    state: str = ""

    @property
    def changed(self) -> bool:
        """Whether there was anything to do."""
        return any(change.real for change in self.changes)

    def as_dict(self) -> dict[str, Any]:
        """As JSON, on the command line and over REST."""
        return {
            "dry_run": self.dry_run, "changed": self.changed, "notes": self.notes, "state": self.state,
            "changes": [
                {
                    "section": one.section, "key": one.key, "change": one.change, "line": one.line,
                    "fields": {name: list(pair) for name, pair in one.fields.items()},
                }
                for one in self.changes
            ],
        }  # fmt: skip


def apply(raw: bytes, home: Path, by: By, options: Options = Options(), *, name: str = "file") -> Result:
    """Apply a file in one transaction; two at once wait for each other. A dry run does the same and takes it back.

    Raises FileRefused with lines; then nothing has changed.
    """
    document = text.read(raw, name)
    file = parsed(document)
    result = Result(options.dry_run)
    run: Run | None = None
    try:
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
            if options.remote:
                result.state = _state(home, options.expected)
            run = Run(
                home, of_request(), by, prune=options.prune, seal=options.seal, invite=options.invite, notes=result.notes
            )  # fmt: skip
            result.changes = _carry_out(file, document, run, options)
            keep = result.changed and not options.dry_run
            if keep:
                _note(result, run, document)
            else:
                transaction.set_rollback(True)
    except BaseException:
        _undo(run)
        raise
    if not keep:
        _undo(run)
    return result


def _state(home: Path, expected: str) -> str:
    """A digest of what is set up. Raises Conflict where it is not the expected one."""
    pending = setting_origins.coming(config.current()).model_dump(mode="json")
    found = json.dumps([export.collect(home), pending], sort_keys=True).encode()
    state = hashlib.sha256(found).hexdigest()[:32]
    if expected and expected != state:
        raise Conflict(
            "Somebody else changed the set-up since you looked at the difference.",
            remedy="Check again, then apply.",
            details={"current": state},
        )
    return state


def _undo(run: Run | None) -> None:
    while run is not None and run.undo:
        run.undo.pop()()


def parsed(document: Document) -> SetupFile:
    """The file after its schema. Raises FileRefused with every line that is wrong."""
    try:
        return SetupFile.model_validate(document.value)
    except ValidationError as error:
        issues = error.errors(include_url=False, include_input=False)
        raise FileRefused([_problem(document, issue) for issue in issues], document.name) from None


def _problem(document: Document, issue: Any) -> Problem:
    path = tuple(issue["loc"])
    missing = issue["type"] == "missing"
    while len(path) > int(missing) and (path[:-1] if missing else path) not in document.lines:
        path = path[:-1]  # pydantic names the branches of a union too
    message = {
        "missing": "is missing",
        "extra_forbidden": "is not known here",
        "string_type": "must be text: put it into quotes",
    }.get(issue["type"], str(issue["msg"]).removeprefix("Value error, "))
    return document.problem(path, message[:500])


def _carry_out(file: SetupFile, document: Document, run: Run, options: Options) -> list[Change]:
    changes: list[Change] = []
    values = settings.checked(file.settings, document) if file.settings is not None else {}
    wanted = {section.name: _wanted(section, file, document, run) for section in SECTIONS}
    if problems := [problem for _, found in wanted.values() for problem in found]:
        raise FileRefused(problems, document.name)
    changes += settings.compare(values, document, write=options.settings)
    if options.remote and options.settings:
        settings.check_remote(changes, document)
    gone: list[tuple[Section[Any], Change]] = []
    for section in SECTIONS:
        items, _ = wanted[section.name]
        if items is None:
            continue
        for change in section.bring(items, document, run):
            if change.change == "unmanaged" and run.prune and section.removable:
                gone.append((section, change))
            else:
                changes.append(change)
    for section, change in reversed(gone):
        changes += _remove(section, change, document, run)
    _check_destinations({change.key for section, change in gone if section.name == "nodes"}, wanted["rules"][0], document)
    if options.settings and (new := {one.key: values[one.key] for one in changes if one.section == "settings"}):
        before = settings.write(run.home, new, dry_run=options.dry_run)
        if not options.dry_run:
            run.undo.append(lambda: settings.put_back(run.home, before))
        run.notes.append(f"{settings.place(run.home)} is written: restart for it to take effect")
    return changes


def _wanted(
    section: Section[Any], file: SetupFile, document: Document, run: Run
) -> tuple[list[Wanted[Any]] | None, list[Problem]]:
    """The items of a section as they will be kept, and what is wrong with them."""
    items: list[Part] | None = getattr(file, section.name)
    if items is None:
        return None, []
    found: list[Wanted[Any]] = []
    problems: list[Problem] = []
    seen: dict[str, int] = {}
    for index, item in enumerate(items):
        path = (section.name, index)
        try:
            with told(document, Wanted(item, path)):
                one = Wanted(section.normal(item, run), path)
        except FileRefused as error:
            problems += error.problems
            continue
        first = seen.setdefault(section.same(one.item), document.line(path))
        if len(seen) == len(found):
            problems.append(document.problem(path, f"{section.key(one.item)} stands here twice, the first time in line {first}"))
            continue
        found.append(one)
    return found, problems


def _remove(section: Section[Any], change: Change, document: Document, run: Run) -> list[Change]:
    item = next((one for one in section.read(run.home, run.connection) if section.key(one) == change.key), None)
    if item is None:  # it went with what it belonged to
        return [Change(section.name, change.key, "removed")]
    with told(document, Wanted(item, (section.name,))):
        section.remove(item, run)
    return [Change(section.name, change.key, "removed")]


def _check_destinations(gone: set[str], wanted: list[Wanted[Any]] | None, document: Document) -> None:
    """No rule may lead to a node that has just been removed. Raises FileRefused."""
    paths = {one.item.name: one.path for one in wanted or ()}
    found = [
        document.problem(
            paths.get(rule.name, ("nodes",)),
            f"rule {rule.name} leads to node {node}, which the section `nodes` does not name and --prune would remove",
        )
        for rule in (list_rules() if gone else ())
        for node in rule.destinations
        if node in gone
    ]
    if found:
        raise FileRefused(found, document.name)


def _note(result: Result, run: Run, document: Document) -> None:
    changes = [str(change) for change in result.changes if change.real]
    with connection.cursor() as cursor:
        record(
            cursor, "file.apply", run.by, kind="file", key=os.path.basename(document.name),
            after={"changes": changes, "count": len(changes)},
        )  # fmt: skip
