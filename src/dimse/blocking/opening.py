"""Opens associations over a blocking socket, with TLS or without."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Sequence

from dimse.blocking.client import ClientAssociation
from dimse.blocking.sockets import Socket, bare_host, secure_client, set_no_delay, set_timeouts
from dimse.errors import ConnectFailed
from dimse.items import CommonExtendedNegotiation, ExtendedNegotiation, UserIdentity
from dimse.negotiation import ContextProposal
from dimse.pdu import AssociateRequest
from dimse.requesting import build_request


def connect(  # noqa: PLR0913  # the one place where an association is described
    host: str,
    port: int,
    *,
    called_aet: str,
    calling_aet: str,
    contexts: Sequence[ContextProposal],
    max_pdu: int = 131072,
    connect_timeout: float = 10.0,
    response_timeout: float = 60.0,
    user_identity: UserIdentity | None = None,
    extended: Sequence[ExtendedNegotiation | CommonExtendedNegotiation] = (),
    tls: ssl.SSLContext | None = None,
) -> ClientAssociation:
    """Open an association. Times in seconds; `response_timeout` is for each answer and each blocked write.

    With `tls` (`dimse.tls.client_context`) over TLS only: `connect_timeout` holds for the handshake as well.

    Raises `ConnectFailed`, `TlsError`, `AssociationRejected`, `AssociationAborted`, `TimedOut`, `ConnectionLost`,
    `RemoteProtocolError`; `LocalProtocolError` for more than 128 contexts or AE titles of more than 16
    characters.
    """
    request = build_request(called_aet, calling_aet, contexts, max_pdu, user_identity, extended)
    try:
        sock: Socket = socket.create_connection((bare_host(host), port), connect_timeout)
    except OSError as error:
        raise ConnectFailed(f"no connection to {host}:{port}: {error.strerror or error}") from None
    if tls is not None:
        assert isinstance(sock, socket.socket)  # as it was made
        sock = secure_client(sock, tls, host, connect_timeout)
    return connect_over(sock, request, response_timeout=response_timeout)


def connect_over(sock: Socket, request: AssociateRequest, *, response_timeout: float = 60.0) -> ClientAssociation:
    """The same over a connection that is open already, with a request of one's own (user identity, roles).

    Takes the socket over. Raises as `connect`.
    """
    association = ClientAssociation(sock, request, response_timeout)
    try:
        set_no_delay(sock)
        set_timeouts(sock, response_timeout, response_timeout)
        association.negotiate()
    except BaseException:
        association.close()
        raise
    return association
