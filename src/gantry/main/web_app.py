"""The web app's files (`web_dist/`, made by `make web`), answered before Django is asked.

What has a hash in its name is kept by browsers for good; each file was compressed when it was built, here one only
chooses. The addresses of pages (`routes.json`, from the app's router) are answered with the one page of the app, with a
fresh nonce for the style elements that its components make; any other address is left to Django, so that a 404 of the
API stays JSON. What Django does not know either, and a person has opened, is answered with the app as well, with the
status 404: it says so in the person's language. Without a built app everything is left to Django, whose page at `/` says
how to build it.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qs

from gantry.main.asgi_limits import HEADERS_KEY, Application, Message, Receive, Scope, Send

FOLDER = Path(__file__).parent / "web_dist"
#: Where the page holds the nonce (web/index.html).
_NONCE_MARK = b"GANTRY-STYLE-NONCE"
#: Never the app's, whatever its router says; `/api` itself leads people to the reference.
_RESERVED = ("/api/", "/admin", "/static", "/health", "/metrics", "/dicomweb", "/account/openid")
_UID = re.compile(r"[0-9.]{1,64}")
_VIEWER = re.compile(r"/studies/([0-9.]{1,64})/view/?")
_FOREVER = b"public, max-age=31536000, immutable"
_ASK = b"no-cache"
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/x-icon",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".mjs": "text/javascript; charset=utf-8",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".wasm": "application/wasm",
    ".woff2": "font/woff2",
}
_ENCODINGS = {b"br": ".br", b"gzip": ".gz"}
#: Files up to here stay in memory once somebody asked: all of the app but the viewer's decoders and engine have 1.5 MB.
_LARGEST_KEPT = 512 * 1024
# Scripts are files of ours, never inline. WebAssembly decodes pixels; pictures, films and workers of the viewer are made
# in the page (blob:); small pictures are data:. Styles: files, and elements that carry the nonce.
_PAGE_POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self' blob:; style-src 'self' 'nonce-{nonce}'; "
    "img-src 'self' data: blob:; media-src 'self' blob:; font-src 'self'; connect-src 'self' blob: data:; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
)
# A worker lives under the policy of its own script.
_SCRIPT_POLICY = b"default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; connect-src 'self'; frame-ancestors 'none'"


class _File(NamedTuple):
    body: bytes
    tag: bytes
    encoding: bytes


class _Route(NamedTuple):
    #: `:name` stands for a part that may be anything.
    parts: tuple[str, ...]
    #: Files that its page needs besides those of every page: "*", and those of its words by language.
    files: Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class Built:
    """What was built: the page, its files by address, the addresses of the app, and which build it is."""

    page: bytes
    files: dict[str, Path]
    routes: tuple[_Route, ...]
    stamp: int
    #: Files that were asked for, as they are answered.
    kept: dict[tuple[str, bytes], _File] = field(default_factory=dict)

    def route(self, path: str) -> _Route | None:
        """The page of an address; None: it is none of the app's."""
        parts = _parts(path)
        return next((route for route in self.routes if _fits(route.parts, parts)), None)


def _parts(path: str) -> tuple[str, ...]:
    return tuple(path.strip("/").split("/")) if path.startswith("/") else ()


def _fits(route: tuple[str, ...], parts: tuple[str, ...]) -> bool:
    return len(route) == len(parts) and all(
        mine == part or (mine[:1] == ":" and part != "") for mine, part in zip(route, parts, strict=True)
    )


class _Answer(NamedTuple):
    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


def _is_reserved(path: str) -> bool:
    return any(path == word or path.startswith(word.rstrip("/") + "/") for word in _RESERVED)


def stamp(folder: Path = FOLDER) -> int:
    """Which build lies there; 0: none."""
    try:
        return os.stat(folder / "index.html").st_mtime_ns
    except OSError:
        return 0


