"""Raw frames (PS3.18 10.4.1.1.6): as they are stored where the viewer takes that, else as plain samples."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase

from gantry.dataset.attributes import open_attributes, open_dataset
from gantry.dataset.errors import DatasetError
from gantry.dataset.frames import Layout
from gantry.dataset.jpeg_process import HEAD_BYTES, is_mislabelled
from gantry.dataset.render import plain_frame
from gantry.dicomweb.errors import BadParameter, refusing
from gantry.dicomweb.find import Place
from gantry.dicomweb.layouts import Known, known_of
from gantry.dicomweb.negotiation import EXPLICIT_LITTLE, OCTETS, Form, frame_form
from gantry.dicomweb.streaming import Pieces, etag_of, in_threads, kept, pieces_response, unchanged

#: Frames that one request may name.
MAX_FRAMES = 1000


def numbers_of(text: str) -> list[int]:
    """`1,2,7` as numbers. Raises BadParameter."""
    parts = text.split(",")
    if len(parts) > MAX_FRAMES or not all(part.isascii() and part.isdigit() and len(part) < 10 for part in parts):
        raise BadParameter(f"Frames are numbers from 1 with commas between them, {MAX_FRAMES} at most.")
    return [int(part) for part in parts]


def one_number(text: str) -> int:
    """`7` as a number. Raises BadParameter."""
    found = numbers_of(text)
    if len(found) != 1:
        raise BadParameter("Name one frame.")
    return found[0]


def answer(request: HttpRequest, place: Place, frames: list[int]) -> HttpResponseBase:
    """The frames. Raises RequestRefused."""
    known = known_of(place)
    layout = known.layout
    form = frame_form(request, layout.transfer_syntax_uid, big_endian=layout.big_endian, several=len(frames) > 1)
    etag = etag_of("frames", place.version_id, frames, form)
    if (same := unchanged(request, etag)) is not None:
        return same
    # Single bits do not begin where a byte does, a deflated file has no places: both go the way of the decoded ones.
    made = form.decoded or not known.direct or (not layout.encapsulated and layout.frame_bits % 8 != 0)
    if known.overlays:
        # What stands in the bits beside the samples is no part of them, and may name the patient.
        form, made = Form(OCTETS, EXPLICIT_LITTLE, form.multipart, decoded=True), True
    with refusing():
        pieces = [layout.pieces(frame) for frame in frames]
        if not made and layout.encapsulated and _mislabelled(place, layout, pieces[0]):
            # A viewer that believes the label would paint garbage.
            form, made = Form(OCTETS, EXPLICIT_LITTLE, form.multipart, decoded=True), True
        if made:
            response = _made(place, known, frames, form)
        elif form.multipart:
            response = _stored(place, pieces, form)
        else:
            response = pieces_response(place.path, _in_file(place, pieces[0]), form.part_type)
    return kept(response, etag)  # type: ignore[no-any-return]


def _mislabelled(place: Place, layout: Layout, pieces: list[tuple[int, int]]) -> bool:
    with open_dataset(place.path, place.dataset_offset, place.dataset_bytes) as read:
        head = read(pieces[0][0], min(pieces[0][1], HEAD_BYTES))
    return is_mislabelled(layout.transfer_syntax_uid, head)


def _in_file(place: Place, pieces: list[tuple[int, int]]) -> list[tuple[int, int]]:
    return [(place.dataset_offset + offset, length) for offset, length in pieces]


def _boundary(form: Form) -> tuple[str, bytes, bytes]:
    """Media type of the whole, what stands before each part, what ends it (RFC 2387)."""
    mark = secrets.token_hex(16)
    head = f"\r\n--{mark}\r\nContent-Type: {form.part_type}\r\n".encode("ascii")
    return f'multipart/related; type="{form.media}"; boundary={mark}', head, f"\r\n--{mark}--\r\n".encode("ascii")


def _stored(place: Place, pieces: list[list[tuple[int, int]]], form: Form) -> HttpResponseBase:
    media, head, end = _boundary(form)
    parts = [_in_file(place, each) for each in pieces]
    sizes = [sum(length for _, length in part) for part in parts]
    heads = [head + f"Content-Length: {size}\r\n\r\n".encode("ascii") for size in sizes]
    total = sum(sizes) + sum(map(len, heads)) + len(end)
    body = _Parts(place.path, heads, parts, end)
    response: HttpResponseBase
    if total <= 2 << 20:
        try:
            content = b"".join(body.chunks())
        finally:
            body.close()
        response = HttpResponse(content, content_type=media)
    else:
        response = StreamingHttpResponse(body, content_type=media)
    response["Content-Length"] = str(total)
    return response


class _Parts:
    """Parts of a multipart answer, from one open file."""

    def __init__(self, path: str, heads: list[bytes], parts: list[list[tuple[int, int]]], end: bytes) -> None:
        self._heads, self._end = heads, end
        self._file = Pieces(path, ())
        self._parts = parts

    def close(self) -> None:
        """Give the file back."""
        self._file.close()

    def chunks(self) -> Iterator[bytes]:
        """Heads, bytes, end."""
        for head, part in zip(self._heads, self._parts, strict=True):
            yield head
            yield from self._file.chunks(part)
        yield self._end

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in in_threads(self.chunks()):
            yield chunk


def _made(place: Place, known: Known, frames: list[int], form: Form) -> HttpResponseBase:
    """Plain samples; the first at once, so that what is wrong can be said, the others while the viewer takes them."""
    first = _plain(place, known, frames[0])
    if not form.multipart:
        return HttpResponse(first, content_type=form.part_type)
    media, head, end = _boundary(form)

    def chunks() -> Iterator[bytes]:
        yield head + b"\r\n" + first
        # The answer has begun: a frame that cannot be decoded ends it, and the viewer sees that parts are missing.
        with suppress(DatasetError, OSError):
            for frame in frames[1:]:
                yield head + b"\r\n" + _plain(place, known, frame)
        yield end

    if len(frames) == 1:
        return HttpResponse(b"".join(chunks()), content_type=media)
    return StreamingHttpResponse(in_threads(chunks()), content_type=media)


def _plain(place: Place, known: Known, frame: int) -> bytes:
    layout = known.layout
    with open_attributes(place.path, place.dataset_offset, place.dataset_bytes, place.transfer_syntax_uid) as attributes:
        native = not layout.encapsulated and not layout.big_endian and layout.frame_bits % 8 == 0
        if native and not known.overlays:
            return b"".join(attributes.read(offset, length) for offset, length in layout.pieces(frame))
        return plain_frame(attributes, layout, frame, samples_only=bool(known.overlays))
