"""Two associations wired to each other without a network, and what both said."""

from __future__ import annotations

from collections.abc import Iterable

from dimse.acceptance import Accept, build_accept
from dimse.association import Association
from dimse.events import AssociationAccepted, AssociationRequested, DataFragment, Event
from dimse.negotiation import AcceptAsProposed, ContextProposal
from dimse.requesting import build_request
from dimse.states import Role
from dimse.uids import CT_IMAGE_STORAGE, EXPLICIT_VR_LITTLE_ENDIAN, VERIFICATION

CONTEXTS = (ContextProposal(VERIFICATION), ContextProposal(CT_IMAGE_STORAGE, (EXPLICIT_VR_LITTLE_ENDIAN,)))


def events_of(association: Association, chunks: Iterable[bytes]) -> list[Event]:
    """Feed chunks and collect the events; fragments are copied, as their views do not last."""
    found: list[Event] = []
    for chunk in chunks:
        association.receive(bytearray(chunk))
        while (event := association.next_event()) is not None:
            if isinstance(event, DataFragment):
                event = DataFragment(event.context_id, [memoryview(b"".join(event.views))], event.last)
            found.append(event)
    return found


def joined(events: list[Event]) -> list[object]:
    """Events with the fragments of one data set put together: how the bytes were cut must not matter."""
    found: list[object] = []
    data = b""
    for event in events:
        if isinstance(event, DataFragment):
            data += b"".join(event.views)
            if event.last:
                found.append((event.context_id, data))
                data = b""
        else:
            found.append(event)
    return [*found, data] if data else found


class Pair:
    """A requestor and an acceptor with an established association."""

    def __init__(self, *, requestor_max: int = 131072, acceptor_max: int = 131072) -> None:
        self.requestor = Association(Role.REQUESTOR, max_pdu=requestor_max)
        self.acceptor = Association(Role.ACCEPTOR, max_pdu=acceptor_max)
        request = build_request("GANTRY", "TESTER", CONTEXTS, requestor_max)
        (asked,) = events_of(self.acceptor, [self.requestor.request(request)])
        assert isinstance(asked, AssociationRequested)
        accept = build_accept(asked.request, Accept(), AcceptAsProposed(), acceptor_max)
        (answered,) = events_of(self.requestor, [self.acceptor.accept(accept)])
        assert isinstance(answered, AssociationAccepted)

    def to_acceptor(self, data: bytes) -> list[Event]:
        return events_of(self.acceptor, [data])

    def to_requestor(self, data: bytes) -> list[Event]:
        return events_of(self.requestor, [data])
