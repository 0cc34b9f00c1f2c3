"""TLS for DICOM after BCP 195 (RFC 9325; PS3.15 annex B): TLS 1.2 and 1.3 only, never a fall-back to plain.

Make a context once (`server_context`, `client_context`), give it to `Server(tls=...)` or `connect(tls=...)`.
Everything that fails is a `TlsError` with cause and remedy.
"""

from __future__ import annotations

import os
import socket
import ssl
from base64 import b64decode
from collections.abc import Sequence
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Literal

from dimse.certificates import Certificate, fingerprint, read_certificate
from dimse.errors import TlsError
from dimse.tls_failures import KINDS, explain_tls, failure, is_plain

__all__ = [
    "KINDS",
    "Certificate",
    "Profile",
    "TlsContext",
    "TlsError",
    "TlsFiles",
    "check_certificate",
    "client_context",
    "explain_tls",
    "failure",
    "fingerprint",
    "handshake_socket",
    "is_plain",
    "peer_certificate",
    "read_certificate",
    "server_context",
    "server_name",
]
_AEAD = "ECDHE+AESGCM:ECDHE+CHACHA20"
#: Whether a caller of our server has to show a certificate.
ClientCertificates = Literal["required", "optional", "none"]


class Profile(StrEnum):
    """Secure transport connection profiles (PS3.15 annex B). None of them goes below TLS 1.2."""

    #: BCP 195 RFC 8996, 9325 TLS (PS3.15 B.12): forward secrecy and authenticated ciphers.
    BCP195 = "bcp195"
    #: Modified BCP 195 (PS3.15 B.13), also what the non-downgrading profile (B.10) asks for: elliptic curves only.
    BCP195_MODIFIED = "bcp195-modified"
    #: TLS 1.3 and nothing else.
    TLS13_ONLY = "tls13-only"


