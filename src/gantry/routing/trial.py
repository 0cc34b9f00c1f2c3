"""Dry run: what the rules would do with a file or a stored study, and why. Nothing is written, nothing ordered."""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg

from gantry import config, database
from gantry.dataset import DatasetError, read_part10, scan
from gantry.dataset.edit import Difference, EditError, parse_edits, prepare
from gantry.routing.compiled import Decider
from gantry.routing.decide import Explained, LoadedRule, decide, explain
from gantry.routing.errors import RoutingError, TrialFailed
from gantry.routing.evaluation import Values, moment_values
from gantry.routing.load import ActiveRules, read_stored, resolve
from gantry.routing.models import RuleSet
from gantry.routing.route import study_values, values_of
from gantry.storage.layout import resolve as resolve_path

#: Instances of a study that are looked at; beyond, the answer says so.
MAX_INSTANCES = 20_000
_HEAD = 4 << 20
_PORTION = 1000


@dataclass(frozen=True, slots=True)
class Arrival:
    """How a file is thought to have come."""

    calling_aet: str = ""
    called_aet: str = ""
    remote_address: str = ""
    at: datetime | None = None


@dataclass(slots=True)
class RuleTrial:
    """One rule: how many instances it matches, each condition with the value seen in the first one that counts, what it
    would do, and what its edits would change. Values are patient data."""

    rule: str
    matched: int = 0
    trigger: str = ""
    conditions: list[Explained] = field(default_factory=list)
    mode: str = ""
    destinations: list[str] = field(default_factory=list)
    priority: int = 0
    hold: bool = False
    quarantine: str = ""
    differences: list[Difference] = field(default_factory=list)
    problem: str = ""


@dataclass(slots=True)
class Trial:
    """What a version of the rules would do. `kept_back`: instances that go nowhere because a rule quarantines them."""

    version: int
    instances: int
    rules: list[RuleTrial]
    kept_back: int = 0
    destinations: dict[str, int] = field(default_factory=dict)
    cut: bool = False


@dataclass(slots=True)
class _One:
    values: Values
    version_id: int | None = None


def rules_for_trial(connection: psycopg.Connection[Any], rule_set: RuleSet | None) -> tuple[ActiveRules, dict[int, str]]:
    """A version with its nodes resolved, and the names of the nodes by id."""
    rows = psycopg.Cursor(connection).execute("SELECT name, id FROM nodes_node WHERE removed_at IS NULL").fetchall()
    nodes = {str(name): int(key) for name, key in rows}
    rules: Sequence[Any] = read_stored(rule_set.rules) if rule_set else []
    return resolve(rules, rule_set.version if rule_set else 0, nodes), {key: name for name, key in nodes.items()}


def try_file(connection: psycopg.Connection[Any], rule_set: RuleSet | None, path: Path, arrival: Arrival | None = None) -> Trial:
    """The rules on a Part 10 file. Raises TrialFailed."""
    try:
        with open(path, "rb") as file:
            # Not closed by hand: slices of it may live in the traceback of what it raises.
            view = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is empty or no file"
        raise TrialFailed(f"{path.name[:100]}: cannot be read: {reason}") from error
    return try_bytes(connection, rule_set, view, path.name, arrival)


def try_bytes(
    connection: psycopg.Connection[Any], rule_set: RuleSet | None, data: memoryview, name: str,
    arrival: Arrival | None = None, *, whole: bool = True,
) -> Trial:  # fmt: skip
    """The same on what a file holds; `whole` False: only its beginning, so that edits cannot be shown. Raises TrialFailed."""
    arrival = arrival or Arrival()
    at = arrival.at or datetime.now().astimezone()
    active, names = rules_for_trial(connection, rule_set)
    try:
        part10 = read_part10(data[:_HEAD], total=len(data) if whole else 1 << 62)
        dataset = data[part10.dataset_offset :]
        header = scan(dataset[:_HEAD], part10.transfer_syntax_uid, whole=whole and len(dataset) <= _HEAD)
        values: dict[str, str | list[str]] = {
            "TransferSyntaxUID": part10.transfer_syntax_uid, **header.values, "CallingAET": arrival.calling_aet,
            "CalledAET": arrival.called_aet, "RemoteAddress": arrival.remote_address, "Origin": "dimse",
            **study_values(1, 1, [str(header.values.get("Modality", ""))]),
            **moment_values(at, config.current().time_zone),
        }  # fmt: skip
        trial = _try(active, names, [_One(values)])
        trial.cut = not whole
        for rule, row in _that_edit(active, trial) if whole else ():
            _differences(rule, row, dataset, part10.transfer_syntax_uid)
    except DatasetError as error:
        raise TrialFailed(f"{name[:100]}: {error.reason}") from error
    except ValueError as error:
        if isinstance(error, RoutingError):
            raise
        raise TrialFailed(f"{name[:100]}: cannot be read") from error
    return trial


