"""An instance as a picture: JPEG or PNG of one frame, or its plain samples (PS3.18 8.3.5, PS3.3 C.7.6.3, C.11).

Here what is needed is read from the data set; decoding and painting are done in a process of their own (render_pool).
"""

from __future__ import annotations

from array import array
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from gantry.dataset.attributes import Attributes, Element
from gantry.dataset.attributes_values import Values
from gantry.dataset.frames import VIDEO, Layout
from gantry.dataset.render_errors import Damaged, NotDecodable, TooLarge
from gantry.dataset.render_pool import run

#: What one frame may have; what is larger is refused before anything is decoded.
MAX_SAMPLES = 128 << 20
_MAX_TABLE = 4 << 20
_MAX_OVERLAY_SIDE = 8192
_OVERLAY_GROUPS = range(0x60000000, 0x60200000, 0x20000)
_NATIVE = frozenset({"1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99"})
_COMPRESSED = frozenset({
    "1.2.840.10008.1.2.5", "1.2.840.10008.1.2.8.1",
    *(f"1.2.840.10008.1.2.4.{tail}" for tail in (50, 51, 57, 70, 80, 81, 90, 91, 201, 202, 203)),
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class View:
    """How to paint. `window`: centre, width and function (linear, linear-exact, sigmoid); None: as the data set says.

    `size`: the box, in pixels, in which the picture must fit; None: its own size. `region`: of the frame, columns and
    rows: x, y, width, height. `quality` is of a JPEG, 1 to 100.
    """

    media: Literal["image/jpeg", "image/png"] = "image/jpeg"
    window: tuple[float, float, str] | None = None
    size: tuple[int, int] | None = None
    region: tuple[float, float, float, float] | None = None
    quality: int = 90
    enlarge: bool = True
    #: Paint the overlay planes, too. They may hold text.
    overlays: bool = False


def render(attributes: Attributes, layout: Layout, frame: int, view: View) -> bytes:
    """The picture of one frame. Raises CannotShow (its classes say why), OSError."""
    tables: list[bytes] = []
    job = {**_job(layout), "task": "picture", "view": asdict(view), **_tone(attributes, layout, frame, tables)}
    if view.overlays:
        _overlays(attributes, frame, job, tables)
    return run(job, [*tables, *_bytes(attributes, layout, frame)])


def plain_frame(attributes: Attributes, layout: Layout, frame: int, *, samples_only: bool = False) -> bytes:
    """The samples of one frame in little endian, colours by pixel, as native frames are (PS3.5 8.1.1).

    `samples_only`: without what stands in the bits beside a sample. Raises CannotShow, OSError.
    """
    return run({**_job(layout), "task": "plain", "samples_only": samples_only}, _bytes(attributes, layout, frame))


def embedded_overlays(attributes: Attributes, layout: Layout) -> dict[int, int]:
    """Overlay planes in the bits beside the samples: bit by group (PS3.3 C.9.2, retired)."""
    values, found = Values(attributes), {}
    for group in _OVERLAY_GROUPS:
        bit = values.number(group | 0x102, 0)
        sized = values.number(group | 0x10, 0) > 0 and values.number(group | 0x11, 0) > 0
        if sized and 0 < bit < layout.bits_allocated and values.element(group | 0x3000) is None:
            found[group >> 16] = bit
    return found


def embedded_overlay(attributes: Attributes, layout: Layout, frame: int, bit: int) -> bytes:
    """One such plane of a frame, as overlay data are: a bit for each pixel, the first in the lowest. Raises CannotShow."""
    return run({**_job(layout), "task": "bit", "bit": bit}, _bytes(attributes, layout, frame))


def _job(layout: Layout) -> dict[str, Any]:
    syntax = layout.transfer_syntax_uid
    if syntax in VIDEO:
        raise NotDecodable("it is a video: play it instead")
    if layout.encapsulated and syntax not in _COMPRESSED:
        raise NotDecodable("its transfer syntax is not known here")
    if layout.rows * layout.columns * layout.samples_per_pixel > MAX_SAMPLES:
        raise TooLarge(f"a frame has more than {MAX_SAMPLES >> 20} million samples")
    job = asdict(replace(layout, fragments=type(layout.fragments)("Q"), firsts=type(layout.firsts)("Q")))
    for name in ("fragments", "firsts", "value", "available"):
        del job[name]
    if not layout.encapsulated and syntax not in _NATIVE:
        job["transfer_syntax_uid"] = "1.2.840.10008.1.2.1"
    return job


def _bytes(attributes: Attributes, layout: Layout, frame: int) -> list[bytes]:
    found = [attributes.read(offset, length) for offset, length in layout.pieces(frame)]
    if any(len(part) != length for part, (_, length) in zip(found, layout.pieces(frame), strict=True)):
        raise Damaged("the pixel data ends before the end of this frame")
    return found


def _tone(attributes: Attributes, layout: Layout, frame: int, tables: list[bytes]) -> dict[str, Any]:
    """Modality and VOI transformations, palette, padding, aspect: what stands beside the pixels (PS3.3 C.11, C.7.6.16)."""
    values = Values(attributes)
    tone: dict[str, Any] = {"frame_index": frame - 1}
    per_frame = values.item(0x52009230, frame - 1)
    shared = values.item(0x52009229)

    def group(tag: int) -> Values | None:
        for functional in (per_frame, shared):
            if functional is not None and (found := functional.item(tag)) is not None:
                return found
        return None

    rescale = group(0x00289145) or values
    slope, intercept = rescale.floats(0x00281053), rescale.floats(0x00281052)
    if slope and intercept and slope[0]:
        tone["slope"], tone["intercept"] = slope[0], intercept[0]
    _lut("modality_lut", rescale.item(0x00283000) or values.item(0x00283000), attributes, tone, tables)
    voi = group(0x00289132) or values
    _lut("voi_lut", voi.item(0x00283010), attributes, tone, tables)
    centre, width = voi.floats(0x00281050), voi.floats(0x00281051)
    if centre and width:
        tone["window"] = [centre[0], width[0], voi.text(0x00281056, "LINEAR").lower().replace("_", "-")]
    tone["inverse"] = layout.photometric_interpretation == "MONOCHROME1" or values.text(0x20500020) == "INVERSE"
    if padding := values.floats(0x00280120):
        tone["padding"] = [padding[0], (values.floats(0x00280121) or padding)[0]]
    tone["aspect"] = _aspect(values, group(0x00289110))
    if layout.photometric_interpretation == "PALETTE COLOR":
        _palette(values, attributes, tone, tables)
    return tone


def _aspect(values: Values, measures: Values | None) -> float:
    """Height of a pixel by its width."""
    for source, tag in ((measures, 0x00280030), (values, 0x00280034), (values, 0x00280030), (values, 0x00181164)):
        found = source.floats(tag) if source is not None else []
        if len(found) == 2 and min(found) > 0:
            return min(max(found[0] / found[1], 0.05), 20.0)
    return 1.0


def _lut(name: str, item: Values | None, attributes: Attributes, tone: dict[str, Any], tables: list[bytes]) -> None:
    """A lookup table of PS3.3 C.11.1, C.11.2: descriptor and data."""
    if item is None:
        return
    descriptor, data = item.floats(0x00283002), item.element(0x00283006)
    if len(descriptor) == 3 and data is not None:
        raw = _entries_of(data, attributes)
        tone[name] = {"descriptor": descriptor, "bytes": len(raw)}
        tone.setdefault("tables", []).append(name)
        tables.append(raw)


def _entries_of(data: Element, attributes: Attributes) -> bytes:
    """The bytes of a table, in little endian."""
    raw = attributes.bytes_of(data, _MAX_TABLE)
    if not attributes.encoding.big_endian or data.vr in {"OB", "UN"}:
        return raw
    words = array("H", raw[: len(raw) // 2 * 2])
    words.byteswap()
    return words.tobytes()


def _overlays(attributes: Attributes, frame: int, job: dict[str, Any], tables: list[bytes]) -> None:
    """Overlay planes of this frame (PS3.3 C.9.2, C.9.3): in elements of their own, or in bits beside the samples."""
    values = Values(attributes)
    for group in _OVERLAY_GROUPS:
        rows, columns = values.number(group | 0x10, 0), values.number(group | 0x11, 0)
        data = values.element(group | 0x3000)
        origin = values.floats(group | 0x50) or [1.0, 1.0]
        if not (0 < rows <= _MAX_OVERLAY_SIDE and 0 < columns <= _MAX_OVERLAY_SIDE) or len(origin) != 2:
            continue
        plane: dict[str, Any] = {"rows": rows, "columns": columns, "origin": [int(origin[0]) - 1, int(origin[1]) - 1]}
        count, first = values.number(group | 0x15, 1), values.number(group | 0x51, 0)
        index = frame - (first or 1) if count > 1 or first else 0
        if not 0 <= index < count:
            continue
        name = f"overlay {group >> 16:04X}"
        if data is None:
            plane["bit"] = values.number(group | 0x102, 0)
        elif data.undefined or attributes.encoding.big_endian or rows * columns * (index + 1) > 8 * data.length:
            continue  # words of big endian: the syntax is retired, and nobody could be asked for an example
        else:
            begin, end = rows * columns * index // 8, (rows * columns * (index + 1) + 7) // 8
            raw = attributes.read(data.value + begin, end - begin)
            plane |= {"skip": rows * columns * index % 8, "bytes": len(raw)}
            job.setdefault("tables", []).append(name)
            tables.append(raw)
        job[name] = plane
        job.setdefault("overlays", []).append(name)


def _palette(values: Values, attributes: Attributes, tone: dict[str, Any], tables: list[bytes]) -> None:
    """The three tables of PS3.3 C.7.6.3.1.5 and .6, or the segmented ones of C.7.9.2."""
    for offset, name in enumerate(("red", "green", "blue")):
        descriptor = values.floats(0x00281101 + offset)
        data = values.element(0x00281201 + offset)
        segmented = values.element(0x00281221 + offset)
        chosen = data or segmented
        if len(descriptor) != 3 or chosen is None:
            raise NotDecodable("its palette is missing")
        raw = _entries_of(chosen, attributes)
        tone[name] = {"descriptor": descriptor, "bytes": len(raw), "segmented": data is None}
        tone.setdefault("tables", []).append(name)
        tables.append(raw)
