"""Where the frames of an instance lie in its data set, so that one is read without the others (PS3.5 A.4, PS3.3 C.7.6.3).

Native frames are found by arithmetic; encapsulated ones by the extended or basic offset table, or by the headers of the
fragments. Nothing is decoded here.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from struct import Struct

from gantry.dataset.attributes import Attributes, Element
from gantry.dataset.attributes_values import Values
from gantry.dataset.encodings import UNDEFINED_LENGTH
from gantry.dataset.render_errors import Damaged, FrameMissing, NoPixels, NotDecodable, TooLarge

#: One frame may have so many bytes, stored or plain.
MAX_FRAME_BYTES = 1 << 30
MAX_FRAMES = 1_000_000
MAX_FRAGMENTS = 1_000_000
_ITEM, _SEQUENCE_END = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0"
_LENGTH = Struct("<I")
_FLOAT, _DOUBLE, _PIXELS = 0x7FE00008, 0x7FE00009, 0x7FE00010
_EXTENDED_OFFSETS = 0x7FE00001
#: MPEG-2, MPEG-4, HEVC (PS3.5 10.5 and following): one stream, whatever its number of frames.
VIDEO = frozenset(f"1.2.840.10008.1.2.4.{tail}" for tail in (
    "100", "100.1", "101", "101.1", "102", "102.1", "103", "103.1", "104", "104.1", "105", "105.1", "106", "106.1", "107", "108",
))  # fmt: skip


@dataclass(frozen=True, slots=True)
class Layout:
    """The image pixel module (PS3.3 C.7.6.3) and where the pixels lie, from the beginning of the data set."""

    transfer_syntax_uid: str
    rows: int
    columns: int
    samples_per_pixel: int
    bits_allocated: int
    bits_stored: int
    high_bit: int
    pixel_representation: int
    photometric_interpretation: str
    planar_configuration: int
    number_of_frames: int
    pixel_keyword: str
    big_endian: bool
    encapsulated: bool
    value: int
    available: int
    #: Of encapsulated pixels: beginning and length of each fragment, and at which of them each frame begins.
    fragments: array[int]
    firsts: array[int]

    @property
    def frame_bits(self) -> int:
        """Of one plain frame."""
        samples = self.rows * self.columns * self.samples_per_pixel
        if self.photometric_interpretation == "YBR_FULL_422" and not self.encapsulated:
            samples = self.rows * self.columns * 2
        return samples * self.bits_allocated

    @property
    def weight(self) -> int:
        """Numbers that are kept of it."""
        return 20 + len(self.fragments) + len(self.firsts)

    def pieces(self, number: int) -> list[tuple[int, int]]:
        """Offset and length, in the data set, of what holds frame `number` (from 1). Raises FrameMissing, Damaged.

        A native frame of single bits may begin and end inside of a byte.
        """
        if not 1 <= number <= self.number_of_frames:
            count = self.number_of_frames
            raise FrameMissing(f"it has {count} frame{'' if count == 1 else 's'}: there is none of this number")
        if not self.encapsulated:
            begin, end = self.frame_bits * (number - 1) // 8, (self.frame_bits * number + 7) // 8
            if end > self.available:
                raise Damaged("the pixel data ends before the end of this frame")
            return [(self.value + begin, end - begin)]
        if number > len(self.firsts):
            raise Damaged("the pixel data ends before this frame")
        first = self.firsts[number - 1]
        last = self.firsts[number] if number < len(self.firsts) else len(self.fragments) // 2
        found = [(self.fragments[2 * at], self.fragments[2 * at + 1]) for at in range(first, last)]
        if sum(length for _, length in found) > MAX_FRAME_BYTES:
            raise TooLarge(f"the frame has more than {MAX_FRAME_BYTES >> 20} MB")
        if not found or any(offset + length > self.value + self.available for offset, length in found):
            raise Damaged("the pixel data ends inside of this frame")
        return found

    def stream(self) -> list[tuple[int, int]]:
        """Offset and length of all encapsulated bytes, as one stream: a video."""
        pairs = zip(self.fragments[::2], self.fragments[1::2], strict=True)
        found = [(offset, length) for offset, length in pairs if offset + length <= self.value + self.available]
        if not found:
            raise Damaged("the pixel data has no bytes")
        return found


def layout_of(attributes: Attributes, transfer_syntax_uid: str) -> Layout:
    """Where the frames are. Raises NoPixels, Damaged, NotDecodable, TooLarge."""
    pixels = next((attributes.get(tag) for tag in (_PIXELS, _FLOAT, _DOUBLE) if attributes.get(tag) is not None), None)
    if pixels is None:
        damage = next((warning for warning in attributes.warnings if "end" in warning or "longer" in warning), "")
        if damage and attributes.get(0x00280010) is not None:
            raise Damaged(f"the data set is damaged before its pixels: {damage}")
        raise NoPixels("it has no pixels")
    values = Values(attributes)
    bits = {_FLOAT: 32, _DOUBLE: 64}.get(pixels.tag) or values.number(0x00280100, 0)
    rows, columns = values.number(0x00280010, 0), values.number(0x00280011, 0)
    samples = values.number(0x00280002, 1)
    frames = values.number(0x00280008, 1) or 1
    video = transfer_syntax_uid in VIDEO
    if not video and not (rows > 0 and columns > 0 and samples in {1, 3, 4} and bits in {1, 8, 16, 32, 64}):
        raise Damaged("it has pixels, but its rows, columns, samples or bits are missing or impossible")
    if not 0 < frames <= MAX_FRAMES:
        raise TooLarge(f"it says to have {'no' if frames < 1 else 'more than a million'} frames")
    if rows * columns * samples * bits // 8 > MAX_FRAME_BYTES:
        raise TooLarge(f"a frame would have more than {MAX_FRAME_BYTES >> 20} MB")
    stored = values.number(0x00280101, bits)
    stored = stored if 0 < stored <= bits else bits
    high = values.number(0x00280102, stored - 1)
    fragments, firsts = array("Q"), array("Q")
    available = attributes.size - pixels.value if pixels.undefined else min(pixels.length, attributes.size - pixels.value)
    if pixels.undefined:
        fragments, firsts = _encapsulated(attributes, pixels, 1 if video else frames)
    return Layout(
        transfer_syntax_uid, rows, columns, samples, bits, stored, high if stored - 1 <= high < bits else stored - 1,
        values.number(0x00280103, 0) & 1, values.text(0x00280004, "MONOCHROME2").upper(), values.number(0x00280006, 0) & 1,
        frames,
        {_FLOAT: "FloatPixelData", _DOUBLE: "DoubleFloatPixelData"}.get(pixels.tag, "PixelData"),
        attributes.encoding.big_endian, pixels.undefined, pixels.value, available, fragments, firsts,
    )  # fmt: skip


def _encapsulated(attributes: Attributes, pixels: Element, frames: int) -> tuple[array[int], array[int]]:
    """The fragments (offset, length, ...) and the first fragment of each frame."""
    read, position = attributes.read, pixels.value
    head = read(position, 8)
    if head[:4] != _ITEM or len(head) < 8:
        raise Damaged("the encapsulated pixels do not begin with an offset table")
    (length,) = _LENGTH.unpack_from(head, 4)
    position += 8
    if length > 4 * MAX_FRAMES or position + length > attributes.size:
        raise Damaged("the basic offset table is longer than it may be")
    basic = array("I")
    basic.frombytes(read(position, length - length % 4))
    position += length
    start = position
    fragments = array("Q")
    while len(fragments) < 2 * MAX_FRAGMENTS:
        head = read(position, 8)
        if len(head) < 8 or head[:4] == _SEQUENCE_END:
            break
        (length,) = _LENGTH.unpack_from(head, 4)
        if head[:4] != _ITEM or length == UNDEFINED_LENGTH:
            break  # what came before is there; a frame that lies behind is missing, and said to be
        fragments.extend((position + 8, length))
        position += 8 + length
    count = len(fragments) // 2
    if not count:
        raise Damaged("the encapsulated pixels have no fragments")
    if frames == 1:
        return fragments, array("Q", [0])
    table = _extended(attributes) or list(basic)
    if len(table) == frames:
        at = {offset - 8 - start: index for index, offset in enumerate(fragments[::2])}
        if all(offset in at for offset in table) and table == sorted(table):
            return fragments, array("Q", [at[offset] for offset in table])
    if count <= frames:
        return fragments, array("Q", range(count))
    return fragments, _by_end_marks(attributes, fragments, frames)


def _extended(attributes: Attributes) -> list[int]:
    """The extended offset table (PS3.3 C.7.6.3.1.8); empty where there is none."""
    element = attributes.get(_EXTENDED_OFFSETS)
    if element is None:
        return []
    offsets = array("Q")
    raw = attributes.bytes_of(element, 8 * MAX_FRAMES)
    offsets.frombytes(raw[: len(raw) // 8 * 8])
    return list(offsets)


def _by_end_marks(attributes: Attributes, fragments: array[int], frames: int) -> array[int]:
    """Without a table: a frame ends where its code stream says so (JPEG, JPEG-LS and JPEG 2000: FFD9)."""
    firsts = array("Q", [0])
    for index in range(len(fragments) // 2 - 1):
        offset, length = fragments[2 * index], fragments[2 * index + 1]
        if attributes.read(offset + max(0, length - 3), min(3, length)).rstrip(b"\0").endswith(b"\xff\xd9"):
            firsts.append(index + 1)
    if len(firsts) != frames:
        raise NotDecodable("several fragments belong to one frame, and no offset table says which")
    return firsts
