"""What is sent, to whom, and what came of it: the data types of `send`; and how a peer is spoken to."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from gantry.nodes.address import DimseAddress


@dataclass(frozen=True, slots=True)
class Security:
    """How a peer is spoken to beyond plain TCP. With `tls` there is never a way back to plain.

    The peer is known by its pinned `fingerprint` (SHA-256 of its certificate, hexadecimal), or by a chain to
    `authorities` (a PEM file); one of them is needed. `certificate` and `key` are our own PEM files.
    `user` and `passcode` are told in user identity negotiation (PS3.7 D.3.3.7).
    """

    tls: bool = False
    authorities: str = ""
    fingerprint: str = ""
    certificate: str = ""
    key: str = ""
    user: str = ""
    passcode: str = field(default="", repr=False)


PLAIN = Security()


@dataclass(frozen=True, slots=True)
class SendTarget:
    """A DIMSE peer and our patience with it (seconds). `quirks` are those of its profile, see `nodes.profile.QUIRKS`."""

    address: DimseAddress
    calling_aet: str
    connect_seconds: float = 10.0
    response_seconds: float = 60.0
    security: Security = PLAIN
    quirks: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class SendItem:
    """One instance: the data set lies in `path` at `dataset_offset`, `dataset_bytes` long.

    `sha256` is the digest it must have; None: it is only computed, not compared. `key` is the caller's.
    """

    key: int
    path: str
    dataset_offset: int
    dataset_bytes: int
    sha256: bytes | None
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    #: AE title and message id of the C-MOVE that this belongs to (PS3.7 9.1.1.1).
    move_originator: tuple[str, int] | None = None

    @property
    def context(self) -> tuple[str, str]:
        """The presentation context it needs: (SOP class, transfer syntax)."""
        return self.sop_class_uid, self.transfer_syntax_uid


class Outcome(StrEnum):
    """What came of one item."""

    CONFIRMED = "confirmed"  # the peer answered Success or Warning (PS3.7 C.1-C.3)
    REFUSED = "refused"  # the peer answered a failure, or does not take this class or syntax
    FAILED = "failed"  # the connection was lost before the answer came
    DAMAGED = "damaged"  # the stored bytes are not what was received: never sent


@dataclass(frozen=True, slots=True)
class SendResult:
    """The outcome of one item. `permanent`: the same bytes will be refused again, as far as the answer tells."""

    item: SendItem
    outcome: Outcome
    dimse_status: int | None
    explanation: str
    permanent: bool
    sha256: bytes | None
    started_at: datetime
    ended_at: datetime


@dataclass(slots=True)
class SendOutcome:
    """The sum of a run. `untried` were taken from the source and never sent.

    `failure` is empty, or says why no association could be had (any more); then `untried` may be long.
    """

    counts: dict[Outcome, int] = field(default_factory=lambda: dict.fromkeys(Outcome, 0))
    bytes_confirmed: int = 0
    untried: list[SendItem] = field(default_factory=list)
    failure: str = ""
