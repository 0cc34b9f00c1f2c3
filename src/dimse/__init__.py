"""DICOM on the wire: associations and DIMSE messages (PS3.7, PS3.8), without any I/O of its own.

The core is `Association`; `dimse.blocking` (threads) and `dimse.aio` (asyncio) put it on sockets.
"""

from dimse.acceptance import (
    Accept,
    AssociationInfo,
    AssociationRequest,
    Limits,
    PeerAddress,
    Reject,
    StoreAnswer,
    StoreRequest,
)
from dimse.association import Association
from dimse.errors import DimseError, LocalProtocolError, Refused, RemoteProtocolError
from dimse.negotiation import AcceptAsProposed, AcceptedContext, AcceptServices, ContextProposal
from dimse.operations import (
    Final,
    FindRequest,
    GetRequest,
    Match,
    MoveRequest,
    NormalisedAnswer,
    NormalisedRequest,
    Outgoing,
    Progress,
    SubOperations,
)
from dimse.requesting import StoreResult
from dimse.states import Role

__all__ = [
    "Accept",
    "AcceptAsProposed",
    "AcceptServices",
    "AcceptedContext",
    "Association",
    "AssociationInfo",
    "AssociationRequest",
    "ContextProposal",
    "DimseError",
    "Final",
    "FindRequest",
    "GetRequest",
    "Limits",
    "LocalProtocolError",
    "Match",
    "MoveRequest",
    "NormalisedAnswer",
    "NormalisedRequest",
    "Outgoing",
    "PeerAddress",
    "Progress",
    "Refused",
    "Reject",
    "RemoteProtocolError",
    "Role",
    "StoreAnswer",
    "StoreRequest",
    "StoreResult",
    "SubOperations",
]
