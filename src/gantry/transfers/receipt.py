"""The receipt of a study: what was delivered where, when, and that it is byte-identical."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

import psycopg

from gantry import database
from gantry.catalogue import trash
from gantry.transfers.errors import StudyMissing


@dataclass(frozen=True, slots=True)
class InstanceReceipt:
    """One instance at one destination. Digests are SHA-256 of the data set, hex.

    `verified_by` says how the destination was asked later whether it has it: commitment or query. `origin`: again (a person
    had it sent once more) or move (a C-MOVE); `ordered_by`: that person, or who asked by C-MOVE; empty: a rule.
    """

    sop_instance_uid: str
    status: str
    dimse_status: int | None
    error: str
    attempts: int
    stored_sha256: str
    sent_sha256: str | None
    dataset_bytes: int
    transfer_syntax_uid: str
    sent_at: datetime | None
    confirmed_at: datetime | None
    changed: str = ""
    sent_syntax: str = ""
    rule_name: str = ""
    decision_id: int | None = None
    hold_reason: str = ""
    resends: int = 0
    verified_at: datetime | None = None
    verified_by: str = ""
    verify_error: str = ""
    origin: str = ""
    ordered_by: str = ""

    @property
    def identical(self) -> bool:
        """Confirmed by the destination, and the digest of the bytes sent is the digest of the bytes stored."""
        return self.status == "confirmed" and self.sent_sha256 == self.stored_sha256

    @property
    def as_ordered(self) -> bool:
        """Confirmed, and identical but for what was declared: `changed` says what (edited, transcoded)."""
        return self.identical or (self.status == "confirmed" and bool(self.changed) and self.sent_sha256 is not None)


@dataclass(frozen=True, slots=True)
class DestinationReceipt:
    """All deliveries of a study to one node, in the order they were ordered. `aet` of a DICOM peer, else its address."""

    node: str
    aet: str
    instances: tuple[InstanceReceipt, ...]

    @property
    def ordered(self) -> int:
        """Instances that were to be delivered."""
        return len(self.instances)

    @property
    def confirmed(self) -> int:
        """Instances the destination has confirmed."""
        return sum(instance.status == "confirmed" for instance in self.instances)

    @property
    def verified(self) -> int:
        """Instances that the destination was later found to have."""
        return sum(instance.verified_at is not None for instance in self.instances)

    @property
    def complete(self) -> bool:
        """Everything ordered was confirmed, byte-identical but for declared changes."""
        return bool(self.instances) and all(instance.as_ordered for instance in self.instances)


@dataclass(frozen=True, slots=True)
class Receipt:
    """What can be said of a study's deliveries at one moment. `instances`: current instances of the study.

    `removed_at`: the study was removed then (retention, quota or a person), and this is the proof as it was at that moment.
    """

    study_instance_uid: str
    instances: int
    destinations: tuple[DestinationReceipt, ...]
    removed_at: datetime | None = None

    @property
    def complete(self) -> bool:
        """There are destinations, and everything ordered to each was confirmed, byte-identical."""
        return bool(self.destinations) and all(destination.complete for destination in self.destinations)


def receipt(
    connection: psycopg.Connection, study_uid: str, *, nodes: Collection[str] | None = None, removed: bool = False
) -> Receipt:
    """The receipt of a study by its Study Instance UID: of one that is here, else the proof that was kept when it was
    removed. `removed`: that proof, though the study has come again. `nodes`: to these only. Raises StudyMissing.
    """
    queries = database.statements("gantry.transfers")
    study = None if removed else connection.execute(queries["receipt_study"], {"study_uid": study_uid}).fetchone()
    if study is None:
        kept = _kept(connection, study_uid, nodes)
        if kept is None:
            what = "no proof was kept of a study" if removed else "there is no study"
            raise StudyMissing(f"{what} of this Study Instance UID")
        return kept
    study_id, instance_count = study
    found: dict[tuple[str, str], list[InstanceReceipt]] = {}
    for row in connection.execute(queries["receipt_rows"], {"study_id": study_id}):
        node, address, uid, status, code, error, attempts, stored, sent, *rest = row
        found.setdefault((node, address), []).append(
            InstanceReceipt(
                uid, status, code, error, attempts, bytes(stored).hex(), bytes(sent).hex() if sent is not None else None, *rest
            )
        )  # fmt: skip
    destinations = tuple(DestinationReceipt(node, aet, tuple(rows)) for (node, aet), rows in found.items())
    return Receipt(study_uid, instance_count, _among(destinations, nodes))


def _among(destinations: tuple[DestinationReceipt, ...], nodes: Collection[str] | None) -> tuple[DestinationReceipt, ...]:
    return destinations if nodes is None else tuple(one for one in destinations if one.node in nodes)


def _kept(connection: psycopg.Connection, study_uid: str, nodes: Collection[str] | None) -> Receipt | None:
    """What `recycle.receipt_to_keep` has written. None when nothing of the study was ever ordered, or it never was here."""
    plain = trash.receipt_of_removed(connection, study_uid)
    if plain is None:
        return None
    ended = trash.list_trash(connection, state="removed", uid=study_uid, limit=1)
    destinations = tuple(
        DestinationReceipt(place["node"], place["aet"], tuple(_instance(one) for one in place["instances"]))
        for place in plain["destinations"]
    )
    return Receipt(study_uid, plain["instances"], _among(destinations, nodes), ended[0].ended_at if ended else None)


def _instance(plain: Mapping[str, Any]) -> InstanceReceipt:
    """As it was written, also by an earlier release, which knew less."""
    names = {one.name for one in fields(InstanceReceipt)}
    times = {name: datetime.fromisoformat(plain[name]) for name in ("sent_at", "confirmed_at", "verified_at") if plain.get(name)}
    return InstanceReceipt(**{**{name: value for name, value in plain.items() if name in names}, **times})
