"""Read one object of the spool as far as the index needs it: its row, or the reason why it has none."""

from __future__ import annotations

import logging
import os
import traceback
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid5

from gantry.catalogue import VersionRow
from gantry.dataset import DamagedHeader, Envelope, Header, Identity, NotDicom, Part10, read_part10, scan, scan_identity
from gantry.intake import reasons
from gantry.intake.judge import Verdict, judge
from gantry.intake.reasons import Reason
from gantry.storage import SpooledObject
from gantry.storage.errors import StorageFailed

log = logging.getLogger(__name__)

#: How much of a file is read; the next step where a header is so long. The last is the bound of memory.
_STEPS = (16 * 1024, 256 * 1024, 16 * 1024 * 1024)
_UIDS = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
_QUARANTINE = UUID("0b4d6d7c-32a5-4e3e-9a3f-6d3a5a5d2c11")


#: What a mistake of ours would raise that strange bytes bring to light.
MISTAKES = (ValueError, LookupError, TypeError, ArithmeticError, RecursionError, AttributeError)


@dataclass(slots=True)
class Examined:
    """An object of the spool with its row, or with the reason why it is held."""

    object: SpooledObject
    row: VersionRow | None = None
    reason: Reason | None = None
    explanation: str = ""
    origin: str = "dimse"
    calling_aet: str = ""
    called_aet: str = ""
    remote_address: str = ""
    transfer_syntax_uid: str = ""
    association_id: UUID | None = None
    move_originator: tuple[str, int | None] = ("", None)
    received_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    placed: str = ""
    restored: str = ""  # where the row had a lost file that is here again
    placed_again: tuple[str, int | None] = ("", None)  # where that file is now: path and volume
    held: tuple[str, int, int] | None = None  # path in the quarantine, where the data set begins, size

    @property
    def quarantine_id(self) -> UUID:
        """The same for the same data set, so that a sender who tries for ever does not fill the disk."""
        return quarantine_id(self.object.sha256)

    def hold(self, reason: Reason, explanation: str = "") -> None:
        """It cannot be indexed."""
        self.row, self.reason, self.explanation = None, reason, explanation or reason.text


def quarantine_id(sha256: bytes) -> UUID:
    """The id of a held object from the digest of its data set."""
    return uuid5(_QUARANTINE, sha256.hex())


