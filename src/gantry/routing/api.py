"""Routes: rules, their versions, decisions, what is kept back, trials and replays."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path as FilePath
from typing import Any
from uuid import UUID

from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from ninja import Path, Query, Router, Status

from gantry import config
from gantry.accounts import connection, see
from gantry.accounts.errors import Conflict
from gantry.accounts.page import PageQuery, answer, by_id, pack, unpack
from gantry.accounts.route import actor_of, may
from gantry.accounts.sign_in import address_of
from gantry.accounts.visible import visible
from gantry.audit.record import By, by_actor, record
from gantry.routing import decisions, ordered_replay, rules, trial, versions
from gantry.routing.decision_schemas import DecisionPage, DecisionQuery, HeldCount, HeldEnd, HeldPage, HeldQuery, ProblemPage
from gantry.routing.errors import NoDraft, RulesMoved
from gantry.routing.models import Replay, RuleSet
from gantry.routing.schemas import (
    ActivateIn,
    DifferencesOut,
    DraftIn,
    RuleChange,
    RuleIn,
    RuleName,
    RuleOut,
    RulePage,
    RuleQuery,
    RuleRemoval,
    RuleSetOut,
    RuleSetPage,
    SinceQuery,
    VersionQuery,
    Which,
    stored,
)
from gantry.routing.spec import RuleSpec, conditions_of
from gantry.routing.trial_schemas import ReplayIn, ReplayList, ReplayOut, TrialIn, TrialOut

router = Router(tags=["rules"])
#: Replays that are listed.
_LATEST = 20


def by_of(request: HttpRequest) -> By:
    return by_actor(actor_of(request), address_of(request))


@contextmanager
def nobody_else() -> Iterator[None]:
    """409 with what changed, where somebody else was faster."""
    try:
        yield
    except RulesMoved as error:
        raise Conflict(
            str(error), remedy="Look at what changed, then send the number that is there now as `expected`.",
            details={
                "current": error.current, "changes": error.changes[:100],
                "who": list(dict.fromkeys(edit.who for edit in error.edits)),
                "when": error.edits[-1].when if error.edits else None,
                "edits": [{**asdict(edit), "changes": edit.changes[:100]} for edit in error.edits],
            },
        ) from error  # fmt: skip


# Rules


@router.get("/rules", auth=may("rules.view"), response=RulePage, summary="List rules")
def list_rules(request: HttpRequest, query: Query[RuleQuery]) -> dict[str, Any]:
    """The rules of the active version, or of another, in the order in which they decide."""
    found = rules.list_rules(query.version)
    begin = unpack(query.cursor) if query.cursor else 0
    end = begin + query.limit
    return answer(request, found[begin:end], pack(end) if end < len(found) else None)


@router.post("/rules", auth=may("rules.edit"), response={201: RuleOut}, summary="Add a rule")
def add_rule(request: HttpRequest, body: RuleIn) -> Status[RuleSpec]:
    """Make a rule. It is for what comes from now on. The active rules become a new version, or the draft changes."""
    fields = body.model_dump(exclude={"name", "conditions", "trigger", "destinations", "draft", "expected", "edits"})
    with nobody_else():
        rule = rules.add(
            body.name, to=body.destinations, when=stored(body.conditions), on=body.trigger, by=by_of(request), draft=body.draft,
            expected=body.expected, edits=body.edits, **fields,
        )  # fmt: skip
    return Status(201, rule)


@router.get("/rules/{name}", auth=may("rules.view"), response=RuleOut, summary="Get a rule")
def get_rule(request: HttpRequest, name: Path[RuleName], query: Query[VersionQuery]) -> RuleSpec:
    """One rule."""
    return rules.get(name, query.version)


@router.patch("/rules/{name}", auth=may("rules.edit"), response=RuleOut, summary="Change a rule, or switch it on or off")
def change_rule(request: HttpRequest, name: Path[RuleName], body: RuleChange) -> RuleSpec:
    """Deliveries that it has ordered stay."""
    given = body.model_dump(exclude_unset=True, exclude={"draft", "expected", "conditions"})
    fields: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in given.items()}
    if "conditions" in body.model_fields_set:
        fields["conditions"] = conditions_of(stored(body.conditions))
    with nobody_else():
        return rules.update(name, by=by_of(request), draft=body.draft, expected=body.expected, **fields)


@router.delete("/rules/{name}", auth=may("rules.edit"), response={204: None}, summary="Remove a rule")
def remove_rule(request: HttpRequest, name: Path[RuleName], query: Query[RuleRemoval]) -> Status[None]:
    """Deliveries that it has ordered stay."""
    with nobody_else():
        rules.remove(name, by=by_of(request), draft=query.draft, expected=query.expected)
    return Status(204, None)


# Versions


@router.get("/rule-sets", auth=may("rules.view"), response=RuleSetPage, summary="List versions of the rules")
def list_rule_sets(request: HttpRequest, query: Query[PageQuery]) -> dict[str, Any]:
    """Newest first."""
    found, cursor = by_id(RuleSet.objects.defer("rules"), query, newest_first=True)
    return answer(request, found, cursor)


@router.post("/rule-sets", auth=may("rules.edit"), response={201: RuleSetOut}, summary="Begin a draft")
def start_draft(request: HttpRequest, body: DraftIn) -> Status[RuleSet]:
    """A copy of the active rules, or of another version, to change and try. There is one draft at a time."""
    return Status(201, versions.start_draft(by_of(request), note=body.note, of=body.of))


@router.get("/rule-sets/{which}", auth=may("rules.view"), response=RuleSetOut, summary="Get a version of the rules")
def get_rule_set(request: HttpRequest, which: Path[Which]) -> RuleSet:
    """One version; `GET /rules?version=` has its rules."""
    return versions.pick(which)


@router.delete("/rule-sets/{which}", auth=may("rules.edit"), response={204: None}, summary="Throw the draft away")
def discard_draft(request: HttpRequest, which: Path[Which]) -> Status[None]:
    """Only the draft can go; other versions are history."""
    only_draft(which)
    versions.discard_draft(by_of(request))
    return Status(204, None)


@router.get(
    "/rule-sets/{which}/changes", auth=may("rules.view"), response=DifferencesOut, summary="What differs from another version"
)
def compare_rule_sets(request: HttpRequest, which: Path[Which], query: Query[SinceQuery]) -> dict[str, Any]:
    """Rule by rule."""
    after = versions.pick(which)
    before = versions.active() if query.since == "active" else versions.pick(query.since)
    return {
        "before": before.version if before else 0, "after": after.version,
        "items": versions.changes_between(before, after),
    }  # fmt: skip


@router.post("/rule-sets/{which}/rebase", auth=may("rules.edit"), response=RuleSetOut, summary="Put the draft on top")
def rebase_draft(request: HttpRequest, which: Path[Which]) -> RuleSet:
    """Put the draft's changes on top of what is active by now."""
    only_draft(which)
    with nobody_else():
        return versions.rebase_draft(by_of(request))


