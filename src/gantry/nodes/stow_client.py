"""HTTP to a DICOMweb server: one connection, kept open; TLS and sign-in as the node says; never a redirect, never a proxy.

`http.client` does what we need better than the larger clients: the body is sent as views of the stored file with its
exact length, an early answer is seen, and the certificate can be compared before a byte goes out.
"""

from __future__ import annotations

import base64
import hashlib
import http.client
import re
import ssl
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

from gantry.nodes.errors import BadAddress
from gantry.nodes.items import WebTarget
from gantry.nodes.stow_answer import MAX_ANSWER

_HOST = re.compile(r"[A-Za-z0-9._:-]{1,253}", re.ASCII)
_PATH = re.compile(r"[A-Za-z0-9._~!$&'()*+,;=:@%/-]*", re.ASCII)


def check_url(url: str) -> str:
    """The root of a DICOMweb server as it is kept. Raises BadAddress."""
    example = "write it as https://HOST[:PORT]/PATH, the root below which /studies lies"
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError as error:
        raise BadAddress(f"{url[:80]!r} is no web address: {example}") from error
    if parts.scheme not in {"http", "https"} or not parts.hostname or port == 0:
        raise BadAddress(f"{url[:80]!r} is no web address: {example}")
    if parts.username is not None or parts.password is not None:
        raise BadAddress("user and password do not belong into the address: use --user and --passcode-file")
    if parts.query or parts.fragment:
        raise BadAddress(f"a web address of a node has neither ? nor #: {example}")
    if not _HOST.fullmatch(parts.hostname) or not _PATH.fullmatch(parts.path):
        raise BadAddress(f"{url[:80]!r} has characters that a web address has not: {example}")
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"


def is_local(url: str) -> bool:
    """Whether it is this machine."""
    return urlsplit(url).hostname in {"127.0.0.1", "::1", "localhost"}


@dataclass(frozen=True, slots=True)
class Reply:
    """Status, content type, and the beginning of the body. `early`: it came before all was sent."""

    status: int
    content_type: str
    body: bytes
    location: str = ""
    early: bool = False


class WrongCertificate(ssl.SSLError):
    """The server showed another certificate than the pinned one."""


class Client:
    """One connection to one server. Not for several threads at once. Raises OSError and http.client.HTTPException."""

    def __init__(self, target: WebTarget) -> None:
        parts = urlsplit(target.url)
        assert parts.hostname is not None  # check_url has seen to it
        self._target = target
        self._path = parts.path
        context = _context(target) if parts.scheme == "https" else None
        self._connection = (
            http.client.HTTPSConnection(parts.hostname, parts.port, timeout=target.connect_seconds, context=context)
            if context is not None
            else http.client.HTTPConnection(parts.hostname, parts.port, timeout=target.connect_seconds)
        )
        #: It may have died while it was idle, which only use tells.
        self.reused = False

    def connect(self) -> None:
        """Open it, if it is not open."""
        self.reused = self._connection.sock is not None
        if self.reused:
            return
        self._connection.connect()
        sock = self._connection.sock
        if self._target.security.fingerprint:
            assert isinstance(sock, ssl.SSLSocket)
            shown = hashlib.sha256(sock.getpeercert(binary_form=True) or b"").hexdigest()
            if shown != self._target.security.fingerprint:
                self.close()
                raise WrongCertificate(f"the server shows another certificate than the pinned one: {shown}")
        sock.settimeout(self._target.response_seconds)

    def setsockopt(self, level: int, name: int, value: int, /) -> None:
        """Set an option of its socket."""
        if self._connection.sock is not None:
            self._connection.sock.setsockopt(level, name, value)

    def ask(self, method: str, path: str, headers: Mapping[str, str], body: Iterable[memoryview | bytes] = ()) -> Reply:
        """One request on an open connection; `path` is below the root. `headers` say the length of the body."""
        sent = self._connection
        sent.putrequest(method, self._path + path, skip_accept_encoding=True)
        for name, value in {"User-Agent": "gantry", **self._sign_in(), **headers}.items():
            sent.putheader(name, value)
        early = False
        try:
            sent.endheaders()
            for piece in body:
                sent.send(piece)
        except (BrokenPipeError, ConnectionResetError):
            # Many servers say no and close before all was sent: their word is worth more than the broken pipe.
            early = True
        reply = sent.getresponse()
        found = Reply(
            reply.status, reply.headers.get("Content-Type", ""), reply.read(MAX_ANSWER), reply.headers.get("Location", ""), early
        )
        if early or reply.read(1) or reply.will_close:
            self.close()
        return found

    def close(self) -> None:
        """Close it."""
        with suppress(OSError):
            self._connection.close()

    def _sign_in(self) -> dict[str, str]:
        security = self._target.security
        if self._target.auth == "basic":
            pair = f"{security.user}:{security.passcode}".encode()
            return {"Authorization": f"Basic {base64.b64encode(pair).decode('ascii')}"}
        if self._target.auth == "bearer":
            return {"Authorization": f"Bearer {security.passcode}"}
        return {}


def _context(target: WebTarget) -> ssl.SSLContext:
    security = target.security
    context = ssl.create_default_context(cafile=security.authorities or None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if security.fingerprint and not security.authorities:
        # The pin says more than any authority; it is compared before anything is sent.
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if security.certificate:
        context.load_cert_chain(security.certificate, security.key or None)
    return context
