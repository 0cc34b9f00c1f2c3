"""Why was it refused? Every rejection, abort, refused context, status, network and TLS failure, for people: the cause
and what to do about it.

>>> print(explain_status(0xA801, Service.MOVE))
A801 the peer does not know the move destination (add its AE title, host and port at the peer)
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Mapping
from dataclasses import dataclass

from dimse.errors import (
    AssociationAborted,
    AssociationFailure,
    AssociationRejected,
    AssociationReleased,
    ConnectFailed,
    ConnectionLost,
    ContextNotAccepted,
    LocalProtocolError,
    NotAnswered,
    Refused,
    RemoteProtocolError,
    TimedOut,
    TlsError,
)
from dimse.status import FAILURE_REASONS, Category, Service, row_of
from dimse.uids import name_of


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why it failed and what a person can do. `permanent`: trying again alone will not help."""

    cause: str
    remedy: str
    permanent: bool = False

    def __str__(self) -> str:
        return f"{self.cause} ({self.remedy})" if self.remedy else self.cause


@dataclass(frozen=True, slots=True)
class Parties:
    """Who was on the line, as far as it is known, so that the words can name them. `retried`: a program tries what is
    not permanent again by itself."""

    us: str = ""
    them: str = ""
    host: str = ""
    port: int = 0
    retried: bool = False

    def names(self) -> dict[str, str]:
        """What stands for each of them in a sentence."""
        host = self.host or "the peer"
        shown = f"[{host}]" if ":" in host else host
        return {
            "us": f" {self.us!r}" if self.us else "",
            "us_or_it": repr(self.us) if self.us else "it",
            "us_or_we": repr(self.us) if self.us else "we",
            "them": repr(self.them) if self.them else "as we called it",
            "again": "we try again" if self.retried else "try again in a while",
            "host": host,
            "place": f"{shown}:{self.port}" if self.port else host,
        }


NOBODY = Parties()
Words = tuple[str, str, bool]
_LOG = "the log of the peer may say why"
_NOT_DICOM = "the peer is not a usual DICOM system; check host and port"
_BUSY = "{again}; if it stays, allow fewer associations for the peer"
_ADMIN = "ask its administrator whether {us_or_we} may connect; many systems give no reason"

#: (source, reason) of A-ASSOCIATE-RJ (PS3.8 table 9-21) -> cause, remedy, permanent. A transient result (2) overrules
#: `permanent`.
REJECTIONS: Mapping[tuple[int, int], Words] = {
    (1, 1): ("the peer rejected the association and gives no reason", _ADMIN, True),
    (1, 2): ("the peer does not support our application context", _NOT_DICOM, True),
    (1, 3): ("the peer does not know our AE title{us}",
             "ask its administrator to add {us_or_it}, or set the calling AE title of the node", True),
    (1, 7): ("the peer is not called {them}", "correct the AE title of the node: it is not the one of the peer", True),
    (2, 1): ("the association layer of the peer rejected the association and gives no reason", _ADMIN, True),
    (2, 2): ("the peer does not support our protocol version", _NOT_DICOM, True),
    (3, 1): ("the peer is congested", _BUSY, False),
    (3, 2): ("the peer has no association left", _BUSY, False),
}  # fmt: skip

#: (source, reason) of A-ABORT (PS3.8 table 9-26); the reason counts for source 2 only.
ABORTS: Mapping[tuple[int, int], Words] = {
    (0, 0): ("the application of the peer aborted the association",
             f"{_LOG}: often it met data that it cannot take, or it was stopped", False),
    (1, 0): ("the peer aborted the association with a reserved source", _LOG, False),
    (2, 0): ("the protocol layer of the peer aborted the association and gives no reason",
             f"{_LOG}; a time-out at the peer is the usual cause", False),
    (2, 1): ("the peer did not recognise what was sent to it (unrecognised PDU)",
             "check that both sides use TLS or neither, and that the port is a DICOM port", True),
    (2, 2): ("the peer got something that it did not expect at this point (unexpected PDU)",
             "keep both logs: one of the two programs breaks the protocol", False),
    (2, 4): ("the peer did not recognise a parameter (unrecognised PDU parameter)",
             "keep both logs: one of the two programs breaks the protocol", True),
    (2, 5): ("the peer did not expect a parameter (unexpected PDU parameter)",
             "keep both logs: one of the two programs breaks the protocol", True),
    (2, 6): ("the peer found an invalid value (invalid PDU parameter value)",
             "keep both logs: one of the two programs breaks the protocol", True),
}  # fmt: skip

