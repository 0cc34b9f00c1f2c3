"""Rule sets as versions: draft, activate, roll back. Whoever edits takes one lock, so edits never mix.

`expected` guards against two people: the version (of the active set) or the revision (of the draft) that the caller
saw. When it is another by now, RulesMoved says what changed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from django.db import connection, transaction
from django.db.models import Max
from django.utils import timezone

from gantry import facts
from gantry.accounts.connection import of_request
from gantry.audit.models import Entry
from gantry.audit.record import SYSTEM, By, record
from gantry.nodes.errors import NodeMissing
from gantry.nodes.models import Node
from gantry.routing.difference import RuleDifference, compare, merge
from gantry.routing.errors import DraftExists, Edit, NoDraft, RulesMoved
from gantry.routing.models import Rule, RuleSet
from gantry.routing.spec import RuleSpec, check_names, checked, from_json

_MOST_EDITS = 50
Change = Callable[[list[RuleSpec]], list[RuleSpec]]
_LOCK = 0x67616E72756C65  # "ganrule"
#: What no release knows as a trigger, so that the one before this leaves such a rule alone (see models.Rule).
NOT_FOR_OLD = "newer:"


def active() -> RuleSet | None:
    """The set that decides; None before the first rule."""
    return RuleSet.objects.filter(state="active").first()


def draft() -> RuleSet:
    """The draft. Raises NoDraft."""
    found = RuleSet.objects.filter(state="draft").first()
    if found is None:
        raise NoDraft("there is no draft: `gantry rule draft` begins one")
    return found


def version(number: int) -> RuleSet:
    """A version by its number. Raises NoDraft."""
    found = RuleSet.objects.filter(version=number).first()
    if found is None:
        raise NoDraft(f"there is no version {number} of the rules: `gantry rule versions` shows those that are")
    return found


def pick(candidate: str) -> RuleSet:
    """`draft`, `active`, or a number. Raises NoDraft."""
    if candidate == "draft":
        return draft()
    if candidate == "active":
        found = active()
        if found is None:
            raise NoDraft("there are no rules yet: `gantry rule add` makes the first")
        return found
    if not candidate.isdecimal() or len(candidate) > 9:
        raise NoDraft(f"{candidate[:40]!r} is no version: use draft, active or a number")
    return version(int(candidate))


def rules_of(rule_set: RuleSet | None) -> list[RuleSpec]:
    """Its rules, in their order; none of nothing. Raises BadRule."""
    return [from_json(data) for data in rule_set.rules] if rule_set else []


def change_active(change: Change, by: By = SYSTEM, *, note: str, expected: int | None = None) -> RuleSet:
    """Make a new version of the active set and activate it at once; the one before stays in the history."""
    with transaction.atomic():
        _lock()
        now_active = active()
        _expect(now_active, now_active.version if now_active else 0, expected)
        before = rules_of(now_active)
        rules = _checked(change(list(before)), before)
        made = _insert(rules, by, note=note, based_on=now_active, state="draft-at-once")
        _activate(made, now_active, by, "rules.edit")
    return made


def change_draft(change: Change, by: By = SYSTEM, *, note: str, expected: int | None = None) -> RuleSet:
    """Change the draft. Raises NoDraft, RulesMoved."""
    with transaction.atomic():
        _lock()
        found = draft()
        _expect(found, found.revision, expected)
        before = rules_of(found)
        rules = _checked(change(list(before)), before)
        found.rules = [rule.to_json() for rule in rules]
        found.revision += 1
        found.updated_at = timezone.now()
        found.save(update_fields=["rules", "revision", "updated_at"])
        changes, names = _told(compare(before, rules))
        with connection.cursor() as cursor:
            record(
                cursor, "rules.edit", by, kind="rule_set", key=f"draft {found.version}", reason=note,
                after={"changes": changes, "rules": names},
            )  # fmt: skip
    return found


def write_draft(
    rules: Sequence[RuleSpec], by: By = SYSTEM, *, expected: int | None = None, renamed: Mapping[str, str] | None = None
) -> RuleSet:
    """Put these rules into the draft in this order, in place of all that are there. `renamed`: new names to old ones.

    Raises as `change_draft`.
    """
    old_names = renamed or {}

    def change(before: list[RuleSpec]) -> list[RuleSpec]:
        there = {rule.name: rule for rule in before}
        found = []
        for rule in rules:
            was = there.get(old_names.get(rule.name, rule.name))
            found.append(was if was is not None and rule.same_as(was) else stamped(rule, was))
        return found

    return change_draft(change, by, note="write the draft", expected=expected)


def start_draft(by: By = SYSTEM, *, note: str = "", of: str = "active") -> RuleSet:
    """Begin a draft, a copy of the active set or of another version. Raises DraftExists, NoDraft."""
    with transaction.atomic():
        _lock()
        if (there := RuleSet.objects.filter(state="draft").first()) is not None:
            raise DraftExists(
                f"there is a draft already (version {there.version}, by {there.author}): go on with it, activate it, or "
                "`gantry rule draft --discard`"
            )
        now_active = active()
        source = now_active if of == "active" else pick(of)
        made = _insert(rules_of(source), by, note=note, based_on=now_active, state="draft")
        with connection.cursor() as cursor:
            record(cursor, "rules.draft", by, kind="rule_set", key=str(made.version), reason=note)
    return made


def discard_draft(by: By = SYSTEM) -> RuleSet:
    """Throw the draft away; its number is not used again. Raises NoDraft."""
    with transaction.atomic():
        _lock()
        found = draft()
        RuleSet.objects.filter(pk=found.pk).update(state="retired", retired_at=timezone.now())
        with connection.cursor() as cursor:
            record(cursor, "rules.discard", by, kind="rule_set", key=str(found.version))
    found.refresh_from_db()
    return found


def rebase_draft(by: By = SYSTEM) -> RuleSet:
    """Put the draft's changes on top of what is active now. Raises NoDraft, RulesMoved where both changed a rule."""
    with transaction.atomic():
        _lock()
        found, now_active = draft(), active()
        current = now_active.version if now_active else 0
        base = RuleSet.objects.filter(version=found.based_on).first() if found.based_on else None
        merged = merge(rules_of(base), rules_of(found), rules_of(now_active), current)
        found.rules = [rule.to_json() for rule in _checked(merged, rules_of(now_active))]
        found.based_on = current or None
        found.revision += 1
        found.updated_at = timezone.now()
        found.save(update_fields=["rules", "based_on", "revision", "updated_at"])
        with connection.cursor() as cursor:
            record(cursor, "rules.rebase", by, kind="rule_set", key=str(found.version), after={"based_on": current})
    return found