_CIPHERS = {
    Profile.BCP195: f"{_AEAD}:DHE+AESGCM:!aNULL:!DSS:@SECLEVEL=2",
    Profile.BCP195_MODIFIED: f"{_AEAD}:!aNULL:@SECLEVEL=2",
    Profile.TLS13_ONLY: f"{_AEAD}:!aNULL:@SECLEVEL=2",
}


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Where certificate, key and trust are, all PEM.

    `certificate` holds ours, followed by intermediate ones; `key` its private key (empty: in the same file);
    `authorities` are files or folders of certificates that we trust to vouch for others. A client without a
    certificate (anonymous TLS) leaves `certificate` empty. `revocations` are files or folders of revocation lists of
    these authorities (CRL, RFC 5280): with any, whose certificate is on one, or whose issuer has no list that is valid
    today, is refused; with `revoked_chain` this holds for the intermediate authorities too.
    """

    certificate: str = ""
    key: str = ""
    authorities: str | Sequence[str] = ()
    password: str | None = field(default=None, repr=False)
    revocations: str | Sequence[str] = ()
    revoked_chain: bool = False


#: The socket under a handshake that an event loop makes: see `_Telling`.
handshake_socket: ContextVar[socket.socket | None] = ContextVar("handshake_socket", default=None)


class _Telling(ssl.SSLObject):
    """Sends the alert of a handshake that fails: the event loops close the connection without it, and the peer would
    never learn why."""

    outgoing: ssl.MemoryBIO | None = None
    wire: socket.socket | None = None

    def do_handshake(self) -> None:
        """As `ssl.SSLObject`."""
        try:
            super().do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except ssl.SSLError:
            if self.wire is not None and self.outgoing is not None:
                with suppress(OSError):  # it fits into the buffer of the kernel, or nobody is there
                    self.wire.send(self.outgoing.read(), socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
                    self.wire.shutdown(socket.SHUT_WR)
            raise


class TlsContext(ssl.SSLContext):
    """An `ssl.SSLContext` that also knows which certificate it wants to see, and under which name."""

    sslobject_class = _Telling
    #: SHA-256 fingerprints that are accepted, as `fingerprint` writes them; empty = by authority alone.
    fingerprints: frozenset[str] = frozenset()
    #: The name the certificate of a server must have in place of the host that is called.
    expect_name: str = ""

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        """As `ssl.SSLContext`."""
        wrapped = super().wrap_bio(incoming, outgoing, server_side, server_hostname, session)
        if isinstance(wrapped, _Telling):
            wrapped.outgoing, wrapped.wire = outgoing, handshake_socket.get()
        return wrapped


def server_context(
    files: TlsFiles,
    profile: Profile = Profile.BCP195,
    client_certificates: ClientCertificates = "required",
) -> TlsContext:
    """For a listener. `TlsError` when the files do not do; files are read here and never again."""
    context = _context(ssl.PROTOCOL_TLS_SERVER, profile)
    if not files.certificate:
        raise TlsError("no-certificate", "a TLS listener needs a certificate of its own", "name a certificate and its key")
    _load_own(context, files)
    context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE | ssl.OP_NO_TICKET
    context.num_tickets = 0  # associations are long: nothing is resumed, each caller shows its certificate
    if client_certificates != "none":
        context.verify_mode = ssl.CERT_REQUIRED if client_certificates == "required" else ssl.CERT_OPTIONAL
        if not _load_authorities(context, files):
            raise _no_authority("certificates of callers cannot be judged: no authority is named")
        _load_revocations(context, files)
    return context


def client_context(
    files: TlsFiles,
    profile: Profile = Profile.BCP195,
    *,
    check_name: bool = True,
    expect_name: str = "",
    expect_fingerprint: str | Sequence[str] = (),
) -> TlsContext:
    """For a requestor. The peer must be vouched for by an authority of the files, or be the one whose fingerprint is
    expected (SHA-256 of its certificate, as `fingerprint` writes it; with both, both must hold).

    DICOM nodes often have no DNS name: then say `expect_name` (what the certificate says), pin the fingerprint, or
    trust a private authority whatever the name (`check_name=False`). Without authority and fingerprint the
    authorities of the system judge, and the name. `TlsError` when the files do not do.
    """
    context = _context(ssl.PROTOCOL_TLS_CLIENT, profile)
    pins = (expect_fingerprint,) if isinstance(expect_fingerprint, str) else tuple(expect_fingerprint)
    context.fingerprints = frozenset(_tidy(pin) for pin in pins if pin)
    context.expect_name = expect_name
    context.check_hostname = False  # may only be changed in this order
    if _load_authorities(context, files):
        context.check_hostname = (check_name or bool(expect_name)) and not context.fingerprints
        _load_revocations(context, files)
    elif context.fingerprints:
        context.verify_mode = ssl.CERT_NONE  # `check_certificate` compares the certificate itself
    elif not check_name and not expect_name:
        raise _no_authority("anybody with a public certificate would be trusted: no authority, fingerprint or name is asked for")
    else:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
        context.check_hostname = True
    if files.certificate:
        _load_own(context, files)
    return context


def _tidy(pin: str) -> str:
    """A fingerprint as people write it: any case, with or without colons, spaces and a prefix."""
    digest = pin.rpartition("=")[2].removeprefix("sha256:").removeprefix("SHA256:")
    digest = "".join(digest.replace(":", " ").split()).lower()
    if len(digest) != 64 or any(letter not in "0123456789abcdef" for letter in digest):
        raise TlsError("bad-fingerprint", "this is no SHA-256 fingerprint of a certificate", "give 64 hexadecimal digits")
    return bytes.fromhex(digest).hex(":").upper()


def check_certificate(context: ssl.SSLContext, der: bytes | None) -> None:
    """After the handshake, before the first byte: is it the pinned certificate? `TlsError` if not."""
    pins = context.fingerprints if isinstance(context, TlsContext) else frozenset()
    if not pins:
        return
    shown = fingerprint(der) if der else "none"
    if shown not in pins:
        raise TlsError(
            "other-certificate",
            f"the peer shows another certificate than the pinned one (it shows {shown})",
            "find out why it changed; if it was renewed, pin the new fingerprint",
        )
    moment = datetime.now(UTC)
    known = read_certificate(der or b"")
    if known is not None and not known.not_before <= moment <= known.not_after:
        raise failure("peer-expired" if moment > known.not_after else "peer-not-yet-valid")


def server_name(context: ssl.SSLContext, host: str) -> str | None:
    """What to ask for as `server_hostname` when `host` is called."""
    expected = context.expect_name if isinstance(context, TlsContext) else ""
    return expected or host.strip("[]").partition("%")[0] or None


def peer_certificate(wire: ssl.SSLObject | ssl.SSLSocket | None) -> bytes | None:
    """The certificate the peer showed (DER); None without TLS or without one."""
    return wire.getpeercert(binary_form=True) if wire is not None else None


# --- files ---


def _context(protocol: int, profile: Profile) -> TlsContext:
    context = TlsContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_3 if profile is Profile.TLS13_ONLY else ssl.TLSVersion.TLSv1_2
    context.maximum_version = ssl.TLSVersion.TLSv1_3
    context.set_ciphers(_CIPHERS[profile])
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    return context


def _no_authority(cause: str) -> TlsError:
    return TlsError("no-authority", cause, "name the certificate of the authority that signs them, or pin the fingerprint")


def _read(path: str, what: str) -> str:
    """A PEM file. `TlsError` when there is none."""
    try:
        with open(path, encoding="latin-1") as file:
            text = file.read(1 << 22)
    except FileNotFoundError:
        raise TlsError("file-missing", f"the {what} {path} does not exist", "correct the path, or put the file there") from None
    except OSError as error:
        remedy = "let the user that Gantry runs as read it" if isinstance(error, PermissionError) else "correct the path"
        raise TlsError("file-unreadable", f"the {what} {path} cannot be read: {error.strerror}", remedy) from None
    if "-----BEGIN " not in text:
        raise TlsError(
            "not-pem", f"the {what} {path} is not in PEM form", "convert it: openssl x509 -inform der, or openssl pkcs12"
        )
    return text


def _load_own(context: TlsContext, files: TlsFiles) -> None:
    """Certificate and key. Never asks at the terminal for a password."""
    own = next(map(read_certificate, _certificates(_read(files.certificate, "certificate"))), None)
    key = files.key or files.certificate
    text = _read(key, "private key")
    if "PRIVATE KEY-----" not in text:
        raise TlsError("no-key", f"there is no private key in {key}", "name the file that holds the private key")
    asked = False

    def password() -> str:
        nonlocal asked
        asked = True
        return files.password or ""

    try:
        context.load_cert_chain(files.certificate, key, password)
    except ssl.SSLError as error:
        raise _own_failure(error, files, key, asked) from None
    moment = datetime.now(UTC)
    if own is not None and moment > own.not_after:
        raise failure("own-expired", f" ({files.certificate}, since {own.not_after:%Y-%m-%d})")
    if own is not None and moment < own.not_before:
        raise failure("own-not-yet-valid", f" ({files.certificate}, until {own.not_before:%Y-%m-%d %H:%M} UTC)")


def _own_failure(error: ssl.SSLError, files: TlsFiles, key: str, asked: bool) -> TlsError:
    reason = error.reason or ""
    if "MISMATCH" in reason:
        return TlsError("key-mismatch", f"the key {key} does not belong to the certificate {files.certificate}",
                        "name the key that the certificate was made for")  # fmt: skip
    if asked and files.password:
        return TlsError("wrong-password", f"the password does not open the key {key}", "correct the password of the key")
    if asked:
        return TlsError(
            "password-missing", f"the key {key} is encrypted and no password is given", "give the password of the key"
        )
    if "KEY_TOO_SMALL" in reason or "MD_TOO_WEAK" in reason:
        return failure("own-weak", f" ({files.certificate})")
    return TlsError("bad-certificate", f"certificate {files.certificate} or key {key} is damaged", "make or copy them again")


def _certificates(text: str) -> list[bytes]:
    """The certificates (DER) in a PEM text; what stands between them is for people."""
    found, end = [], "-----END CERTIFICATE-----"
    for part in text.split("-----BEGIN CERTIFICATE-----")[1:]:
        body, stop, _ = part.partition(end)
        with suppress(ValueError):
            found.append(b64decode("".join(body.split()) if stop else "!", validate=True))
    return found


def _load_authorities(context: TlsContext, files: TlsFiles) -> bool:
    """Trust what the files name and nothing else; False when they name nothing."""
    paths = _paths(files.authorities, (".pem", ".crt", ".cer"))
    if any(files.authorities) and not paths:
        raise TlsError("file-missing", "the folder of authorities holds no certificate", "put .pem or .crt files there")
    for path in paths:
        try:
            context.load_verify_locations(cadata=b"".join(_certificates(_read(path, "authority"))))
        except (ssl.SSLError, ValueError):
            raise TlsError("bad-authority", f"the authority {path} holds no usable certificate", "copy it again") from None
    return bool(paths)


def _paths(named: str | Sequence[str], endings: tuple[str, ...]) -> list[str]:
    """Files as they are named, folders as the files in them."""
    paths: list[str] = []
    for name in filter(None, (named,) if isinstance(named, str) else named):
        if os.path.isdir(name):
            paths += sorted(entry.path for entry in os.scandir(name) if entry.name.endswith(endings))
        else:
            paths.append(name)
    return paths


def _load_revocations(context: TlsContext, files: TlsFiles) -> None:
    """Whose certificate was revoked: from now on somebody without a valid list of his issuer is refused as well."""
    paths = _paths(files.revocations, (".pem", ".crl"))
    if any(files.revocations) and not paths:
        raise TlsError("file-missing", "the folder of revocation lists holds none", "put .pem or .crl files there")
    for path in paths:
        if "-----BEGIN X509 CRL-----" not in _read(path, "revocation list"):
            raise TlsError(
                "bad-revocations", f"there is no revocation list in {path}", "convert it: openssl crl -inform der -outform pem"
            )
        try:
            context.load_verify_locations(cafile=path)
        except ssl.SSLError:
            raise TlsError("bad-revocations", f"the revocation list {path} is damaged", "copy it again") from None
    if paths:
        context.verify_flags |= ssl.VERIFY_CRL_CHECK_CHAIN if files.revoked_chain else ssl.VERIFY_CRL_CHECK_LEAF