#: Result of a presentation context that was not accepted (PS3.8 table 9-18).
CONTEXTS: Mapping[int, Words] = {
    1: ("the peer refused {what}", "allow the service for our AE title{us} at the peer", True),
    2: ("the peer did not accept {what} and gives no reason", _LOG, True),
    3: ("the peer does not support {what}", "turn the service on at the peer, or use one that it has", True),
    4: ("the peer supports {what}, but none of the transfer syntaxes that were offered",
        "offer another transfer syntax (Implicit VR Little Endian is known to all), or transcode", True),
}  # fmt: skip

#: errno of a connection that could not be made or broke.
NETWORK: Mapping[int, Words] = {
    errno.ECONNREFUSED: ("nothing listens at {place}", "start the DICOM service there, or correct host and port", False),
    errno.EHOSTUNREACH: ("{host} cannot be reached", "check network, routing and firewall", False),
    errno.ENETUNREACH: ("there is no route to {host}", "check network and routing of this machine", False),
    errno.ETIMEDOUT: ("{place} does not answer", "check that the machine is on and that no firewall drops the connection", False),
    errno.ECONNRESET: ("{place} closed the connection at once", "a firewall or a service that is not DICOM may be there", False),
    errno.EPIPE: ("{place} closed the connection while we were sending", _LOG, False),
    errno.EACCES: ("this machine does not allow a connection to {place}", "check the local firewall", False),
    errno.EPERM: ("this machine does not allow a connection to {place}", "check the local firewall", False),
    errno.EADDRNOTAVAIL: ("this machine has no address or port left for a connection to {place}",
                          "check its network, or allow fewer connections", False),
    errno.EAFNOSUPPORT: ("this machine does not speak the kind of address of {host}",
                         "turn IPv6 on, or use an IPv4 address", True),
    errno.EMFILE: ("this process has too many open files", "raise its limit (ulimit -n), or allow fewer associations", False),
    errno.ENFILE: ("this machine has too many open files", "raise its limit (fs.file-max)", False),
}  # fmt: skip

_FAILURES: tuple[tuple[type[BaseException], Words], ...] = (
    (ContextNotAccepted, ("the peer takes none of what we offered", "allow the service for our AE title{us} at the peer", True)),
    (AssociationReleased, ("the peer ended the association before we were done", _LOG, False)),
    (RemoteProtocolError, ("the peer does not speak DICOM as it should: {error}",
                           "check host and port; is it a DICOM service?", False)),
    (TimedOut, ("{place} did not answer in time",
                "check load and network of the peer, or allow more seconds for the node", False)),
    (LocalProtocolError, ("this cannot be asked: {error}", "correct the request", True)),
    (Refused, ("{error}", "see the log of this machine", False)),
    (AssociationFailure, ("the association failed: {error}", _LOG, False)),
)  # fmt: skip

_NOT_ANSWERED: Words = (
    "{place} closed the connection before it answered the association request",
    "try again: all its places may be taken; if it stays so, its log says why it does not want us{us}",
    False,
)