@router.post("/rule-sets/{which}/activate", auth=may("rules.activate"), response=RuleSetOut, summary="Activate, or roll back")
def activate_rule_set(request: HttpRequest, which: Path[Which], body: ActivateIn) -> RuleSet:
    """Let the draft decide from now on; or, with the number of an earlier version, a copy of that."""
    with nobody_else():
        if which == "draft":
            return versions.activate_draft(by_of(request), expected=body.expected, note=body.note)
        return versions.roll_back(versions.pick(which).version, by_of(request), expected=body.expected)


def only_draft(which: str) -> None:
    if which != "draft":
        raise NoDraft("only the draft changes; other versions are history")


@router.get("/rule-problems", auth=may("rules.view"), response=ProblemPage, summary="Rules that could not be evaluated")
def list_problems(request: HttpRequest) -> dict[str, Any]:
    """Of the active version, the latest first. Such a rule sends nothing."""
    active = versions.active()
    found = decisions.problems(connection.of_request(), active.version) if active else []
    return answer(request, found, None)


# Why, and what is kept back


@router.get("/decisions", auth=may("deliveries.view"), response=DecisionPage, summary="Why a study went where it went")
def list_decisions(request: HttpRequest, query: Query[DecisionQuery]) -> dict[str, Any]:
    """One row per version of the rules and rule that matched instances of the study."""
    on = connection.of_request()
    see.study(actor_of(request), "deliveries.view", query.study)
    found = decisions.why(on, query.study, after=unpack(query.cursor) if query.cursor else None, limit=query.limit + 1)
    more = len(found) > query.limit
    return answer(request, found[: query.limit], pack(found[query.limit - 1].id) if more else None)


