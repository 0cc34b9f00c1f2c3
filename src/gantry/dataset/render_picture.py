"""Samples to a picture: modality and VOI transformation, palette, colours, size (PS3.3 C.11, PS3.4 N.2). Only in the child."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image

_MAX_SIDE = 16_384
Array = Any


def picture(frame: Array, photometric: str, job: dict[str, Any]) -> bytes:
    """The bytes of a JPEG or PNG."""
    view = job["view"]
    overlaid = _overlaid(frame, job)
    if view["region"]:
        frame = _region(frame, view["region"])
        overlaid = None if overlaid is None else _region(overlaid, view["region"])
    if photometric == "PALETTE COLOR":
        painted = _palette(frame, job)
    elif frame.ndim == 3:
        painted = _colour(frame, job)
    else:
        painted = _grey(frame, job)
    if overlaid is not None:
        painted = painted.copy()
        painted[overlaid] = 255
    image = Image.fromarray(np.ascontiguousarray(painted))
    image = _sized(image, view, float(job.get("aspect", 1.0)))
    out = io.BytesIO()
    if view["media"] == "image/png":
        image.save(out, "PNG", compress_level=3)
    else:
        image.save(out, "JPEG", quality=int(view["quality"]))
    return out.getvalue()


def samples(frame: Array, job: dict[str, Any]) -> Array:
    """The samples without what stands in the bits beside them."""
    return _stored_bits(frame, {**job, "encapsulated": False}) if np.issubdtype(frame.dtype, np.integer) else frame


def bit_plane(frame: Array, job: dict[str, Any]) -> bytes:
    """One bit of all samples, packed, the first in the lowest. Raises ValueError for pixels of another kind."""
    if frame.ndim != 2 or not np.issubdtype(frame.dtype, np.integer):
        raise ValueError("overlays stand beside samples of whole numbers only")
    return bytes(np.packbits((frame >> job["bit"] & 1).astype(np.uint8).ravel(), bitorder="little"))


def _overlaid(frame: Array, job: dict[str, Any]) -> Array | None:
    """Where the overlay planes have their bits set; None where nothing is overlaid."""
    found = None
    for plane in (job[name] for name in job.get("overlays", ())):
        height, width = frame.shape[:2]
        if "data" in plane:
            count = plane["rows"] * plane["columns"]
            bits = np.unpackbits(np.frombuffer(plane["data"], dtype=np.uint8), bitorder="little")[plane["skip"] :][:count]
            if bits.size < count:
                continue
            bits = bits.reshape(plane["rows"], plane["columns"]).astype(bool)
            top, left = plane["origin"]
            bits = bits[max(0, -top) :, max(0, -left) :]
            top, left = max(0, top), max(0, left)
            bits = bits[: max(0, height - top), : max(0, width - left)]
        elif (
            frame.ndim == 2
            and np.issubdtype(frame.dtype, np.integer)
            and job["bits_stored"] <= plane["bit"] < job["bits_allocated"]
        ):
            bits, top, left = (frame >> plane["bit"] & 1).astype(bool), 0, 0
        else:
            continue
        if found is None:
            found = np.zeros((height, width), dtype=bool)
        found[top : top + bits.shape[0], left : left + bits.shape[1]] |= bits
    return found


def _region(frame: Array, region: list[float]) -> Array:
    rows, columns = frame.shape[:2]
    left, top = min(max(0, int(region[0])), columns - 1), min(max(0, int(region[1])), rows - 1)
    right = min(columns, left + max(1, round(region[2]))) if region[2] else columns
    bottom = min(rows, top + max(1, round(region[3]))) if region[3] else rows
    return frame[top:bottom, left:right]


def _sized(image: Image.Image, view: dict[str, Any], aspect: float) -> Image.Image:
    """Into the box that was asked for; with the aspect of the pixels."""
    width, height = float(image.width), float(image.height)
    if aspect > 1:
        height *= aspect
    else:
        width /= aspect
    if view["size"]:
        scale = min(view["size"][0] / width, view["size"][1] / height)
        if not view["enlarge"]:
            scale = min(scale, 1.0)
        width, height = width * scale, height * scale
    size = (min(_MAX_SIDE, max(1, round(width))), min(_MAX_SIDE, max(1, round(height))))
    return image if size == image.size else image.resize(size, Image.Resampling.BILINEAR)


def _colour(frame: Array, job: dict[str, Any]) -> Array:
    """RGB of eight bits; the decoders have already turned other colour spaces into it."""
    if frame.shape[2] not in {3, 4}:
        raise ValueError("pixels of this number of samples are not painted")
    frame = frame[..., :3]
    stored = int(job["bits_stored"])
    if frame.dtype == np.uint8:
        return frame
    if not np.issubdtype(frame.dtype, np.integer):
        raise ValueError("colours that are no whole numbers are not painted")
    return (frame >> max(0, stored - 8)).astype(np.uint8)


def _entries(table: dict[str, Any], *, signed: bool = False) -> tuple[Array, int, int]:
    """Entries of a table, the value of the first, and the bits of each (PS3.3 C.7.6.3.1.5)."""
    count, first, bits = (int(number) for number in table["descriptor"])
    count = (count & 0xFFFF) or 65_536
    if signed:
        first = first - 65_536 if first > 32_767 else first
    raw = table["data"]
    if table.get("segmented"):
        entries = _expanded(np.frombuffer(raw[: len(raw) // 2 * 2], dtype="<u2"), count)
    elif bits <= 8 and len(raw) < 2 * count:
        entries = np.frombuffer(raw, dtype=np.uint8)
    else:
        entries = np.frombuffer(raw[: len(raw) // 2 * 2], dtype="<u2")
    if not len(entries):
        raise ValueError("a lookup table is empty")
    return entries[:count], first, max(1, min(16, bits))


def _expanded(words: Array, count: int) -> Array:
    """A segmented palette: discrete, linear and indirect segments (PS3.3 C.7.9.2)."""
    out: list[int] = []
    starts: list[int] = []

    def follow(position: int) -> int:
        kind, length = int(words[position]), int(words[position + 1])
        if kind == 0:
            out.extend(int(word) for word in words[position + 2 : position + 2 + length])
            return position + 2 + length
        if kind == 1:
            last, target = (out[-1] if out else 0), int(words[position + 2])
            out.extend(round(last + (target - last) * step / length) for step in range(1, length + 1))
            return position + 3
        raise ValueError("a segmented palette has an unknown segment")

    position = 0
    while position + 1 < len(words) and len(out) < count:
        starts.append(position)
        if int(words[position]) == 2:
            back = int(words[position + 2]) | int(words[position + 3]) << 16
            for _ in range(min(int(words[position + 1]), 4096)):
                back = follow(back // 2 if back not in starts else back)
            position += 4
        else:
            position = follow(position)
    return np.asarray(out, dtype=np.uint16)


def _palette(frame: Array, job: dict[str, Any]) -> Array:
    planes = []
    signed = bool(job["pixel_representation"])
    for name in ("red", "green", "blue"):
        entries, first, bits = _entries(job[name], signed=signed)
        highest = int(entries.max())
        shift = 8 if bits > 8 and highest > 255 else 0
        planes.append((entries >> shift).astype(np.uint8)[np.clip(frame.astype(np.int64) - first, 0, len(entries) - 1)])
    return np.stack(planes, axis=-1)


def _grey(frame: Array, job: dict[str, Any]) -> Array:
    """Eight bits of grey. Whole numbers of 16 bits go through one table, whatever the transformations."""
    if frame.ndim != 2:
        raise ValueError("pixels of this shape are not painted")
    if np.issubdtype(frame.dtype, np.integer) and frame.dtype.itemsize <= 2:
        frame = _stored_bits(frame, job)
        low, high = int(frame.min()), int(frame.max())
        domain = np.arange(low, high + 1, dtype=np.float64)
        table = _toned(domain, _spread(frame, job, low, high), job)
        return np.take(table, frame.astype(np.int32) - low if low else frame)
    values = np.nan_to_num(frame.astype(np.float64), copy=False)
    return _toned(values, (float(values.min()), float(values.max())), job)


def _stored_bits(frame: Array, job: dict[str, Any]) -> Array:
    """Only the bits that belong to the sample: others may hold overlays (PS3.5 8.1.1)."""
    allocated, stored, high = 8 * frame.dtype.itemsize, int(job["bits_stored"]), int(job["high_bit"])
    if stored >= allocated or job["encapsulated"]:
        return frame
    frame = np.left_shift(frame, allocated - 1 - high) if high < allocated - 1 else frame
    return np.right_shift(frame, allocated - stored)


def _spread(frame: Array, job: dict[str, Any], low: int, high: int) -> tuple[float, float]:
    """Between which stored values the picture lies, without padding, for when nothing says how to show it."""
    padding = job.get("padding")
    if padding and "window" not in job and not job["view"]["window"]:
        inside = frame[(frame < min(padding)) | (frame > max(padding))]
        if inside.size:
            return float(inside.min()), float(inside.max())
    return float(low), float(high)


def _toned(values: Array, spread: tuple[float, float], job: dict[str, Any]) -> Array:
    """Stored values to eight bits: modality, VOI, inversion."""
    asked = job["view"]["window"]
    ends = np.asarray(spread, dtype=np.float64)
    if "modality_lut" in job:
        values, ends = _looked_up(values, job["modality_lut"]), _looked_up(ends, job["modality_lut"])
    elif "slope" in job:
        values, ends = values * job["slope"] + job["intercept"], ends * job["slope"] + job["intercept"]
    if asked is None and "voi_lut" in job:
        entries, first, bits = _entries(job["voi_lut"], signed=True)
        found = entries[np.clip(np.rint(values).astype(np.int64) - first, 0, len(entries) - 1)]
        bits = max(bits, int(entries.max()).bit_length())
        shade = found.astype(np.float64) / ((1 << bits) - 1)
    else:
        low, high = float(ends.min()), float(ends.max())
        window = asked or job.get("window") or [(low + high + 1) / 2, high - low + 1, "linear"]
        shade = _windowed(values, *window)
    if job["inverse"]:
        shade = 1.0 - shade
    return (np.clip(shade, 0.0, 1.0) * 255 + 0.5).astype(np.uint8)


def _looked_up(values: Array, table: dict[str, Any]) -> Array:
    entries, first, _ = _entries(table, signed=True)
    return entries[np.clip(values.astype(np.int64) - first, 0, len(entries) - 1)].astype(np.float64)


def _windowed(values: Array, centre: float, width: float, function: str) -> Array:
    """PS3.3 C.11.2.1.2 and C.11.2.1.3, to 0..1."""
    if function == "sigmoid" and width:
        return 1.0 / (1.0 + np.exp(np.clip(-4.0 * (values - centre) / width, -700, 700)))
    if function == "linear-exact" and width > 0:
        return (values - centre) / width + 0.5
    width = max(width, 1.0)
    if width == 1.0:
        return (values > centre - 0.5).astype(np.float64)
    return (values - (centre - 0.5)) / (width - 1.0) + 0.5