_REPORT = "keep both logs and report it: one of the two programs sends what it should not"
_DATA = "compare the instance with what the peer's conformance statement asks for"
_ROOM = "free space at the peer, or ask for less at once; then {again}"
_QUERY_MODEL = "ask with the keys of the level, and with the unique keys of the levels above"
#: (service, lowest code of the row in `dimse.status.TABLE`) -> cause, remedy, permanent. Service.ANY: for all others.
STATUSES: Mapping[tuple[Service, int], Words] = {
    (Service.ANY, 0x0000): ("success", "nothing", False),
    (Service.ANY, 0x0001): ("done, but optional attributes were ignored", "nothing, unless one of them mattered", False),
    (Service.ANY, 0x0100): ("the peer failed with a code that has no meaning of its own", _LOG, False),
    (Service.ANY, 0x0105): ("the peer does not know an attribute that was sent", _DATA, True),
    (Service.ANY, 0x0106): ("the peer takes an attribute's value for invalid", _DATA, True),
    (Service.ANY, 0x0107): ("some attributes were not returned or not set", "see which in the answer; the rest was done", False),
    (Service.ANY, 0x0110): ("the peer failed while it worked on the request", _LOG, False),
    (Service.ANY, 0x0111): ("the peer has an instance with this UID already", "use a new UID, or leave it as it is", True),
    (Service.ANY, 0x0112): ("the peer does not have the instance", "check the UID; it may have been deleted or never sent", True),
    (Service.ANY, 0x0113): ("the peer does not know the type of event", _REPORT, True),
    (Service.ANY, 0x0114): ("the peer does not know an argument of the request", _REPORT, True),
    (Service.ANY, 0x0115): ("the peer takes an argument of the request for invalid", _DATA, True),
    (Service.ANY, 0x0116): ("a value was out of range and was changed by the peer", "check what the peer made of it", False),
    (Service.ANY, 0x0117): ("the peer takes the instance UID for invalid", "check the UID: digits and dots, at most 64", True),
    (Service.ANY, 0x0118): ("the peer does not take this SOP class: it does not know it", "allow it at the peer", True),
    (Service.ANY, 0x0119): ("the instance is of another SOP class than the request says", _DATA, True),
    (Service.ANY, 0x0120): ("a required attribute is missing", _DATA, True),
    (Service.ANY, 0x0121): ("a required attribute has no value", _DATA, True),
    (Service.ANY, 0x0122): ("the peer does not take this SOP class", "allow it at the peer", True),
    (Service.ANY, 0x0123): ("the peer does not know the type of action", _REPORT, True),
    (Service.ANY, 0x0124): ("the peer does not allow us this operation", "allow it for our AE title at the peer", True),
    (Service.STORE, 0x0124): ("the peer does not allow us to store", "allow our AE title at the peer", True),
    (Service.FIND, 0x0124): ("the peer does not allow us to query", "allow our AE title to query at the peer", True),
    (Service.GET, 0x0124): ("the peer does not allow us to fetch", "allow our AE title to retrieve at the peer", True),
    (Service.MOVE, 0x0124): ("the peer does not allow us to move, or not to this destination",
                             "allow our AE title to retrieve at the peer, and the destination", True),
    (Service.ANY, 0x0131): ("the peer has worked on a transaction of this UID before",
                            "ask again with a new transaction UID", True),
    (Service.ANY, 0x0210): ("the peer says that the message id is in use", _REPORT, False),
    (Service.ANY, 0x0211): ("the peer does not take this SOP class or operation: it does not know it",
                            "allow it at the peer", True),
    (Service.ANY, 0x0212): ("the peer finds an argument of a wrong type", _REPORT, True),
    (Service.ANY, 0x0213): ("the peer is out of resources", _ROOM, False),
    (Service.ANY, 0xA000): ("the peer failed with a code of its own", _LOG, False),
    (Service.ANY, 0xA700): ("the peer is out of resources", _ROOM, False),
    (Service.STORE, 0xA700): ("the peer is out of resources", "free space at the peer; then {again}", False),
    (Service.FIND, 0xA700): ("the peer is out of resources, or there are too many matches",
                             "narrow the query, or try later", False),
    (Service.ANY, 0xA701): ("the peer is out of resources and cannot count the matches",
                            "ask for less at once, or try later", False),
    (Service.ANY, 0xA702): ("the peer is out of resources and cannot send the instances",
                            "check that the destination is up and takes associations from the peer, then try again", False),
    (Service.ANY, 0xA801): ("the peer does not know the move destination", "add its AE title, host and port at the peer", True),
    (Service.ANY, 0xA900): ("the data do not match the SOP class", _DATA, True),
    (Service.STORE, 0xA900): ("the data set does not match its SOP class",
                              "the peer does not want this instance as it is; its log may say why", True),
    (Service.FIND, 0xA900): ("the keys do not match the query model", _QUERY_MODEL, True),
    (Service.GET, 0xA900): ("the keys do not match the query model", _QUERY_MODEL, True),
    (Service.MOVE, 0xA900): ("the keys do not match the query model", _QUERY_MODEL, True),
    (Service.ANY, 0xAA00): ("none of the frames are in the instance", "check the frame numbers", True),
    (Service.ANY, 0xAA01): ("the peer cannot make a new object of this SOP class from frames", "fetch the whole instance", True),
    (Service.ANY, 0xAA02): ("the peer cannot extract the frames", "fetch the whole instance", True),
    (Service.ANY, 0xAA03): ("times were asked for, but the instance has none", "ask by frame number", True),
    (Service.ANY, 0xAA04): ("the peer takes the request for frames for invalid", "check level and frame keys", True),
    (Service.ANY, 0xB000): ("done with a warning", "see the comment and the log of the peer", False),
    (Service.STORE, 0xB000): ("stored with a warning: the peer changed data elements",
                              "see the log of the peer for which", False),
    (Service.STORE, 0xB006): ("stored with a warning: the peer dropped data elements",
                              "see the log of the peer for which", False),
    (Service.STORE, 0xB007): ("stored with a warning: the data set does not match its SOP class",
                              "see the log of the peer for what is wrong", False),
    (Service.GET, 0xB000): ("not all instances came, or some with a warning",
                            "fetch again those that are named as failed", False),
    (Service.MOVE, 0xB000): ("not all instances reached the destination, or some with a warning",
                             "check the log of the destination; move again those that are named as failed", False),
    (Service.ANY, 0xB006): ("done, but data elements were dropped", "see the log of the peer for which", False),
    (Service.ANY, 0xB007): ("done, but the data set does not match its SOP class",
                            "see the log of the peer for what is wrong", False),
    (Service.ANY, 0xB600): ("done with a warning of the service", "see the comment and the log of the peer", False),
    (Service.ANY, 0xC000): ("the peer cannot process the request", f"{_LOG}; the same request will fail again", True),
    (Service.STORE, 0xC000): ("the peer cannot understand the instance",
                              "the peer does not want this instance as it is; its log may say why", True),
    (Service.FIND, 0xC000): ("the peer cannot process the query", f"{_LOG}; try fewer keys, or another level", True),
    (Service.GET, 0xC000): ("the peer cannot process the retrieve request", f"{_LOG}; try C-MOVE, or fewer UIDs at once", True),
    (Service.MOVE, 0xC000): ("the peer cannot process the move request",
                             f"{_LOG}; often it cannot reach the destination", True),
    (Service.ANY, 0xFE00): ("the operation was cancelled", "nothing, if that was wanted; else ask again", False),
    (Service.ANY, 0xFF00): ("the operation is under way", "wait for the final answer", False),
    (Service.ANY, 0xFF01): ("the operation is under way; the peer ignores some of the optional keys",
                            "filter the answers by those keys here", False),
}  # fmt: skip
_UNKNOWN: Words = ("the peer answered with a code that the standard does not have", _LOG, False)

