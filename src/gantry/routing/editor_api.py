"""Routes for those who write rules: keywords, a look at what is unsaved, the whole draft at once, a dropped file."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from ninja import File, Form, Path, Router, UploadedFile

from gantry.accounts import connection
from gantry.accounts.errors import Invalid
from gantry.accounts.route import actor_of, may
from gantry.accounts.visible import visible
from gantry.audit.record import record
from gantry.nodes.models import Node
from gantry.routing import keywords, trial, versions
from gantry.routing.api import by_of, nobody_else, only_draft
from gantry.routing.check import Checked, check
from gantry.routing.editor_schemas import ArrivalIn, KeywordList, RuleCheckIn, RuleCheckOut, RulesIn
from gantry.routing.models import RuleSet
from gantry.routing.schemas import RuleSetOut, Which
from gantry.routing.trial_schemas import TrialOut

router = Router(tags=["rules"])
#: What is looked at of a dropped file; the limit of all bodies is smaller.
_MOST_BYTES = 4 << 20


@router.get("/rule-keywords", auth=may("rules.view"), response=KeywordList, summary="What a condition can ask for")
def list_keywords(request: HttpRequest) -> KeywordList:
    """Keywords with meaning, operators, and values of the newest studies that one may see, none of what names a patient."""
    return KeywordList.of(keywords.keywords(connection.of_request(), visible(actor_of(request), "studies.view")))


@router.post("/rule-checks", auth=may("rules.edit"), response=RuleCheckOut, summary="Look at rules without saving them")
def check_rules(request: HttpRequest, body: RuleCheckIn) -> Checked:
    """Every problem with its place in the JSON, and the rules as they would be kept. Conditions may be written or a tree."""
    taken: set[str] = set()
    if body.version is not None:
        found = versions.active() if body.version == "active" else versions.pick(body.version)
        taken = {rule.name for rule in versions.rules_of(found)} - {body.replaces}
    return check(body.rules, _nodes(), taken)


@router.put("/rule-sets/{which}/rules", auth=may("rules.edit"), response=RuleSetOut, summary="Write all rules of the draft")
def write_rules(request: HttpRequest, which: Path[Which], body: RulesIn) -> RuleSet:
    """In this order, in place of those that are there: to move, rename or change several at once."""
    only_draft(which)
    # A node that was removed meanwhile keeps nobody from moving rules: `write_draft` asks for nodes of new rules only.
    found = check(body.rules, {node: True for one in body.rules for node in _destinations(one)})
    wrong = [one for one in found.problems if one.level == "error"]
    if wrong:
        raise Invalid(
            f"{_words(wrong[0].path)}: {wrong[0].message}"[:1000],
            details=[{"where": _words(one.path), "message": one.message} for one in wrong[:20]],
        )
    rules = [rule for rule in found.rules if rule is not None]
    with nobody_else():
        return versions.write_draft(rules, by_of(request), expected=body.expected, renamed=dict(body.renamed))


@router.post("/rule-trials/file", auth=may("rules.edit"), response=TrialOut, summary="Try the rules on a file")
def try_rules_on_file(request: HttpRequest, arrival: Form[ArrivalIn], file: File[UploadedFile]) -> trial.Trial:
    """A DICOM file, or its first megabyte with its `size`: then edits are not shown. Nothing is stored or ordered."""
    rule_set = versions.active() if arrival.version == "active" else versions.pick(arrival.version)
    data = memoryview(file.read(_MOST_BYTES))
    whole = arrival.size is None or arrival.size <= len(data)
    on = connection.of_request()
    record(on, "rules.try", by_of(request), kind="file", after={"version": arrival.version})
    came = trial.Arrival(arrival.calling_aet, arrival.called_aet, arrival.remote_address)
    return trial.try_bytes(on, rule_set, data, "the file", came, whole=whole)


def _nodes() -> dict[str, bool]:
    return dict(Node.objects.filter(removed_at=None).values_list("name", "enabled"))


def _destinations(rule: dict[str, Any]) -> list[str]:
    found = rule.get("destinations")
    return [node for node in found if isinstance(node, str)] if isinstance(found, list) else []


def _words(path: tuple[str | int, ...]) -> str:
    return ".".join(map(str, ("rules", *path)))[:200]