def activate_draft(by: By = SYSTEM, *, expected: int | None = None, note: str = "") -> RuleSet:
    """Let the draft decide from now on. `expected` is its revision.

    Raises NoDraft, NodeMissing; RulesMoved when the active set is no longer the one that the draft was made from.
    """
    with transaction.atomic():
        _lock()
        found, now_active = draft(), active()
        _expect(found, found.revision, expected)
        current = now_active.version if now_active else None
        if found.based_on != current:
            base = RuleSet.objects.filter(version=found.based_on).first() if found.based_on else None
            changes = [str(one) for one in compare(rules_of(base), rules_of(now_active))]
            raise RulesMoved(
                f"the draft was made from version {found.based_on or 0}, active is version {current or 0} by now "
                f"({'; '.join(changes[:5])[:600]}): put it on top of that with `gantry rule draft --rebase`",
                current or 0, changes,
            )  # fmt: skip
        _checked(rules_of(found), rules_of(now_active))
        if note:
            found.note = note
        _activate(found, now_active, by, "rules.activate")
    return found


def roll_back(to: int | None = None, by: By = SYSTEM, *, expected: int | None = None) -> RuleSet:
    """Activate a copy of an earlier version (default: the one that was active before). Raises NoDraft, NodeMissing."""
    with transaction.atomic():
        _lock()
        now_active = active()
        current = now_active.version if now_active else 0
        _expect(now_active, current, expected)
        target = active_before() if to is None else version(to)
        note = f"back to version {target.version}"
        made = _insert(
            _checked(rules_of(target), rules_of(now_active)), by, note=note, based_on=now_active, state="draft-at-once"
        )
        _activate(made, now_active, by, "rules.rollback")
    return made


def active_before() -> RuleSet:
    """The version that decided until the active one took over: a draft may be older than it by number. Raises NoDraft."""
    earlier = RuleSet.objects.filter(state="retired", activated_at__isnull=False, retired_at__isnull=False)
    found = earlier.order_by("-retired_at", "-version").first()
    if found is None:
        raise NoDraft("there is no earlier version to go back to")
    return found


def changes_between(before: RuleSet | None, after: RuleSet | None) -> list[RuleDifference]:
    """What differs."""
    return compare(rules_of(before), rules_of(after))


def _lock() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])


def _expect(there: RuleSet | None, current: int, expected: int | None) -> None:
    if expected is None or expected == current:
        return
    edits: list[Edit] = []
    what = "draft is at revision" if there is not None and there.state == "draft" else "rules are at version"
    if there is None or there.state == "active":
        seen = RuleSet.objects.filter(version=expected).first()
        found = changes_between(seen, there)
        if there is not None and there.activated_at is not None:
            edits.append(Edit(there.activated_by, there.activated_at, *_told(found)))
        changes = [str(one) for one in found]
    else:
        wanted = max(current - expected, 0)
        entries = list(reversed(edits_of(there, min(wanted, _MOST_EDITS))))
        if len(entries) < min(wanted, _MOST_EDITS) or not wanted:  # what they saw was another draft
            edits.append(Edit(there.author, there.created_at, [], []))
        for entry in entries:
            after = entry.after or {}
            edits.append(Edit(entry.who, entry.at, list(after.get("changes", ())), list(after.get("rules", ()))))
        changes = [line for edit in edits for line in edit.changes]
    by = f" (last by {edits[-1].who}, {edits[-1].when:%Y-%m-%d %H:%M} UTC)" if edits else ""
    raise RulesMoved(
        f"the {what} {current} by now, not {expected}" + (f": {'; '.join(changes[:5])[:600]}" if changes else "") + by,
        current, changes, edits,
    )  # fmt: skip