def say(error: BaseException) -> str:
    """The kind of an error and where it was raised; never its message, which may hold patient data."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {os.path.basename(frames[-1].filename)}:{frames[-1].lineno}" if frames else ""
    state = getattr(error, "sqlstate", None)
    return f"{type(error).__name__}{f' {state}' if state else ''}{place}"


def examine(obj: SpooledObject) -> Examined:
    """Read the header and judge it. Whatever the bytes are, the answer is a row or a reason; storage errors are raised."""
    found = Examined(obj)
    view = _view(obj, _STEPS[0])
    try:
        _read(found, view)
    except NotDicom as error:
        found.hold(reasons.NOT_DICOM, str(error))
    except DamagedHeader as error:
        found.hold(reasons.UNREADABLE, str(error))
    except MISTAKES as error:
        # A mistake of ours that these bytes bring to light. They are kept; the next object goes on.
        log.error("an object could not be read (%s); it is held", say(error))
        found.hold(reasons.UNREADABLE, f"{reasons.UNREADABLE.text}: {type(error).__name__}")
    return found


def _view(obj: SpooledObject, count: int) -> memoryview:
    return obj.payload if obj.payload is not None else memoryview(obj.head(count))


def _read(found: Examined, view: memoryview) -> None:
    obj = found.object
    try:
        part = read_part10(view, total=obj.size)
    except DamagedHeader:
        if len(view) == obj.size:
            raise
        view = _view(obj, _STEPS[1])  # a group 0002 that is longer than the first step
        part = read_part10(view, total=obj.size)
    _origin(found, part.envelope)
    found.transfer_syntax_uid = syntax = part.transfer_syntax_uid
    offset = obj.dataset_offset
    for step in _STEPS:
        if step != _STEPS[0] and len(view) < obj.size:
            view = _view(obj, step)
        header = scan(view[offset:], syntax, whole=len(view) == obj.size)
        if header.complete or len(view) == obj.size:
            break
    # A usual object is judged by what was scanned already; a strange one exactly as the receiver judged it.
    verdict = _verdict(found, part, _identity(header))
    if verdict.reason is not None or verdict.warnings:
        verdict = _verdict(found, part, scan_identity(view[offset:], syntax, whole=len(view) == obj.size))
    if verdict.reason is not None:
        found.hold(verdict.reason)
        return
    found.row = VersionRow(
        sop_instance_uid=verdict.sop_instance_uid,
        sop_class_uid=verdict.sop_class_uid,
        study_instance_uid=verdict.study_instance_uid,
        series_instance_uid=verdict.series_instance_uid,
        header=_values(header, verdict.sop_class_uid, syntax),
        sha256=obj.sha256,
        dataset_offset=offset,
        dataset_bytes=obj.size - offset,
        file_path="",
        file_bytes=obj.size,
        transfer_syntax_uid=syntax,
        origin=found.origin,
        received_at=found.received_at,
        calling_aet=found.calling_aet,
        called_aet=found.called_aet,
        remote_address=found.remote_address,
        association_id=found.association_id,
        slot=obj.slot,
        move_originator_aet=found.move_originator[0],
        move_originator_id=found.move_originator[1],
        warnings=(*part.warnings, *header.warnings, *verdict.warnings),
    )


def _verdict(found: Examined, part: Part10, identity: Identity) -> Verdict:
    """A received object has to be what its command said. A file has no command: its data set counts, and a group
    0002 that says otherwise (files are often given new UIDs without it) is a warning."""
    if found.origin == "dimse":
        return judge(identity, command_sop_class=part.sop_class_uid, command_sop_instance=part.sop_instance_uid)
    verdict = judge(identity, command_sop_class="" if identity.sop_class_uid else part.sop_class_uid)
    named = (part.sop_class_uid or verdict.sop_class_uid, part.sop_instance_uid or verdict.sop_instance_uid)
    if verdict.reason is None and named != (verdict.sop_class_uid, verdict.sop_instance_uid):
        note = "the file meta information names another SOP class or instance than the data set"
        return replace(verdict, warnings=(*verdict.warnings, note))
    return verdict


def _identity(header: Header) -> Identity:
    get = header.values.get
    uids = [uid if isinstance(uid := get(keyword), str) else None for keyword in _UIDS]
    return Identity(uids[0], uids[1], uids[2], uids[3], header.complete)


def _values(header: Header, sop_class_uid: str, syntax: str) -> dict[str, str | list[str]]:
    values = header.values
    values["TransferSyntaxUID"] = syntax
    values.setdefault("SOPClassUID", sop_class_uid)
    return values


def _origin(found: Examined, envelope: Envelope | None) -> None:
    """Who brought it: what was noted beside an imported file, else our own group 0002, else nothing is known."""
    try:
        noted = found.object.sidecar
    except StorageFailed:
        # What was noted is lost; the bytes are there, and they matter more.
        log.warning("what was noted beside an imported file cannot be read")
        noted = None
    if noted is not None:
        found.origin = _text(noted, "origin") or "import"
        found.calling_aet, found.called_aet = _text(noted, "calling_aet"), _text(noted, "called_aet")
        found.remote_address = _text(noted, "remote")
        found.received_at = _moment(_text(noted, "received_at")) or found.received_at
    elif envelope is not None:
        found.origin = envelope.origin
        found.calling_aet, found.called_aet = envelope.calling_aet, envelope.called_aet
        found.remote_address = envelope.remote_address
        found.association_id = envelope.association_id
        found.move_originator = (envelope.move_originator_aet, envelope.move_originator_id)
        found.received_at = envelope.received_at
    else:
        found.origin = "import"


def _text(noted: dict[str, Any], key: str) -> str:
    value = noted.get(key, "")
    return value if isinstance(value, str) else ""


def _moment(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else None
