"""Which JPEG a frame is, by its own header: some senders name another transfer syntax than they wrote (ISO 10918-1 B.1)."""

from __future__ import annotations

#: Start of frame: baseline, extended, lossless; what each transfer syntax may hold.
_MAY_HOLD = {
    "1.2.840.10008.1.2.4.50": frozenset({0xC0}), "1.2.840.10008.1.2.4.51": frozenset({0xC0, 0xC1}),
    "1.2.840.10008.1.2.4.57": frozenset({0xC3}), "1.2.840.10008.1.2.4.70": frozenset({0xC3}),
}  # fmt: skip
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
#: Bytes of a frame in which its head is looked for.
HEAD_BYTES = 64 << 10


def is_mislabelled(transfer_syntax_uid: str, head: bytes) -> bool:
    """Whether the frame that begins with `head` is another JPEG than its transfer syntax says; False where nobody can tell."""
    wanted = _MAY_HOLD.get(transfer_syntax_uid)
    if wanted is None or head[:2] != b"\xff\xd8":
        return False
    position = 2
    while position + 4 <= len(head) and head[position] == 0xFF:
        marker = head[position + 1]
        if marker == 0xFF:  # a fill byte
            position += 1
        elif marker in _FRAMES:
            return marker not in wanted
        else:
            position += 2 + int.from_bytes(head[position + 2 : position + 4], "big")
    return False
