"""What goes out for one item: the stored bytes, verified; edited where that was ordered; in another transfer syntax where
the node takes no other and may be given it."""

from __future__ import annotations

import hashlib
import json
import mmap
import os
import tempfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import lru_cache
from struct import Struct

from gantry.dataset.edit import CannotEdit, Edits, parse_edits, prepare
from gantry.dataset.edit_errors import BadEdit
from gantry.dataset.envelope import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from gantry.dataset.transcode import CannotTranscode, possible, transcoded_view
from gantry.nodes.items import SendItem, Transcode
from gantry.nodes.stored import StoredDataSet

_SHORT, _LONG = Struct("<HH2sH"), Struct("<HH2s2xI")


class Unsendable(Exception):
    """It cannot be made into what was ordered; the message says why. Nothing of it was sent."""

    def __str__(self) -> str:
        remedy = "correct the edits of the rule, or the transcoding of the node; then retry"
        return f"cannot be sent as it is: {super().__str__()} ({remedy})"


@dataclass(frozen=True, slots=True)
class Outgoing:
    """Data set bytes ready to send, valid inside the `with`. `changed` is empty for the stored bytes verbatim."""

    views: Sequence[memoryview]
    size: int
    sha256: bytes
    sop_instance_uid: str
    transfer_syntax_uid: str
    changed: str = ""


@contextmanager
def outgoing(
    item: SendItem, data: StoredDataSet, accepted: Collection[str] | None, how: Transcode = "never"
) -> Iterator[Outgoing | None]:
    """The item in its own or, if `how` allows, in one of the `accepted` transfer syntaxes (None: any is).

    Gives None when there is no way. Raises Unsendable.
    """
    syntax = item.transfer_syntax_uid
    target = syntax if accepted is None else possible(syntax, accepted, how)
    if target is None:
        yield None
        return
    if target == syntax and not item.edits:
        yield Outgoing([data.view], item.dataset_bytes, data.sha256, item.sop_instance_uid, syntax)
        return
    with ExitStack() as stack:
        yield _made(item, data.view, target, how, stack)


def _made(item: SendItem, view: memoryview, target: str, how: Transcode, stack: ExitStack) -> Outgoing:
    words, uid = [], item.sop_instance_uid
    views: Sequence[memoryview] = [view]
    try:
        if item.edits:
            edited = prepare(_edits(item.edits), view, item.transfer_syntax_uid)
            uid = edited.sop_instance_uid or uid
            views = list(edited.pieces())
            words.append("edited")
        if target != item.transfer_syntax_uid:
            whole = views[0] if len(views) == 1 else stack.enter_context(_joined(views))
            given = stack.enter_context(transcoded_view(whole, item.transfer_syntax_uid, {target}, how=how))
            assert given is not None  # `possible` has said so
            views = given[1]
            words.append("transcoded")
    except (CannotEdit, BadEdit, CannotTranscode) as error:
        raise Unsendable(str(error)) from error
    digest = hashlib.sha256()
    for piece in views:
        digest.update(piece)
    return Outgoing(views, sum(len(piece) for piece in views), digest.digest(), uid, target, ", ".join(words))


@lru_cache(maxsize=128)
def _edits(text: str) -> Edits:
    return parse_edits(json.loads(text))


@contextmanager
def _joined(views: Sequence[memoryview]) -> Iterator[memoryview]:
    """In one piece, in an unlinked file, so that memory does not grow with the instance."""
    with tempfile.TemporaryFile() as file:
        for piece in views:
            file.write(piece)
        file.flush()
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapping, memoryview(mapping) as view:
            yield view


def file_prefix(item: SendItem, out: Outgoing) -> bytes:
    """What stands before the data set in the file: as stored when nothing was changed, else preamble and group 0002 of
    our own (PS3.10 7.1)."""
    if not out.changed:
        descriptor = os.open(item.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            return os.pread(descriptor, item.dataset_offset, 0)
        finally:
            os.close(descriptor)
    uids = ((0x0002, item.sop_class_uid), (0x0003, out.sop_instance_uid), (0x0010, out.transfer_syntax_uid),
            (0x0012, IMPLEMENTATION_CLASS_UID))  # fmt: skip
    group = _LONG.pack(0x0002, 0x0001, b"OB", 2) + b"\0\1"
    group += b"".join(_short(element, b"UI", uid.encode("ascii"), b"\0") for element, uid in uids)
    group += _short(0x0013, b"SH", IMPLEMENTATION_VERSION_NAME.encode("ascii"), b" ")
    return bytes(128) + b"DICM" + _SHORT.pack(0x0002, 0x0000, b"UL", 4) + len(group).to_bytes(4, "little") + group


def _short(element: int, vr: bytes, value: bytes, pad: bytes) -> bytes:
    value += pad * (len(value) & 1)
    return _SHORT.pack(0x0002, element, vr, len(value)) + value