def _told(found: Sequence[RuleDifference]) -> tuple[list[str], list[str]]:
    """Differences as lines, and the names of the rules."""
    return [str(one) for one in found], list(dict.fromkeys(one.name for one in found))


def edits_of(rule_set: RuleSet, count: int) -> list[Entry]:
    """The last edits of a draft, the newest first, as the audit has them: each made one revision."""
    rows = Entry.objects.filter(
        kind="rule_set", key__in=[f"draft {rule_set.version}", str(rule_set.version)], act__in=["rules.edit", "rules.rebase"]
    )
    return list(rows.order_by("-id")[:count])


def _checked(rules: Sequence[RuleSpec], before: Sequence[RuleSpec]) -> list[RuleSpec]:
    """Every rule that is not in `before` as it is can work, and its nodes are there. Raises what they raise."""
    check_names(rules)
    there = {rule.name: rule for rule in before}
    # A node that was removed meanwhile must not keep people from changing other rules.
    new = [rule for rule in rules if rule.name not in there or not rule.same_as(there[rule.name])]
    wanted = {node for rule in new for node in rule.destinations}
    known = set(Node.objects.filter(name__in=wanted, removed_at=None).values_list("name", flat=True))
    for rule in map(checked, new):
        for node in rule.destinations:
            if node not in known:
                raise NodeMissing(f"rule {rule.name}: there is no node {node[:80]!r}: `gantry node list` shows those that are")
    return list(rules)


def _insert(rules: Sequence[RuleSpec], by: By, *, note: str, based_on: RuleSet | None, state: str) -> RuleSet:
    now = timezone.now()
    last = RuleSet.objects.aggregate(version=Max("version"), revision=Max("revision"))
    # Over all drafts, so that whoever saw one that is gone by now does not write into the next.
    revision = (last["revision"] or 0) + 1 if state == "draft" else 0
    return RuleSet.objects.create(
        version=(last["version"] or 0) + 1, revision=revision, state=state, author=by.who, note=note[:500],
        based_on=based_on.version if based_on else None,
        rules=[rule.to_json() for rule in rules], created_at=now, updated_at=now,
    )  # fmt: skip


def _activate(made: RuleSet, before: RuleSet | None, by: By, act: str) -> None:
    """In a transaction that holds the lock: states, the copy for the release before, audit, fact."""
    now = timezone.now()
    if before is not None:
        RuleSet.objects.filter(pk=before.pk).update(state="retired", retired_at=now)
    made.state, made.activated_at, made.activated_by = "active", now, by.who
    made.save(update_fields=["state", "activated_at", "activated_by", "note"])
    rules = rules_of(made)
    _copy_for_the_release_before(rules)
    changes = [str(one) for one in compare(rules_of(before), rules)]
    with connection.cursor() as cursor:
        record(
            cursor, act, by, kind="rule_set", key=str(made.version), reason=made.note,
            before={"version": before.version if before else 0}, after={"version": made.version, "changes": changes},
        )  # fmt: skip
    facts.publish(of_request(), facts.RulesChanged(made.version))


def _copy_for_the_release_before(rules: Sequence[RuleSpec]) -> None:
    nodes = dict(Node.objects.filter(removed_at=None).values_list("name", "pk"))
    Rule.objects.all().delete()
    now = datetime.now(UTC)
    rows = Rule.objects.bulk_create(
        Rule(
            name=rule.name, enabled=rule.enabled, conditions=list(rule.conditions),
            trigger=rule.trigger if rule.plain else NOT_FOR_OLD + rule.trigger,
            created_at=_moment(rule.created_at) or now, updated_at=_moment(rule.updated_at) or now,
        )
        for rule in rules
    )  # fmt: skip
    link = Rule.destinations.through
    link.objects.bulk_create(
        link(rule_id=row.pk, node_id=nodes[node])
        for row, rule in zip(rows, rules, strict=True)
        for node in rule.destinations
        if node in nodes
    )


def _moment(text: str) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def stamped(rule: RuleSpec, before: RuleSpec | None = None) -> RuleSpec:
    """With its times: made with `before`, or now; changed now."""
    now = timezone.now().isoformat()
    return replace(rule, created_at=before.created_at if before and before.created_at else now, updated_at=now)
