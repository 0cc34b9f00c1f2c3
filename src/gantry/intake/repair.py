"""Set UIDs that a held object lacks, in a copy of it: everything else is copied as it stands.

The declared edits of rules refuse to set UIDs, and rightly so: here a person does it to one object, with a reason.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from gantry.dataset.edit_errors import CannotEdit
from gantry.dataset.edit_tree import Entry, Tree
from gantry.dataset.encodings import declared_encoding, detect_encoding, is_deflated, looks_right

#: Keyword to tag of what may be set.
REPAIRABLE: Mapping[str, int] = {
    "SOPClassUID": 0x00080016, "SOPInstanceUID": 0x00080018, "StudyInstanceUID": 0x0020000D, "SeriesInstanceUID": 0x0020000E,
}  # fmt: skip
_STEP = 1 << 20


def with_uids(data: memoryview, transfer_syntax_uid: str, uids: Mapping[str, str]) -> Iterator[memoryview]:
    """The data set with these UIDs (keyword to UID), piece by piece; views of `data` where nothing changes.

    Raises CannotEdit before the first piece.
    """
    if is_deflated(transfer_syntax_uid):
        raise CannotEdit("a deflated data set is not repaired")
    encoding = declared_encoding(transfer_syntax_uid)
    if not looks_right(data, encoding):
        encoding = detect_encoding(data, start=0, total=len(data)) or encoding
    tree = Tree(data, encoding)
    for keyword, uid in uids.items():
        tag = REPAIRABLE[keyword]
        raw = uid.encode("ascii")
        # PS3.5 9.1: a UID of odd length is padded with NUL.
        _put(tree, Entry(tag, "UI", raw=raw + b"\0" * (len(raw) % 2), explicit_vr="" if encoding.implicit else "UI"))
    return _pieces(data, list(tree.pieces()))


def _put(tree: Tree, fresh: Entry) -> None:
    entries = [entry for entry in tree.root.entries if entry.tag != fresh.tag]
    place = next((number for number, entry in enumerate(entries) if entry.tag > fresh.tag), len(entries))
    tree.root.entries = [*entries[:place], fresh, *entries[place:]]
    tree.root.touched.add(fresh.tag >> 16)


def _pieces(data: memoryview, pieces: list[bytes | tuple[int, int]]) -> Iterator[memoryview]:
    for piece in pieces:
        if isinstance(piece, bytes):
            yield memoryview(piece)
            continue
        for start in range(piece[0], piece[1], _STEP):
            yield data[start : min(start + _STEP, piece[1])]
