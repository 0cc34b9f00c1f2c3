"""What went wrong with a DICOMweb server, in plain words with a remedy."""

from __future__ import annotations

import http.client
import socket
import ssl

from dimse.explain import Explanation
from gantry.nodes.items import WebTarget
from gantry.nodes.stow_client import Reply, WrongCertificate

#: HTTP status -> cause, remedy. For the whole request, not for one instance.
_STATUSES = {
    400: ("the server calls the request wrong", "check that the address is the root of a DICOMweb server"),
    401: ("the server does not know us", "set the user and passcode, or the token, of the node"),
    403: ("the server does not allow us to store", "allow it for our user at the server"),
    404: ("the server has no DICOMweb at this address", "check the path: /studies lies below it"),
    405: ("the server does not take STOW-RS at this address", "check the path, and that the server allows to store"),
    406: ("the server does not answer in DICOM JSON", "check that it is a DICOMweb server"),
    408: ("the server gave up waiting for us", "check the network; we try again"),
    413: ("the instance is larger than the server takes", "raise the limit of the server or of the proxy before it"),
    415: ("the server does not take DICOM files", "check that it is a DICOMweb server"),
    429: ("we ask too much of the server", "we try again; allow fewer connections (max_associations) if it stays"),
    501: ("the server does not know STOW-RS", "check that the server allows to store"),
    502: ("the proxy before the server cannot reach it", "start the server; we try again"),
    503: ("the server is too busy or down for maintenance", "we try again"),
    504: ("the proxy before the server waited in vain for it", "we try again; raise the limit of the proxy if it stays"),
    507: ("the server has no room left", "free space at the server; we try again"),
}


def explain_reply(reply: Reply) -> Explanation:
    """A status that is no answer to the instances."""
    if 300 <= reply.status < 400:
        where = f" to {reply.location[:200]}" if reply.location else ""
        return Explanation(
            f"HTTP {reply.status}: the server sends us elsewhere{where}", "redirects are not followed: set that address"
        )
    cause, remedy = _STATUSES.get(reply.status, ("the server failed", "the log of the server may say why"))
    return Explanation(f"HTTP {reply.status}: {cause}", remedy)


def explain_trouble(error: Exception, target: WebTarget) -> Explanation:  # noqa: PLR0911  one for each kind
    """Why no answer could be had."""
    if isinstance(error, WrongCertificate):
        return Explanation(
            str(error.args[0]), "if the server was given a new one, set its fingerprint; otherwise do not trust it"
        )
    if isinstance(error, ssl.SSLCertVerificationError):
        return Explanation(
            f"the certificate of {target.url} is not good: {error.verify_message}",
            "renew it at the server, or name the authority it rests on (--authorities) or its fingerprint",
        )
    if isinstance(error, ssl.SSLError):
        return Explanation(
            f"no TLS with {target.url}: {error.reason or error}", "check https against http, and whether it wants our certificate"
        )
    if isinstance(error, socket.gaierror):
        return Explanation(f"the host of {target.url} is not known", "check the name and the DNS")
    if isinstance(error, ConnectionRefusedError):
        return Explanation(f"nothing listens at {target.url}", "start the server, or check host and port")
    if isinstance(error, TimeoutError):
        return Explanation(f"{target.url} did not answer in time", "check the network and the server; we try again")
    if isinstance(error, http.client.HTTPException | ConnectionError):
        return Explanation(f"{target.url} broke the connection off", "we try again; the log of the server may say why")
    if isinstance(error, OSError):
        return Explanation(f"{target.url} cannot be reached: {error.strerror or error}", "check host, port and network")
    return Explanation(f"{type(error).__name__} with {target.url}", "report it")