@router.get("/held", auth=may("quarantine.view"), response=HeldPage, summary="Instances that rules keep back")
def list_held(request: HttpRequest, query: Query[HeldQuery]) -> dict[str, Any]:
    """Stored and indexed, and forwarded nowhere before a person says so."""
    after = unpack(query.cursor) if query.cursor else None
    found = decisions.list_held(
        connection.of_request(), state=query.state, study_uid=query.study, after=after, limit=query.limit + 1,
        seen=visible(actor_of(request), "quarantine.view"),
    )  # fmt: skip
    more = len(found) > query.limit
    return answer(request, found[: query.limit], pack(found[query.limit - 1].id) if more else None)


@router.post("/held/release", auth=may("rules.release"), response=HeldCount, summary="Let instances go")
def release_held(request: HttpRequest, body: HeldEnd) -> dict[str, int]:
    """They are routed as if no rule kept them back."""
    count = decisions.release(
        connection.of_request(), ids=body.ids, study_uid=body.study_instance_uid, by=by_of(request), reason=body.reason
    )
    return {"instances": count}


@router.post("/held/dismiss", auth=may("rules.release"), response=HeldCount, summary="Leave instances where they are")
def dismiss_held(request: HttpRequest, body: HeldEnd) -> dict[str, int]:
    """For good: stored, never forwarded by a rule."""
    count = decisions.dismiss(
        connection.of_request(), ids=body.ids, study_uid=body.study_instance_uid, by=by_of(request), reason=body.reason
    )
    return {"instances": count}


# Before it goes live


@router.post("/rule-trials", auth=may("rules.edit"), response=TrialOut, summary="Try the rules on a stored study")
def try_rules(request: HttpRequest, body: TrialIn) -> trial.Trial:
    """Which rules match and why not, what would be ordered, what edits would change. Shows values of the patient."""
    rule_set = versions.active() if body.version == "active" else versions.pick(body.version)
    on = connection.of_request()
    record(on, "rules.try", by_of(request), kind="study", study_uid=body.study_instance_uid, after={"version": body.version})
    return trial.try_study(on, rule_set, body.study_instance_uid, FilePath(config.current().home))


@router.post("/rule-replays", auth=may("rules.edit"), response={202: ReplayOut}, summary="Replay rules over the index")
def order_replay(request: HttpRequest, body: ReplayIn) -> Status[Replay]:
    """Which studies of the last days would have gone elsewhere. It runs in the queue; `GET` it until it has ended."""
    return Status(202, ordered_replay.order_replay(body.days, body.version, by_of(request)))


@router.get("/rule-replays", auth=may("rules.edit"), response=ReplayList, summary="List replays")
def list_replays(request: HttpRequest) -> dict[str, Any]:
    """The latest, newest first, without their results."""
    found = list(Replay.objects.defer("result").order_by("-created_at")[:_LATEST])
    for one in found:
        one.result = None
    return {"items": found, "next": None}


@router.get("/rule-replays/{replay_id}", auth=may("rules.edit"), response=ReplayOut, summary="See a replay")
def get_replay(request: HttpRequest, replay_id: UUID) -> Replay:
    """How far it is, and its result."""
    return get_object_or_404(Replay, pk=replay_id)


@router.delete("/rule-replays/{replay_id}", auth=may("rules.edit"), response={202: ReplayOut}, summary="Stop a replay")
def stop_replay(request: HttpRequest, replay_id: UUID) -> Status[Replay]:
    """It ends after the study it is at."""
    found = get_object_or_404(Replay, pk=replay_id)
    Replay.objects.filter(pk=found.pk, ended_at=None).update(cancel_wanted=True)
    found.refresh_from_db()
    return Status(202, found)
