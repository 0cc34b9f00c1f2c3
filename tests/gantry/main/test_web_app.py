"""The web app's files as the web process serves them: the page, what has a hash, and what is left to Django."""

from __future__ import annotations

import asyncio
import gzip
import json
import re
from pathlib import Path
from typing import Any

import pytest

from gantry.main.asgi_limits import Limits
from gantry.main.web_app import WebApp

SCRIPT = b"console.log('gantry')\n" * 100


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A small build."""
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_bytes(b'<head></head><meta property="csp-nonce" content="GANTRY-STYLE-NONCE"><div id="app">')
    routes: dict[str, dict[str, list[str]]] = {
        name: {} for name in ("/studies/:uid", "/account/confirm", "/api", "/api-reference")
    }
    routes["/studies"] = {"*": ["/assets/list.js"], "en": ["/assets/en.js"], "de": ["/assets/de.js"]}
    routes["/studies/:uid/view"] = {}
    (tmp_path / "routes.json").write_text(json.dumps(routes))
    (tmp_path / "assets" / "main-1a2b.js").write_bytes(SCRIPT)
    (tmp_path / "assets" / "main-1a2b.js.gz").write_bytes(gzip.compress(SCRIPT))
    (tmp_path / "begin.js").write_bytes(b"x")
    return tmp_path


async def _django(scope: Any, receive: Any, send: Any) -> None:
    status = 403 if scope["path"] == "/closed" else 404
    await send({"type": "http.response.start", "status": status, "headers": [(b"x-from", b"django")]})
    await send({"type": "http.response.body", "body": b"{}"})


def ask(folder: Path, path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
    """One request through the same layers as in the web process."""
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    named = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope = {
        "type": "http", "method": method, "path": path, "raw_path": path.encode(), "query_string": b"", "headers": named,
    }  # fmt: skip
    asyncio.run(Limits(WebApp(_django, folder))(scope, receive, send))
    found = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], found, b"".join(message.get("body", b"") for message in sent[1:])


@pytest.mark.parametrize("path", ["/", "/studies", "/studies/1.2.3", "/studies/", "/account/confirm/", "/api", "/api-reference"])
def test_the_addresses_of_the_app_are_answered_with_its_page(folder: Path, path: str) -> None:
    status, headers, body = ask(folder, path)
    assert (status, headers["content-type"], headers["cache-control"]) == (200, "text/html; charset=utf-8", "no-store")
    (nonce,) = re.findall(r"style-src 'self' 'nonce-([\w-]{20,})'", headers["content-security-policy"])
    assert f'content="{nonce}"'.encode() in body
    assert ask(folder, path)[1]["content-security-policy"] != headers["content-security-policy"]


@pytest.mark.parametrize(
    ("accepted", "words"),
    [("de-AT,de;q=0.9,en;q=0.8", "de"), ("fr, en-GB", "en"), ("", "en"), ("*", "en"), ("x\u00ff;;,-,", "en")],
)
def test_what_a_page_needs_is_asked_for_at_once_with_the_words_of_the_browser(folder: Path, accepted: str, words: str) -> None:
    body = ask(folder, "/studies", accept_language=accepted)[2].decode()
    assert re.findall(r'href="([^"]+)"', body.partition("</head>")[0]) == ["/assets/list.js", f"/assets/{words}.js"]
    assert b"modulepreload" not in ask(folder, "/api-reference")[2]


def test_the_first_image_of_the_viewer_is_asked_for_with_the_page(folder: Path) -> None:
    link = "</api/v1/studies/1.2.3/first-image>; rel=preload; as=fetch; crossorigin"
    assert ask(folder, "/studies/1.2.3/view", cookie="csrftoken=x")[1]["link"] == link
    assert "link" not in ask(folder, "/studies/1.2.3/view")[1]
    assert "link" not in ask(folder, "/studies/1.2.3", cookie="csrftoken=x")[1]
    assert "link" not in ask(folder, "/studies/1.2>x/view", cookie="csrftoken=x")[1]


def test_the_policy_allows_no_script_but_ours(folder: Path) -> None:
    headers = ask(folder, "/")[1]
    policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert policy["script-src"] == "'self' 'wasm-unsafe-eval'"
    assert "unsafe-inline" not in headers["content-security-policy"]
    assert "http" not in headers["content-security-policy"]
    assert (headers["x-content-type-options"], headers["referrer-policy"]) == ("nosniff", "no-referrer")


@pytest.mark.parametrize(
    "path",
    ["/api/v1/studies", "/api/", "/admin/", "/static/x.css", "/health/live", "/metrics", "/dicomweb/studies", "/account/openid/sso/",
     "/studiesx", "/studies/1.2/nonsense", "/nothing", "/index.html", "/routes.json", "/assets/missing.js", "/assets/../index.html", "/account"],
)  # fmt: skip
def test_every_other_address_is_left_to_django(folder: Path, path: str) -> None:
    assert ask(folder, path)[1]["x-from"] == "django"
    assert ask(folder, "/studies", "POST")[1]["x-from"] == "django"


@pytest.mark.parametrize("path", ["/nothing", "/studiesx/1.2.3", "/studies/1.2.3/nonsense", "/account", "/nothing.html"])
def test_an_address_that_nobody_knows_is_said_by_the_app_to_whoever_opens_it(folder: Path, path: str) -> None:
    status, headers, body = ask(folder, path, accept="text/html,application/xhtml+xml,*/*;q=0.8")
    assert (status, headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert b'id="app"' in body
    assert "nonce-" in headers["content-security-policy"]
    assert "x-from" not in headers
    assert ask(folder, path, "HEAD", accept="text/html")[2] == b""


@pytest.mark.parametrize("path", ["/api/v1/nothing", "/dicomweb/nothing", "/health/nothing", "/admin/nothing", "/static/nothing"])
def test_programs_and_the_back_room_have_their_own_words(folder: Path, path: str) -> None:
    assert ask(folder, path, accept="text/html")[1]["x-from"] == "django"
    assert ask(folder, "/closed", accept="text/html")[0::2] == (403, b"{}")
    assert ask(folder, "/nothing", "POST", accept="text/html")[1]["x-from"] == "django"


def test_what_has_a_hash_is_kept_and_comes_compressed(folder: Path) -> None:
    status, headers, body = ask(folder, "/assets/main-1a2b.js", accept_encoding="gzip, br")
    assert (status, headers["content-encoding"], gzip.decompress(body)) == (200, "gzip", SCRIPT)
    assert headers["cache-control"] == "public, max-age=31536000, immutable"
    assert (headers["vary"], headers["content-type"]) == ("accept-encoding", "text/javascript; charset=utf-8")
    assert "content-encoding" not in ask(folder, "/assets/main-1a2b.js")[1]
    again = ask(folder, "/assets/main-1a2b.js", accept_encoding="gzip", if_none_match=headers["etag"])
    assert (again[0], again[2]) == (304, b"")
    assert ask(folder, "/begin.js")[1]["cache-control"] == "no-cache"
    head = ask(folder, "/assets/main-1a2b.js", "HEAD")
    assert (head[1]["content-length"], head[2]) == (str(len(SCRIPT)), b"")


def test_without_a_build_everything_is_left_to_django_and_a_build_is_noticed(folder: Path, tmp_path: Path) -> None:
    page = (folder / "index.html").read_bytes()
    (folder / "index.html").unlink()
    assert ask(folder, "/")[1]["x-from"] == "django"
    (folder / "index.html").write_bytes(page)
    assert ask(folder, "/")[0] == 200