def look(folder: Path = FOLDER) -> Built | None:
    """Read what was built; None when nothing was, or not to its end."""
    mark = stamp(folder)
    try:
        page = (folder / "index.html").read_bytes()
        routes = json.loads((folder / "routes.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    files = {"/" + path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    for hidden in ("/index.html", "/routes.json"):
        files.pop(hidden, None)
    if not mark or not isinstance(routes, dict):
        return None
    found = [_Route(_parts(path), needed) for path, needed in routes.items()]
    first = next((route.files for route in found if route.parts == ("dashboard",)), {})
    return Built(page, files, (_Route(_parts("/"), first), *found), mark)


class WebApp:
    """An ASGI application around another."""

    def __init__(self, inner: Application, folder: Path = FOLDER) -> None:
        self._inner = inner
        self._folder = folder
        self._built: Built | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with the page or a file of the app, or leave it to the inner application."""
        if scope["type"] != "http" or scope["method"] not in {"GET", "HEAD"} or _is_reserved(scope["path"]):
            await self._inner(scope, receive, send)
            return
        built = self._current() or await asyncio.to_thread(self._look)
        answer = built and await self._answer(scope, built)
        if answer:
            await _send(scope, send, answer)
        elif built and b"text/html" in dict(scope["headers"]).get(b"accept", b""):
            await self._inner(scope, receive, _lost(scope, send, built))
        else:
            await self._inner(scope, receive, send)

    def _current(self) -> Built | None:
        return self._built if self._built and self._built.stamp == stamp(self._folder) else None

    def _look(self) -> Built | None:
        self._built = look(self._folder)
        return self._built

    async def _answer(self, scope: Scope, built: Built) -> _Answer | None:
        path = scope["path"]
        try:
            if path in built.files:
                encoding = _encoding(scope, built.files)
                file = built.kept.get((path, encoding))
                if file is None:
                    file = await asyncio.to_thread(_read, path, encoding, built)
                return _file(scope, file)
            route = built.route(path)
            return _page(scope, built, route.files) if route else None
        except OSError:
            return None  # a new build is just taking its place


async def _send(scope: Scope, send: Send, answer: _Answer) -> None:
    await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else answer.body})


def _lost(scope: Scope, send: Send, built: Built) -> Send:
    """Sends the page of the app, with the status 404, in the place of Django's page that says so."""
    swallowed = False

    async def sending(message: Message) -> None:
        nonlocal swallowed
        if message["type"] == "http.response.start" and message["status"] == 404:
            swallowed = True
            await _send(scope, send, _page(scope, built)._replace(status=404))
        elif not swallowed:
            await send(message)

    return sending


def _page(scope: Scope, built: Built, needed: Mapping[str, Sequence[str]] | None = None) -> _Answer:
    """The page. `needed`: files that the browser asks for at once and not only when the app runs."""
    nonce = secrets.token_urlsafe(16)
    asked = dict(scope["headers"])
    files = [*needed.get("*", ()), *needed.get(_language(asked.get(b"accept-language", b""), needed), ())] if needed else []
    links = "".join(f'<link rel="modulepreload" crossorigin href="{name}">' for name in files)
    body = built.page.replace(_NONCE_MARK, nonce.encode("ascii")).replace(b"</head>", links.encode("ascii") + b"</head>", 1)
    policy = _PAGE_POLICY.format(nonce=nonce).encode("ascii")
    scope[HEADERS_KEY] = {b"content-security-policy": policy, b"referrer-policy": b"no-referrer"}
    headers = [(b"content-type", _TYPES[".html"].encode()), (b"content-length", str(len(body)).encode())]
    return _Answer(200, [*headers, *_first_image(scope, asked)], body)


def _language(accepted: bytes, there: Mapping[str, Sequence[str]]) -> str:
    """The language that the app will speak, if nobody chose another in this browser (src/i18n.ts, firstLocale)."""
    for wish in accepted[:1000].decode("latin-1").lower().split(","):
        tag = wish.partition(";")[0].strip()
        for one in (tag, tag.partition("-")[0]):
            if one in there and one != "*":
                return one
    return "en"


def _first_image(scope: Scope, asked: Mapping[bytes, bytes]) -> list[tuple[bytes, bytes]]:
    """Has the browser ask for the viewer's first image before all files; pages/viewer/first.ts takes it.

    Only of who has been here: others would be refused.
    """
    viewed = _VIEWER.fullmatch(scope["path"])
    if not viewed or b"csrftoken=" not in asked.get(b"cookie", b""):
        return []
    query = parse_qs(scope["query_string"].decode("latin-1"))
    series = (query.get("show") or query.get("series") or [""])[0].split(",")[0]
    which = f"?series={series}" if _UID.fullmatch(series) else ""
    address = f"/api/v1/studies/{viewed[1]}/first-image{which}"
    return [(b"link", f"<{address}>; rel=preload; as=fetch; crossorigin".encode("ascii"))]


def _encoding(scope: Scope, files: dict[str, Path]) -> bytes:
    """The smallest form of a file that is there and that the browser reads; empty: as it is."""
    accepted = dict(scope["headers"]).get(b"accept-encoding", b"").lower()
    return next((name for name, suffix in _ENCODINGS.items() if name in accepted and scope["path"] + suffix in files), b"")


def _read(path: str, encoding: bytes, built: Built) -> _File:
    body = built.files[path + _ENCODINGS.get(encoding, "")].read_bytes()
    found = _File(body, b'"' + hashlib.sha256(body).hexdigest()[:24].encode("ascii") + b'"', encoding)
    if len(body) <= _LARGEST_KEPT:
        built.kept[(path, encoding)] = found
    return found


def _file(scope: Scope, file: _File) -> _Answer:
    path = scope["path"]
    kind = _TYPES.get(Path(path).suffix, "application/octet-stream")
    overrides = {b"cache-control": _FOREVER if path.startswith("/assets/") else _ASK}
    if kind.startswith("text/javascript") or kind == "application/wasm":
        overrides[b"content-security-policy"] = _SCRIPT_POLICY
    scope[HEADERS_KEY] = overrides
    headers = [(b"content-type", kind.encode("ascii")), (b"vary", b"accept-encoding"), (b"etag", file.tag)]
    if file.encoding:
        headers.append((b"content-encoding", file.encoding))
    if file.tag in dict(scope["headers"]).get(b"if-none-match", b""):
        return _Answer(304, headers, b"")
    return _Answer(200, [*headers, (b"content-length", str(len(file.body)).encode("ascii"))], file.body)
