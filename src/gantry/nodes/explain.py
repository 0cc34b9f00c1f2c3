"""What went wrong with a node, in plain words: the cause and what to do about it."""

from __future__ import annotations

import errno
import socket
from dataclasses import dataclass

from dimse.errors import (
    AssociationAborted,
    AssociationRejected,
    AssociationReleased,
    ConnectFailed,
    ConnectionLost,
    ContextNotAccepted,
    RemoteProtocolError,
    TimedOut,
)
from dimse.status import Category, category_of, describe
from gantry.nodes.items import SendTarget


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why it failed and what a person can do. `permanent`: trying again alone will not help."""

    cause: str
    remedy: str
    permanent: bool = False

    def __str__(self) -> str:
        return f"{self.cause} ({self.remedy})" if self.remedy else self.cause


_REJECTIONS = {
    (1, 3): ("does not know our AE title {us!r}",
             "ask its administrator to add {us!r}, or set the calling AE title of the node", True),
    (1, 7): ("is not called {them!r}", "correct the AE title of the node: it is not the one of the peer", True),
    (1, 2): ("does not support our application context", "the peer is not a usual DICOM system; check host and port", True),
    (2, 2): ("does not support our protocol version", "the peer is not a usual DICOM system; check host and port", True),
    (3, 1): ("is congested", "nothing: we try again; if it stays, allow fewer associations for the node", False),
    (3, 2): ("has no association left", "nothing: we try again; if it stays, allow fewer associations for the node", False),
}  # fmt: skip
_NETWORK = {
    errno.ECONNREFUSED: ("nothing listens at {place}", "start the DICOM service there, or correct host and port"),
    errno.EHOSTUNREACH: ("{host} cannot be reached", "check network, routing and firewall"),
    errno.ENETUNREACH: ("there is no route to {host}", "check network and routing of this machine"),
    errno.ETIMEDOUT: ("{place} does not answer", "check that the machine is on and that no firewall drops the connection"),
    errno.ECONNRESET: ("{place} closed the connection at once", "a firewall or a service that is not DICOM may be there"),
    errno.EACCES: ("this machine does not allow a connection to {place}", "check the local firewall"),
    errno.EMFILE: ("this process has too many open files", "raise its limit (ulimit -n), or allow fewer associations"),
}  # fmt: skip


_LOG = "the log of the peer may say why"
_ASSOCIATION: tuple[tuple[type[Exception], str, str, bool], ...] = (
    (ContextNotAccepted, "the peer takes none of what we offered", "allow the service for our AE title at the peer", True),
    (AssociationAborted, "the association was {error}", _LOG, False),
    (AssociationReleased, "the peer ended the association before we were done", _LOG, False),
    (RemoteProtocolError, "the peer does not speak DICOM as it should: {error}",
     "check host and port; is it a DICOM service?", False),
    (TimedOut, "{host}:{port} did not answer in time",
     "check load and network of the peer, or allow more seconds for the node", False),
)  # fmt: skip


def explain(error: BaseException, target: SendTarget) -> Explanation:
    """Cause and remedy of what `echo` or `send` met."""
    if isinstance(error, AssociationRejected):
        return _rejection(error, target)
    if isinstance(error, ConnectFailed | ConnectionLost | OSError):
        return _network(error, target)
    for kind, cause, remedy, permanent in _ASSOCIATION:
        if isinstance(error, kind):
            names = {"error": error, "host": target.address.host, "port": target.address.port}
            return Explanation(cause.format(**names), remedy, permanent)
    return Explanation(f"{type(error).__name__}: {error}", "")


def _rejection(error: AssociationRejected, target: SendTarget) -> Explanation:
    known = _REJECTIONS.get((error.source, error.reason))
    if known is None:
        return Explanation(
            f"the peer rejected the association ({error})",
            f"ask its administrator whether {target.calling_aet!r} may connect; many systems give no reason",
            not error.transient,
        )
    cause, remedy, permanent = known
    names = {"us": target.calling_aet, "them": target.address.aet}
    return Explanation("the peer " + cause.format(**names), remedy.format(**names), permanent)


def _network(error: BaseException, target: SendTarget) -> Explanation:
    place = {"host": target.address.host, "place": f"{target.address.host}:{target.address.port}"}
    root = _root(error)
    if isinstance(root, socket.gaierror):
        return Explanation(
            f"the host name {place['host']!r} is not known",
            "correct the host of the node, or check the name server",
        )
    if isinstance(root, TimeoutError) and root.errno is None:
        root = OSError(errno.ETIMEDOUT, "")
    if isinstance(error, ConnectFailed) or not isinstance(error, ConnectionLost):
        known = _NETWORK.get(root.errno or 0) if isinstance(root, OSError) else None
        if known is not None:
            return Explanation(known[0].format(**place), known[1])
        return Explanation(f"no connection to {place['place']}: {error}", "check host, port and network")
    return Explanation(
        "the connection broke",
        "the log of the peer may say why; a restart of it or the network are usual causes",
    )


def _root(error: BaseException) -> BaseException:
    seen = 0
    while (cause := error.__cause__ or error.__context__) is not None and seen < 10:
        error, seen = cause, seen + 1
    return error


def explain_status(code: int, comment: str) -> Explanation:
    """A C-STORE status that is no Success (PS3.4 table B.2-1), with the Error Comment of the peer."""
    meaning = f"{code:04X} {describe(code).meaning}" + (f": {comment.strip()}" if comment.strip() else "")
    if category_of(code) is Category.WARNING:
        return Explanation(f"stored with a warning: {meaning}", "")
    if 0xA700 <= code <= 0xA7FF or code == 0x0213:
        return Explanation(f"the peer is out of resources: {meaning}", "free space at the peer; we try again")
    if code in {0x0122, 0x0118, 0x0211}:
        return Explanation(f"the peer does not take this SOP class: {meaning}", "allow it at the peer", True)
    if code == 0x0124:
        return Explanation(f"the peer does not allow us to store: {meaning}", "allow our AE title at the peer", True)
    permanent = 0xA900 <= code <= 0xA9FF or 0xC000 <= code <= 0xCFFF or code in {0x0117, 0x0119}
    remedy = (
        "the peer does not want this instance as it is; its log may say why" if permanent else "the log of the peer may say why"
    )
    return Explanation(f"the peer refused: {meaning}", remedy, permanent)