#: Failure Reason (0008,1197) of storage commitment (PS3.3 C.14.1.1).
COMMITMENT: Mapping[int, Words] = {
    0x0110: ("the peer failed while it checked the instance", f"{_LOG}; ask again later", False),
    0x0112: ("the peer does not have the instance", "send it, then ask again", False),
    0x0119: ("the peer has the instance under another SOP class", _DATA, True),
    0x0122: ("the peer does not commit instances of this SOP class", "allow the SOP class at the peer", True),
    0x0131: ("the peer has answered a transaction of this UID before", "ask again with a new transaction UID", False),
    0x0213: ("the peer is out of resources", "free space at the peer, then ask again", False),
}


def explain(error: BaseException, parties: Parties = NOBODY) -> Explanation:
    """Cause and remedy of whatever an association, a connection or a TLS handshake met."""
    if isinstance(error, TlsError):
        return Explanation(error.cause, error.remedy, error.permanent)
    if isinstance(error, AssociationRejected):
        return explain_rejection(error.result, error.source, error.reason, parties)
    if isinstance(error, AssociationAborted):
        return explain_abort(error.source, error.reason, parties)
    if isinstance(error, ConnectFailed | ConnectionLost | OSError):
        return _network(error, parties)
    for kind, words in _FAILURES:
        if isinstance(error, kind):
            return _say(words, parties, error=str(error))
    return Explanation(f"{type(error).__name__}: {error}", "see the log of this machine")


