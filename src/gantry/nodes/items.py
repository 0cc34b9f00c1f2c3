"""What is sent, to whom, and what came of it: the data types of `send`; and how a peer is spoken to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal, TypeAlias

from gantry.nodes.address import DimseAddress
from gantry.nodes.advice import NO_ADVICE, Advice


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
    """A DIMSE peer and our patience with it (seconds). `quirks` are those of its profile, see `nodes.profile.QUIRKS`;
    `advice` is what the profile says to whoever sends."""

    address: DimseAddress
    calling_aet: str
    connect_seconds: float = 10.0
    response_seconds: float = 60.0
    security: Security = PLAIN
    quirks: frozenset[str] = frozenset()
    #: It says nothing about who or where the peer is.
    advice: Advice = field(default=NO_ADVICE, compare=False, repr=False)

    @property
    def words(self) -> str:
        """Where it is, for people."""
        return str(self.address)


@dataclass(frozen=True, slots=True)
class WebTarget:
    """A DICOMweb server: `url` is the root under which `/studies` lies. `auth` says how `security.user` and
    `security.passcode` are told: basic, bearer (the passcode is the token), or empty for not at all."""

    url: str
    connect_seconds: float = 10.0
    response_seconds: float = 60.0
    security: Security = PLAIN
    auth: str = ""

    @property
    def words(self) -> str:
        """Where it is, for people."""
        return self.url


@dataclass(frozen=True, slots=True)
class FolderTarget:
    """A folder: files go to `template` below `root`. `reserve_bytes` of its volume stay free."""

    root: str
    template: str = ""
    reserve_bytes: int = 0

    @property
    def words(self) -> str:
        """Where it is, for people."""
        return f"folder:{self.root}"


AnyTarget: TypeAlias = SendTarget | WebTarget | FolderTarget
Transcode: TypeAlias = Literal["never", "uncompressed", "any"]


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
    #: URGENT and more does not wait for a bandwidth limit.
    priority: int = 0
    #: Declared tag edits to apply to what is sent, as JSON text; empty: none.
    edits: str = ""
    #: Indexed keywords, for the path in a folder.
    values: Mapping[str, Any] | None = None

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
    """The outcome of one item. `permanent`: the same bytes will be refused again, as far as the answer tells.

    `sha256` is of the data set bytes that went out. When they are not those stored, `changed` says how (edited,
    transcoded) and `sent_syntax` is their transfer syntax.
    """

    item: SendItem
    outcome: Outcome
    dimse_status: int | None
    explanation: str
    permanent: bool
    sha256: bytes | None
    started_at: datetime
    ended_at: datetime
    changed: str = ""
    sent_syntax: str = ""


@dataclass(slots=True)
class SendOutcome:
    """The sum of a run. `untried` were taken from the source and never sent.

    `failure` is empty, or says why no association could be had (any more); then `untried` may be long.
    """

    counts: dict[Outcome, int] = field(default_factory=lambda: dict.fromkeys(Outcome, 0))
    bytes_confirmed: int = 0
    untried: list[SendItem] = field(default_factory=list)
    failure: str = ""
    #: Associations that served best.
    parallel: int = 1
    #: What the node did otherwise than its profile says; empty: nothing.
    differs: str = ""
