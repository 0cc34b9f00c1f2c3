"""Code extensions: ISO 2022 escape sequences inside a text (PS3.5 6.1.2.5, PS3.3 tables C.12-3 and C.12-4).

Two code elements are in use at a time: G0 for the bytes below 80H, G1 for those above. Escape
sequences change them; control characters and delimiters set them back to what they were at the start.
"""

from __future__ import annotations

import re

ESCAPE = 0x1B

_G0 = {b"(B": "ascii", b"(J": "ascii", b"$B": "jis x 0208", b"$@": "jis x 0208", b"$(D": "jis x 0212"}
_G1 = {
    b"-A": "iso8859-1",
    b"-B": "iso8859-2",
    b"-C": "iso8859-3",
    b"-D": "iso8859-4",
    b"-L": "iso8859-5",
    b"-G": "iso8859-6",
    b"-F": "iso8859-7",
    b"-H": "iso8859-8",
    b"-M": "iso8859-9",
    b"-T": "tis-620",
    b"-b": "iso8859-15",
    b")I": "shift_jis",
    b"$)C": "euc_kr",
    b"$)A": "gb2312",
}
# Python's codecs for two-byte G0 sets read them behind their escape sequence.
_TWO_BYTES = {"jis x 0208": ("iso2022_jp", b"\x1b$B"), "jis x 0212": ("iso2022_jp_1", b"\x1b$(D")}

_SEQUENCE = re.compile(rb"\x1b(\([BJ]|\$[B@]|\$\([A-Z]|\$\)[A-Z]|-[A-Za-z]|\)[A-Z])")
# In a two-byte set every byte from 21H to 7EH belongs to a character: only controls and spaces end a run.
_RUN_TWO_BYTES = re.compile(rb"[^\x00-\x20\x7f]+")
_RUN_ONE_BYTE = re.compile(rb"[^\x00-\x1f\\]+")
_RUN_PERSON_NAME = re.compile(rb"[^\x00-\x1f\\^=]+")
_HALVES = re.compile(rb"[\x00-\x7f]+|[\x80-\xff]+")
# A name has a handful of runs; this keeps 64 KB of hostile escape sequences from taking long.
_MAX_STEPS = 4096
_KEEPS_STATE = frozenset(b" \x7f")


class _CodeElements:
    """G0 and G1 while a text is read. `lent` is the last G1, for writers that do not repeat the escape."""

    __slots__ = ("g0", "g1", "initial", "lent", "steps", "warnings")

    def __init__(self, codecs: list[str], warnings: list[str]) -> None:
        self.initial = None if codecs[0] == "ascii" else codecs[0]
        self.lent = next((codec for codec in codecs if codec != "ascii"), None)
        self.warnings = warnings
        self.steps = 0
        self.reset()

    def reset(self) -> None:
        """Back to the first value of Specific Character Set."""
        self.g0 = "ascii"
        self.g1 = self.initial

    def escape(self, sequence: bytes) -> None:
        """Takes one escape sequence (without ESC)."""
        if sequence in _G0:
            self.g0 = _G0[sequence]
        elif sequence in _G1:
            self.g1 = self.lent = _G1[sequence]
        else:
            self.warnings.append("a text holds an escape sequence that DICOM does not know")

    def decode(self, run: bytes) -> str:
        """The characters of a run without controls."""
        if self.g0 == "ascii":  # all codecs of G1 read ASCII, too
            return run.decode("ascii") if run.isascii() else self._high(run)
        codec, escape = _TWO_BYTES[self.g0]
        text = []
        for half in _HALVES.findall(run)[:_MAX_STEPS]:
            self.steps += 1
            text.append(self._high(half) if half[0] >= 0x80 else self._strict(escape + half, codec))
        return "".join(text)

    def _high(self, half: bytes) -> str:
        codec = self.g1
        if codec is None:
            codec = self.lent or "iso8859-1"
            self.warnings.append("an escape sequence is missing in a text")
        return self._strict(half, codec)

    def _strict(self, raw: bytes, codec: str) -> str:
        try:
            return raw.decode(codec)
        except UnicodeDecodeError:
            self.warnings.append("a text holds bytes that are no characters of its Specific Character Set")
            return raw.decode(codec, "replace").replace("\x1b", "\ufffd")


def decode_with_escapes(raw: bytes, codecs: list[str], warnings: list[str], *, person_name: bool) -> str:
    """The text of `raw`; `codecs` are those of Specific Character Set in order. One step per run of bytes."""
    state = _CodeElements(codecs, warnings)
    if len(codecs) == 1:
        warnings.append("a text holds escape sequences that its Specific Character Set does not announce")
    one_byte = _RUN_PERSON_NAME if person_name else _RUN_ONE_BYTE
    text: list[str] = []
    position = 0
    while position < len(raw):
        state.steps += 1
        if state.steps > _MAX_STEPS:
            warnings.append("a text holds too many escape sequences; the rest was not decoded")
            text.append(raw[position:].decode("ascii", "replace"))
            break
        run = (_RUN_TWO_BYTES if state.g0 in _TWO_BYTES else one_byte).match(raw, position)
        if run is not None:
            text.append(state.decode(run[0]))
            position = run.end()
            continue
        if raw[position] == ESCAPE:
            sequence = _SEQUENCE.match(raw, position)
            state.escape(b"" if sequence is None else sequence[1])
            position = position + 1 if sequence is None else sequence.end()
            continue
        text.append(chr(raw[position]))
        if raw[position] not in _KEEPS_STATE:
            state.reset()
        position += 1
    return "".join(text)
