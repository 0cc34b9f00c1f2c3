"""What can go wrong on an association.

::

    DimseError                      anything below
    |- LocalProtocolError           our own program asked for what the protocol does not allow at this point
    |- RemoteProtocolError          the peer broke the protocol (`reply` holds the A-ABORT to send back)
    |- AssociationFailure           the association cannot be had or used
    |  |- AssociationRejected       A-ASSOCIATE-RJ: result, source, reason, in words too
    |  |- AssociationAborted        A-ABORT from the peer: source, reason
    |  |- AssociationReleased       the peer released although we still wanted something
    |  |- ConnectFailed             no TCP connection
    |  |- ConnectionLost            the TCP connection ended without release or abort
    |  |- TimedOut                  the peer was silent or too slow
    |  |- TlsError                  no secure connection: kind, cause and remedy
    |  '- ContextNotAccepted        no accepted presentation context for what is to be sent
    '- Refused                      raised by a sink or an acceptor: answer this status, drain the rest
"""

from __future__ import annotations

REJECT_RESULTS = {1: "rejected permanently", 2: "rejected for now"}
REJECT_SOURCES = {1: "by the application", 2: "by its association layer", 3: "by its presentation layer"}
REJECT_REASONS = {
    (1, 1): "no reason given",
    (1, 2): "application context name not supported",
    (1, 3): "calling AE title not recognised",
    (1, 7): "called AE title not recognised",
    (2, 1): "no reason given",
    (2, 2): "protocol version not supported",
    (3, 1): "temporary congestion",
    (3, 2): "local limit of associations exceeded",
}
ABORT_SOURCES = {0: "the application", 1: "reserved", 2: "the protocol layer"}
ABORT_REASONS = {
    0: "no reason given",
    1: "unrecognised PDU",
    2: "unexpected PDU",
    4: "unrecognised PDU parameter",
    5: "unexpected PDU parameter",
    6: "invalid PDU parameter value",
}


class DimseError(Exception):
    """Something went wrong on the DICOM wire."""


class LocalProtocolError(DimseError):
    """The protocol does not allow this call at this point."""


class RemoteProtocolError(DimseError):
    """The peer broke the protocol.

    `source` and `reason` are those of the A-ABORT of PS3.8 table 9-26; `reply` is that PDU, to be sent (best
    effort) before the connection is closed. Empty when nothing is to be sent.
    """

    def __init__(self, text: str, *, reason: int = 6, source: int = 2, reply: bytes = b"") -> None:
        super().__init__(text)
        self.source = source
        self.reason = reason
        self.reply = reply


class AssociationFailure(DimseError):
    """The association cannot be had or used any longer."""


class AssociationRejected(AssociationFailure):
    """The peer answered A-ASSOCIATE-RJ (PS3.8 table 9-21)."""

    def __init__(self, result: int, source: int, reason: int) -> None:
        self.result = result
        self.source = source
        self.reason = reason
        super().__init__(
            f"{REJECT_RESULTS.get(result, f'rejected (result {result})')} "
            f"{REJECT_SOURCES.get(source, f'by source {source}')}: "
            f"{REJECT_REASONS.get((source, reason), f'reason {reason}')}"
        )

    @property
    def transient(self) -> bool:
        """True when trying again later makes sense."""
        return self.result == 2


class AssociationAborted(AssociationFailure):
    """The peer aborted the association (PS3.8 table 9-26)."""

    def __init__(self, source: int, reason: int) -> None:
        self.source = source
        self.reason = reason
        why = f": {ABORT_REASONS.get(reason, f'reason {reason}')}" if source == 2 else ""
        super().__init__(f"aborted by {ABORT_SOURCES.get(source, f'source {source}')} of the peer{why}")


class AssociationReleased(AssociationFailure):
    """The peer released the association while we still wanted something."""


class ConnectFailed(AssociationFailure):
    """No TCP connection could be made."""


class ConnectionLost(AssociationFailure):
    """The TCP connection ended without release or abort."""


class NotAnswered(ConnectionLost):
    """The TCP connection ended before the association request was answered, neither accepted nor rejected: a peer whose
    places are all taken often does this. Trying again may help."""


class TimedOut(AssociationFailure):
    """The peer was silent for too long, or too slow."""


class TlsError(AssociationFailure):
    """No secure connection: our own files, the peer's certificate or the handshake. Nothing was sent in plain.

    `kind` is a short word for programs (`dimse.tls.KINDS`), `cause` and `remedy` are for people. `permanent`: trying
    again alone will not help.
    """

    def __init__(self, kind: str, cause: str, remedy: str, *, permanent: bool = True) -> None:
        super().__init__(f"{cause} ({remedy})")
        self.kind = kind
        self.cause = cause
        self.remedy = remedy
        self.permanent = permanent


class ContextNotAccepted(AssociationFailure):
    """The peer accepted no presentation context for this SOP class and transfer syntax."""


class Refused(DimseError):
    """A sink or acceptor refuses this message: `status` is answered once the rest of it is drained."""

    def __init__(self, status: int, comment: str = "") -> None:
        super().__init__(f"refused with status {status:04X}: {comment}")
        self.status = status
        self.comment = comment