def explain_rejection(result: int, source: int, reason: int, parties: Parties = NOBODY) -> Explanation:
    """An A-ASSOCIATE-RJ: `result` 1 is permanent, 2 transient (PS3.8 table 9-21)."""
    words = REJECTIONS.get((source, reason))
    if words is None or (reason == 1 and source in {1, 2}):
        shown = AssociationRejected(result, source, reason)
        words = (f"the peer rejected the association ({shown})", _ADMIN, True)
    return _say((words[0], words[1], words[2] and result != 2), parties)


def explain_abort(source: int, reason: int, parties: Parties = NOBODY) -> Explanation:
    """An A-ABORT of the peer (PS3.8 table 9-26)."""
    words = ABORTS.get((source, reason if source == 2 else 0))
    if words is None:
        words = (f"the association was {AssociationAborted(source, reason)}", _LOG, False)
    return _say(words, parties)


def explain_context(result: int, abstract_syntax: str, parties: Parties = NOBODY) -> Explanation:
    """A presentation context that was not accepted: `result` 1 to 4 (PS3.8 table 9-18)."""
    words = CONTEXTS.get(result, ("the peer answered {what} with a result that does not exist", _REPORT, True))
    return _say(words, parties, what=name_of(abstract_syntax))


def explain_status(code: int, service: Service = Service.ANY, comment: str = "", parties: Parties = NOBODY) -> Explanation:
    """The status of a response. The cause begins with the code and ends with the peer's Error Comment, if any."""
    row = row_of(code & 0xFFFF, service)
    words = STATUSES.get((service, row.low)) or STATUSES.get((Service.ANY, row.low))
    if words is None or (row.category is Category.FAILURE and row.low == 0 and code):
        words = _UNKNOWN
    said = "".join(letter if letter.isprintable() else " " for letter in comment).strip()
    text = f"{code:04X} {words[0]}" + (f": {said}" if said else "")
    return Explanation(text, _say(words, parties).remedy, words[2])


def explain_commitment(reason: int) -> Explanation:
    """Why an instance was not committed: Failure Reason (0008,1197)."""
    words = COMMITMENT.get(reason, ("the peer does not commit the instance, with a reason of its own", _LOG, False))
    meaning = FAILURE_REASONS.get(reason, "")
    return Explanation(f"{reason:04X} {words[0]}" + (f" ({meaning})" if meaning else ""), words[1], words[2])


def _say(words: Words, parties: Parties, **more: str) -> Explanation:
    names = parties.names() | more
    return Explanation(words[0].format(**names), words[1].format(**names), words[2])


def _network(error: BaseException, parties: Parties) -> Explanation:
    root = _root(error)
    if isinstance(error, NotAnswered):
        return _say(_NOT_ANSWERED, parties)
    if isinstance(root, socket.gaierror):
        text = f"the host name {parties.host!r} is not known" if parties.host else "the host name is not known"
        return Explanation(text, "correct the host of the node, or check the name server")
    if isinstance(root, TimeoutError) and root.errno is None:
        root = OSError(errno.ETIMEDOUT, "")
    if isinstance(error, ConnectFailed) or not isinstance(error, ConnectionLost):
        known = NETWORK.get(root.errno or 0) if isinstance(root, OSError) else None
        if known is not None:
            return _say(known, parties)
        return _say(("no connection to {place}: {error}", "check host, port and network", False), parties, error=str(error))
    return Explanation("the connection broke", f"{_LOG}; a restart of it or the network are usual causes")


def _root(error: BaseException) -> BaseException:
    """What was first: the last of the causes."""
    seen = 0
    while (cause := error.__cause__ or error.__context__) is not None and seen < 10:
        error, seen = cause, seen + 1
    return error
