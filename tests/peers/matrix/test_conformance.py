"""The conformance statement is true: what it says is accepted is accepted by a running Gantry, the rest is refused."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import pytest

import gantry
from dimse import ContextProposal, blocking
from dimse.items import ExtendedNegotiation
from dimse.negotiation import ABSTRACT_UNKNOWN, ACCEPTED
from dimse.pdu import AssociateAccept
from dimse.status import describe
from dimse.uids import IMPLICIT_VR_LITTLE_ENDIAN, all_of
from gantry.config import Config
from gantry.main import conformance_answers
from gantry.main.conformance import every_class, statement
from gantry.main.conformance_page import as_markdown
from tests.peers.matrix.world import CALLER, World

pytestmark = pytest.mark.timeout(120)
FACTS = statement(Config())
ROOT = Path(gantry.__file__).parent


def _ask(world: World, contexts: list[ContextProposal], **options: Any) -> AssociateAccept:
    # Verification is added so that an association stands even where everything else is refused.
    proposed = [*contexts, ContextProposal("1.2.840.10008.1.1")]
    with blocking.connect(
        "127.0.0.1", world.gantry.dicom_port, called_aet="GANTRY", calling_aet=CALLER, contexts=proposed, **options
    ) as association:
        accept = association.core.accept_pdu
    assert accept is not None
    return accept


def _answers(world: World, pairs: list[tuple[str, str]]) -> dict[tuple[str, str], int]:
    found: dict[tuple[str, str], int] = {}
    for at in range(0, len(pairs), 127):
        batch = pairs[at : at + 127]
        accept = _ask(world, [ContextProposal(uid, (syntax,)) for uid, syntax in batch])
        found |= {pair: context.result for pair, context in zip(batch, accept.contexts, strict=False)}
    return found


def test_what_is_claimed_is_accepted_and_nothing_else(world: World) -> None:
    """Every class in its first and last syntax, one class of each service in every syntax, every class that is refused."""
    claimed: dict[str, set[str]] = {}
    for group in FACTS["provider"]["groups"]:
        for item in group["classes"]:
            claimed[item["uid"]] = {syntax["uid"] for syntax in group["transfer_syntaxes"]}
    # A class of every group in every syntax there is; all others in two.
    whole = {group["classes"][0]["uid"] for group in FACTS["provider"]["groups"]}
    pairs = []
    for uid in every_class():
        known = sorted(claimed.get(uid, {IMPLICIT_VR_LITTLE_ENDIAN}))
        pairs += [(uid, syntax) for syntax in (all_of("syntax") if uid in whole else {known[0], known[-1]})]
    found = _answers(world, pairs)
    wrong = {pair: result for pair, result in found.items() if (result == ACCEPTED) != (pair[1] in claimed.get(pair[0], ()))}
    assert not wrong
    refused = {item["uid"] for item in FACTS["provider"]["refused"]}
    assert refused == set(every_class()) - set(claimed)
    assert {result for (uid, _), result in found.items() if uid in refused} == {ABSTRACT_UNKNOWN}


def test_roles_and_extended_negotiation_are_as_claimed(world: World) -> None:
    groups = FACTS["provider"]["groups"]
    wishes = [ContextProposal(group["classes"][0]["uid"], (IMPLICIT_VR_LITTLE_ENDIAN,), scu=True, scp=True) for group in groups]
    roles = {role.sop_class_uid: role.scp for role in _ask(world, wishes).user.roles}
    assert {uid for uid, scp in roles.items() if scp} == {g["classes"][0]["uid"] for g in groups if g["requestor_may_be_scp"]}
    claimed = {item["uid"]: bytes(item["answer"]) for item in FACTS["provider"]["extended_negotiation"]}
    assert claimed, "query and retrieve answer extended negotiation"
    contexts = [ContextProposal(uid, (IMPLICIT_VR_LITTLE_ENDIAN,)) for uid in claimed]
    accept = _ask(world, contexts, extended=[ExtendedNegotiation(uid, b"\1\1\1\1") for uid in claimed])
    assert {item.sop_class_uid: item.information for item in accept.user.extended} == claimed
    assert accept.user.max_length == FACTS["provider"]["max_pdu"]
    assert accept.user.implementation_class_uid == FACTS["product"]["implementation_class_uid"]
    assert accept.user.implementation_version == FACTS["product"]["implementation_version_name"]


def _codes(*folders: Path) -> set[int]:
    """All numbers and status names in the code that answers."""
    from dimse import status

    found: set[int] = set()
    for folder in folders:
        for path in [folder] if folder.is_file() else folder.rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Constant) and isinstance(node.value, int):
                    found.add(node.value)
                elif isinstance(node, ast.Name) and isinstance(value := getattr(status, node.id, None), int):
                    found.add(value)
    return found


def test_every_status_it_lists_is_in_the_code_that_answers() -> None:
    known = _codes(ROOT / "receiver", ROOT / "intake", ROOT.parent / "dimse")
    for service, rows in conformance_answers.STATUSES.items():
        for code, when in rows:
            assert code in known, f"{service} {code:04X}: nothing in the code gives it"
            assert when
            assert describe(code, conformance_answers.SERVICES[service]).meaning != "unknown status"


def test_the_page_says_what_the_facts_say() -> None:
    page = as_markdown(FACTS)
    for group in FACTS["provider"]["groups"]:
        for item in group["classes"]:
            assert f"`{item['uid']}`" in page
    assert all(f"`{status['code']}`" in page for rows in FACTS["statuses"].values() for status in rows)
    assert all(key["tag"] in page for level in FACTS["query"] for key in level["keys"])
    changed = as_markdown(statement(Config(max_pdu=65536, unknown_callers="allow")))
    assert "65536 bytes" in changed
    assert "may do everything" in changed


def test_the_command_prints_the_running_configuration(world: World) -> None:
    facts = json.loads(world.gantry.cli("conformance", "--format", "json").stdout)
    assert facts["network"]["address"] == f"127.0.0.1:{world.gantry.dicom_port}"
    assert facts["security"]["unknown_callers"] == "allow"
