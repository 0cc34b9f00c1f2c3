"""Which contexts are accepted, and in which syntax."""

from __future__ import annotations

import pytest

from dimse import uids
from dimse.asking import Agreed
from dimse.errors import AssociationAborted, AssociationRejected, LocalProtocolError
from dimse.items import ProposedContext, RoleSelection, UserInformation
from dimse.negotiation import AcceptAsProposed, ContextProposal, agreed, answer_all, judge, propose
from dimse.pdu import AssociateAccept, AssociateRequest
from dimse.requesting import build_request

JPEG = uids.JPEG_LOSSLESS_SV1
EXPLICIT = uids.EXPLICIT_VR_LITTLE_ENDIAN


def answer(abstract: str, *transfer: str, policy: AcceptAsProposed | None = None) -> tuple[int, str]:
    found = (policy or AcceptAsProposed()).answer(ProposedContext(1, abstract, transfer))
    return found.result, found.transfer_syntax


def test_every_storage_class_in_any_syntax() -> None:
    assert len(uids.all_of("storage")) > 150
    for abstract in uids.all_of("storage"):
        assert answer(abstract, JPEG, EXPLICIT) == (0, JPEG)


def test_private_classes_and_syntaxes_are_accepted_as_proposed() -> None:
    assert answer("1.3.12.2.1107.5.9.1", "1.2.276.0.7230010.9") == (0, "1.2.276.0.7230010.9")


def test_other_services_are_refused_by_abstract_syntax() -> None:
    for abstract in (
        "1.2.840.10008.5.1.4.1.2.2.1",
        "1.2.840.10008.1.20.1",
        "1.2.840.10008.5.1.1.9",
        EXPLICIT,
    ):
        assert answer(abstract, EXPLICIT)[0] == 3


def test_preference_picks_among_several() -> None:
    policy = AcceptAsProposed([EXPLICIT, uids.IMPLICIT_VR_LITTLE_ENDIAN])
    assert answer(uids.CT_IMAGE_STORAGE, JPEG, uids.IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT, policy=policy) == (
        0,
        EXPLICIT,
    )
    assert answer(uids.CT_IMAGE_STORAGE, JPEG, policy=policy) == (0, JPEG)
    only = AcceptAsProposed(only=[EXPLICIT])
    assert answer(uids.CT_IMAGE_STORAGE, JPEG, EXPLICIT, policy=only) == (0, EXPLICIT)
    assert answer(uids.CT_IMAGE_STORAGE, JPEG, policy=only)[0] == 4


def test_what_is_no_uid_is_not_accepted() -> None:
    assert answer("../../etc/passwd", EXPLICIT)[0] == 3
    assert answer(uids.CT_IMAGE_STORAGE, "x", "1." + "9" * 70, "1..2")[0] == 4


def test_the_protocol_rejects_before_the_application_is_asked() -> None:
    proposal = propose([ContextProposal(uids.VERIFICATION)])
    assert judge(AssociateRequest("A", "B", proposal)) is None
    wrong = judge(AssociateRequest("A", "B", proposal, application_context="1.2.3"))
    assert wrong is not None
    assert (wrong.result, wrong.source, wrong.reason) == (1, 1, 2)
    old = judge(AssociateRequest("A", "B", proposal, protocol_version=2))
    assert old is not None
    assert (old.result, old.source, old.reason) == (1, 2, 2)


def test_proposals_get_odd_ids_and_a_limit() -> None:
    many = [ContextProposal(uids.CT_IMAGE_STORAGE)] * 128
    assert [c.context_id for c in propose(many)] == list(range(1, 256, 2))
    for wrong in ([], [*many, many[0]]):
        with pytest.raises(LocalProtocolError, match="1 to 128"):
            propose(wrong)


def test_roles_are_what_both_sides_want() -> None:
    request = build_request("A", "B", [ContextProposal(uids.CT_IMAGE_STORAGE, scu=True, scp=True)], 16384)
    assert request.user.roles == (RoleSelection(uids.CT_IMAGE_STORAGE, True, True),)
    answers = answer_all(request, AcceptAsProposed())
    plain = agreed(request, AssociateAccept("A", "B", answers))[1]
    assert (plain.requestor_is_scu, plain.requestor_is_scp) == (True, False)
    user = UserInformation(roles=(RoleSelection(uids.CT_IMAGE_STORAGE, False, True),))
    granted = agreed(request, AssociateAccept("A", "B", answers, user))[1]
    assert (granted.requestor_is_scu, granted.requestor_is_scp) == (False, True)
    assert Agreed({1: granted}).accepted == {(uids.CT_IMAGE_STORAGE, uids.IMPLICIT_VR_LITTLE_ENDIAN): 1}


@pytest.mark.parametrize("title", ["", " ", "A" * 17, "Ärzte"])
def test_ae_titles_that_cannot_be_sent(title: str) -> None:
    with pytest.raises(LocalProtocolError, match="1 to 16"):
        build_request(title, "B", [ContextProposal(uids.VERIFICATION)], 16384)


def test_errors_speak() -> None:
    assert str(AssociationRejected(2, 3, 2)) == (
        "rejected for now by its presentation layer: local limit of associations exceeded"
    )
    assert AssociationRejected(2, 3, 2).transient
    assert "result 9" in str(AssociationRejected(9, 9, 9))
    assert "unexpected PDU" in str(AssociationAborted(2, 2))


def test_names_of_uids() -> None:
    assert uids.name_of(uids.CT_IMAGE_STORAGE) == "CT Image Storage"
    assert uids.name_of("1.2.3") == "1.2.3"
    assert uids.kind_of(EXPLICIT) == "syntax"
    assert uids.is_uid(uids.IMPLEMENTATION_CLASS_UID)
    assert not uids.is_uid("1.²")
