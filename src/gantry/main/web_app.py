"""The web app's files (`web_dist/`, made by `make web`), answered before Django is asked.

What has a hash in its name is kept by browsers for good; each file was compressed when it was built, here one only
chooses. The addresses of pages (`routes.json`, from the app's router) are answered with the one page of the app, with a
fresh nonce for the style elements that its components make; any other address is left to Django, so that a 404 of the
API stays JSON. Without a built app everything is left to Django, whose page at `/` says how to build it.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from gantry.main.asgi_limits import HEADERS_KEY, Application, Receive, Scope, Send

FOLDER = Path(__file__).parent / "web_dist"
#: Where the page holds the nonce (web/index.html).
_NONCE_MARK = b"GANTRY-STYLE-NONCE"
#: Never the app's, whatever its router says.
_RESERVED = ("/api", "/admin", "/static", "/health", "/metrics", "/dicomweb", "/account/openid")
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
_ENCODINGS = ((b"br", ".br"), (b"gzip", ".gz"))
# Scripts are files of ours, never inline. WebAssembly decodes pixels; pictures, films and workers of the viewer are made
# in the page (blob:); small pictures are data:. Styles: files, and elements that carry the nonce.
_PAGE_POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self' blob:; style-src 'self' 'nonce-{nonce}'; "
    "img-src 'self' data: blob:; media-src 'self' blob:; font-src 'self'; connect-src 'self' blob: data:; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
)
# A worker lives under the policy of its own script.
_SCRIPT_POLICY = b"default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; connect-src 'self'; frame-ancestors 'none'"


@dataclass(frozen=True, slots=True)
class Built:
    """What was built: its files by address, the beginnings of the app's addresses, and which build it is."""

    files: dict[str, Path]
    words: frozenset[str]
    stamp: int

    def is_page(self, path: str) -> bool:
        """Whether an address is one of the app's."""
        if path == "/":
            return True
        parts = path.rstrip("/").split("/")
        return any("/".join(parts[:length]) in self.words for length in range(2, len(parts) + 1))


class _Answer(NamedTuple):
    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


def _is_reserved(path: str) -> bool:
    return any(path == word or path.startswith(word + "/") for word in _RESERVED)


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
        words = json.loads((folder / "routes.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    files = {"/" + path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    for hidden in ("/index.html", "/routes.json"):
        files.pop(hidden, None)
    return Built(files, frozenset(words), mark) if mark else None


class WebApp:
    """An ASGI application around another."""

    def __init__(self, inner: Application, folder: Path = FOLDER) -> None:
        self._inner = inner
        self._folder = folder
        self._built: Built | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with the page or a file of the app, or leave it to the inner application."""
        answer = None
        if scope["type"] == "http" and scope["method"] in {"GET", "HEAD"} and not _is_reserved(scope["path"]):
            answer = await asyncio.to_thread(self._answer, scope)
        if answer is None:
            await self._inner(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else answer.body})

    def _answer(self, scope: Scope) -> _Answer | None:
        if self._built is None or self._built.stamp != stamp(self._folder):
            self._built = look(self._folder)
        if self._built is None:
            return None
        path = scope["path"]
        try:
            if path in self._built.files:
                return _file(scope, path, self._built.files)
            return _page(scope, self._folder) if self._built.is_page(path) else None
        except OSError:
            return None  # a new build is just taking its place


def _page(scope: Scope, folder: Path) -> _Answer:
    nonce = secrets.token_urlsafe(16)
    body = (folder / "index.html").read_bytes().replace(_NONCE_MARK, nonce.encode("ascii"))
    policy = _PAGE_POLICY.format(nonce=nonce).encode("ascii")
    scope[HEADERS_KEY] = {b"content-security-policy": policy, b"referrer-policy": b"no-referrer"}
    return _Answer(200, [(b"content-type", _TYPES[".html"].encode()), (b"content-length", str(len(body)).encode())], body)


def _file(scope: Scope, path: str, files: dict[str, Path]) -> _Answer:
    asked = dict(scope["headers"])
    kind = _TYPES.get(Path(path).suffix, "application/octet-stream")
    hashed = path.startswith("/assets/")
    overrides = {b"cache-control": _FOREVER if hashed else _ASK}
    if kind.startswith("text/javascript") or kind == "application/wasm":
        overrides[b"content-security-policy"] = _SCRIPT_POLICY
    scope[HEADERS_KEY] = overrides
    headers = [(b"content-type", kind.encode("ascii")), (b"vary", b"accept-encoding")]
    accepted = asked.get(b"accept-encoding", b"").lower()
    place = files[path]
    for name, suffix in _ENCODINGS:
        if name in accepted and path + suffix in files:
            place = files[path + suffix]
            headers.append((b"content-encoding", name))
            break
    body = place.read_bytes()
    tag = b'"' + hashlib.sha256(body).hexdigest()[:24].encode("ascii") + b'"'
    headers += [(b"etag", tag), (b"content-length", str(len(body)).encode("ascii"))]
    if tag in asked.get(b"if-none-match", b""):
        return _Answer(304, [(name, value) for name, value in headers if name != b"content-length"], b"")
    return _Answer(200, headers, body)
