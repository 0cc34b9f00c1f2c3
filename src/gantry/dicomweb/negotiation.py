"""In which form a viewer wants something: Accept and `?accept=` (PS3.18 8.3.3, 8.7)."""

from __future__ import annotations

from dataclasses import dataclass, field

from django.http import HttpRequest

from gantry.dicomweb.errors import NotAcceptable

OCTETS = "application/octet-stream"
EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
#: Uncompressed transfer syntaxes; their samples are the same but for big endian.
NATIVE = frozenset({"1.2.840.10008.1.2", EXPLICIT_LITTLE, "1.2.840.10008.1.2.1.99"})
_BIG_ENDIAN = "1.2.840.10008.1.2.2"
_MEDIA = {
    "image/jpeg": ("50", "51", "57", "70"), "image/jls": ("80", "81"), "image/jp2": ("90", "91"), "image/jpx": ("92", "93"),
    "image/jphc": ("201", "202", "203"), "image/jxl": ("110", "111", "112"), "video/mpeg": ("100", "100.1", "101", "101.1"),
    "video/mp4": ("102", "102.1", "103", "103.1", "104", "104.1", "105", "105.1", "106", "106.1", "107", "108"),
}  # fmt: skip
_STORED = {f"1.2.840.10008.1.2.4.{tail}": media for media, tails in _MEDIA.items() for tail in tails}
_STORED["1.2.840.10008.1.2.5"] = "image/dicom-rle"
_MAX_WISHES = 32


@dataclass(frozen=True, slots=True)
class Wish:
    """One alternative of an Accept header. `multipart`: in parts, each of `media`."""

    media: str
    multipart: bool = False
    syntax: str = ""
    weight: float = 1.0
    parameters: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Form:
    """What a frame is given as. `decoded`: as plain samples, else as it is stored."""

    media: str
    syntax: str
    multipart: bool
    decoded: bool

    @property
    def part_type(self) -> str:
        """The media type of one part, or of the whole answer."""
        return f"{self.media}; transfer-syntax={self.syntax}"


def wishes(request: HttpRequest) -> list[Wish]:
    """What is asked for, the best first; nothing: anything."""
    text = request.GET.get("accept", "") or request.headers.get("Accept", "")
    found = [wish for part in _split(text, ",")[:_MAX_WISHES] if (wish := _wish(part)) is not None and wish.weight > 0]
    return sorted(found, key=lambda wish: -wish.weight) or [Wish("*/*")]


def _split(text: str, separator: str) -> list[str]:
    """At separators that are not inside of quotes."""
    parts, quoted, start = [], False, 0
    for index, letter in enumerate(text):
        if letter == '"':
            quoted = not quoted
        elif letter == separator and not quoted:
            parts.append(text[start:index])
            start = index + 1
    return [part.strip() for part in [*parts, text[start:]] if part.strip()]


def _wish(text: str) -> Wish | None:
    media, *rest = _split(text, ";")
    parameters = {}
    for parameter in rest:
        name, _, value = parameter.partition("=")
        parameters[name.strip().lower()] = value.strip().strip('"')
    try:
        weight = float(parameters.get("q", "1"))
    except ValueError:
        weight = 1.0
    media = media.lower()
    syntax = parameters.get("transfer-syntax", "")
    if media.startswith("multipart/"):
        if media not in {"multipart/related", "multipart/*"}:
            return None
        return Wish(parameters.get("type", OCTETS).lower(), multipart=True, syntax=syntax, weight=weight, parameters=parameters)
    return Wish(media, syntax=syntax, weight=weight, parameters=parameters)


def frame_form(request: HttpRequest, stored: str, *, big_endian: bool, several: bool) -> Form:
    """The form of raw frames that are stored in the transfer syntax `stored`. Raises NotAcceptable.

    Without a transfer syntax in the wish it is explicit VR little endian for bytes (PS3.18 8.7.3.5.2): what is
    compressed is then decoded. `transfer-syntax=*` takes it as it is.
    """
    native = not big_endian and (stored in NATIVE or stored not in _STORED)
    as_stored = (_STORED.get(stored, OCTETS), EXPLICIT_LITTLE if native and stored in NATIVE else stored)
    for wish in wishes(request):
        if several and not wish.multipart and wish.media != "*/*":
            continue
        multipart = wish.multipart or wish.media == "*/*"
        anything = wish.media in {"*/*", OCTETS, "application/*"}
        if wish.syntax in {"*", stored} and (anything or _covers(wish.media, as_stored[0])):
            return Form(*as_stored, multipart, decoded=False)
        if wish.syntax in {"", *NATIVE} and anything:
            return Form(OCTETS, EXPLICIT_LITTLE, multipart, decoded=not native)
        if not wish.syntax and _covers(wish.media, as_stored[0]):
            return Form(*as_stored, multipart, decoded=False)
    raise NotAcceptable(f"The frames are stored as {as_stored[0]}; they can be given as that, or as plain bytes.")


def _covers(wanted: str, media: str) -> bool:
    return wanted in {"*/*", media} or (wanted.endswith("/*") and media.startswith(wanted[:-1]))


def pick(request: HttpRequest, offered: tuple[str, ...]) -> str:
    """The best of `offered` media types for the request; the first when anything will do. Raises NotAcceptable."""
    for wish in wishes(request):
        for media in offered:
            if _covers(wish.media, media):
                return media
    raise NotAcceptable(f"It can be given as {' or '.join(offered)}.")
