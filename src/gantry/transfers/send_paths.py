"""Send Part 10 files straight from disk, without index and ledger (`gantry send`)."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice

from gantry.dataset import DICOMDIR_UID, DamagedHeader, NotDicom, read_part10, scan_identity
from gantry.nodes.items import Outcome, SendItem, SendOutcome, SendResult, SendTarget
from gantry.nodes.meter import Meter
from gantry.nodes.pool import AssociationPool
from gantry.nodes.send import Manner, send

#: What is read of a file to find its data set, bytes.
HEAD_BYTES = 64 * 1024
SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class FileOutcome:
    """What came of one file; `outcome` is one of confirmed, refused, failed, damaged, skipped, unsent."""

    path: str
    outcome: str
    explanation: str
    dimse_status: int | None = None
    sha256: str = ""
    bytes: int = 0


@dataclass(slots=True)
class SendReport:
    """The sum. `ok`: everything that is DICOM was confirmed, and there was something."""

    counts: dict[str, int] = field(default_factory=dict)
    bytes_confirmed: int = 0
    failure: str = ""

    @property
    def ok(self) -> bool:
        """For the exit code."""
        return not self.failure and set(self.counts) <= {Outcome.CONFIRMED.value, SKIPPED} and bool(self.counts.get("confirmed"))


def send_paths(
    paths: Iterable[str | os.PathLike[str]],
    target: SendTarget,
    on_file: Callable[[FileOutcome], None],
    *,
    associations: int = 4,
    stop: threading.Event | None = None,
    meter: Meter | None = None,
    priority: int = 0,
) -> SendReport:
    """Send files, and all files in folders, data set bytes verbatim, each in its own transfer syntax.

    `on_file` is called once for each file, from several threads, one at a time. What is no DICOM file is skipped.
    `meter`: the bandwidth of the node, which is shared with all that is sent to it; a `priority` of URGENT does not wait
    for it. When its calendar closes, the rest is unsent, and `failure` says so.
    """
    report = SendReport()
    lock = threading.Lock()

    def note(outcome: FileOutcome) -> None:
        with lock:
            report.counts[outcome.outcome] = report.counts.get(outcome.outcome, 0) + 1
            on_file(outcome)

    items = _items(paths, note, priority)
    result = send(
        target,
        lambda limit: list(islice(items, limit)),
        lambda sent: note(_outcome(sent)),
        associations=associations,
        stop=stop or threading.Event(),
        pool=AssociationPool(0),
        manner=Manner(meter=meter),
    )
    if meter is not None and result.untried and not result.failure and meter.rate() == 0:
        result.failure = f"the bandwidth calendar of the node has closed{opening(meter)}"
    _note_unsent(result, note)
    report.bytes_confirmed = result.bytes_confirmed
    report.failure = result.failure
    return report


def opening(meter: Meter) -> str:
    """Until when a closed calendar stays so, for people."""
    at = meter.opens_at()
    return f" until {at.astimezone(meter.zone):%Y-%m-%d %H:%M %Z}" if at is not None else ""


def _note_unsent(result: SendOutcome, note: Callable[[FileOutcome], None]) -> None:
    for item in result.untried:
        note(FileOutcome(item.path, "unsent", result.failure or "stopped"))


def _outcome(sent: SendResult) -> FileOutcome:
    digest = sent.sha256.hex() if sent.sha256 else ""
    size = sent.item.dataset_bytes
    return FileOutcome(sent.item.path, sent.outcome.value, sent.explanation, sent.dimse_status, digest, size)


def files_in(paths: Iterable[str | os.PathLike[str]]) -> Iterator[str]:
    """The files named and, in the order of names, those in folders; links to folders are not followed."""
    for path in paths:
        name = os.path.realpath(path)
        if not os.path.isdir(name):
            yield name
            continue
        for folder, folders, files in os.walk(name):
            folders.sort()
            yield from (os.path.join(folder, file) for file in sorted(files))


def _items(paths: Iterable[str | os.PathLike[str]], note: Callable[[FileOutcome], None], priority: int) -> Iterator[SendItem]:
    for number, path in enumerate(files_in(paths)):
        try:
            yield replace(read_item(number, path), priority=priority)
        except (NotDicom, DamagedHeader) as error:
            note(FileOutcome(path, SKIPPED if isinstance(error, NotDicom) else Outcome.DAMAGED.value, str(error)))
        except OSError as error:
            note(FileOutcome(path, Outcome.FAILED.value, f"cannot be read: {error.strerror}"))


def read_item(key: int, path: str) -> SendItem:
    """Where the data set of a file lies and what it is. Raises NotDicom, DamagedHeader, OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        total = os.fstat(descriptor).st_size
        head = os.pread(descriptor, HEAD_BYTES, 0)
    finally:
        os.close(descriptor)
    found = read_part10(memoryview(head), total=total)
    if found.sop_class_uid == DICOMDIR_UID:
        raise NotDicom("a DICOMDIR: an index of other files")
    # The command names what the data set is (PS3.7 9.1.1.1); group 0002 is asked only where that is silent, as
    # many files were given new UIDs without it.
    identity = scan_identity(head[found.dataset_offset :], found.transfer_syntax_uid)
    sop_class = identity.sop_class_uid or found.sop_class_uid
    instance = identity.sop_instance_uid or found.sop_instance_uid
    if not sop_class or not instance:
        raise DamagedHeader("SOP class or SOP instance UID is missing")
    return SendItem(
        key,
        path,
        found.dataset_offset,
        total - found.dataset_offset,
        None,
        sop_class,
        instance,
        found.transfer_syntax_uid,
    )