def try_study(connection: psycopg.Connection[Any], rule_set: RuleSet | None, study_uid: str, home: Path) -> Trial:
    """The rules on a stored study, its facts as they are now. Raises TrialFailed."""
    queries = database.statements("gantry.routing")
    cursor = psycopg.Cursor(connection)
    found = cursor.execute(queries["study_for_trial"], {"study_uid": study_uid}).fetchone()
    if found is None:
        raise TrialFailed("there is no study of this UID in the index: `gantry studies` shows those that are")
    study_id, *counts = found
    known = study_values(*counts)
    ones: list[_One] = []
    after = 0
    cut = False
    while not cut:
        sql = database.statements("gantry.routing", "route.sql")["versions_of_study"]
        rows = cursor.execute(sql, {"study_id": study_id, "after": after, "limit": _PORTION}).fetchall()
        for version_id, _, _, *parts in rows:
            ones.append(_One(values_of(*parts, known=known), version_id))
        cut = len(ones) >= MAX_INSTANCES
        if len(rows) < _PORTION:
            break
        after = rows[-1][0]
    active, names = rules_for_trial(connection, rule_set)
    trial = _try(active, names, ones)
    trial.cut = cut
    for rule, row in _that_edit(active, trial):
        _edits_of_stored(cursor, rule, row, ones, home)
    return trial


def _try(active: ActiveRules, names: Mapping[int, str], ones: Sequence[_One]) -> Trial:
    trial = Trial(active.version, len(ones), [])
    decider = Decider(active.rules)
    by_rule: dict[str, set[int]] = {}
    for number, one in enumerate(ones):
        for decision in decider.decide(one.values):
            by_rule.setdefault(decision.rule_name, set()).add(number)
    matches = [by_rule.get(rule.name, set()) for rule in active.rules]
    for rule, matched in zip(active.rules, matches, strict=True):
        row = _one_rule(rule, ones, matched, names)
        row.problem = decider.problems.get(rule.name, "")
        trial.rules.append(row)
    trial.rules += [RuleTrial(name, problem=problem) for name, problem in active.problems.items() if name not in
                    {rule.name for rule in active.rules}]  # fmt: skip
    back = set[int]().union(*(m for rule, m in zip(active.rules, matches, strict=True) if rule.quarantine))
    trial.kept_back = len(back)
    goes: dict[str, set[int]] = {}
    for rule, matched in zip(active.rules, matches, strict=True):
        for node in rule.node_ids if rule.mode != "failover" else rule.node_ids[:1]:
            goes.setdefault(names[node], set()).update(matched - back)
    trial.destinations = {node: len(which) for node, which in sorted(goes.items()) if which}
    return trial


def _one_rule(rule: LoadedRule, ones: Sequence[_One], matched: set[int], names: Mapping[int, str]) -> RuleTrial:
    """Explained by the first instance that it matches, else by the first."""
    row = RuleTrial(
        rule.name, trigger=rule.trigger, mode=rule.mode, destinations=[names[node] for node in rule.node_ids],
        priority=rule.priority, hold=rule.hold, quarantine=rule.quarantine,
    )  # fmt: skip
    row.matched = len(matched)
    if ones:
        row.conditions = explain(rule, ones[min(matched, default=0)].values)[1]
    return row


def _that_edit(active: ActiveRules, trial: Trial) -> Iterator[tuple[LoadedRule, RuleTrial]]:
    """The rules that match something and change it."""
    rows = {row.rule: row for row in trial.rules}
    for rule in active.rules:
        if rule.edits and rows[rule.name].matched:
            yield rule, rows[rule.name]


def _edits_of_stored(cursor: psycopg.Cursor[Any], rule: LoadedRule, row: RuleTrial, ones: Sequence[_One], home: Path) -> None:
    """What the edits would change in the first instance. A file that is away is told, not raised."""
    first = next(one for one in ones if decide(one.values, [rule]))
    sql = database.statements("gantry.routing")["first_file"]
    stored = cursor.execute(sql, {"version_id": first.version_id}).fetchone()
    assert stored is not None
    file_path, offset, size, syntax = stored
    try:
        with open(resolve_path(home, file_path), "rb") as file:
            view = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        _differences(rule, row, view[offset : offset + size], syntax)
    except OSError as error:
        row.problem = f"the stored file cannot be read: {error.strerror}"


def _differences(rule: LoadedRule, row: RuleTrial, dataset: memoryview, syntax: str) -> None:
    try:
        edited = prepare(parse_edits(list(rule.edits)), dataset, syntax)
    except EditError as error:
        row.problem = str(error)
        return
    row.differences = list(edited.differences)
