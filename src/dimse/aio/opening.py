"""Makes connections: the first address that answers, TLS on it where it is asked for, never plain instead."""

from __future__ import annotations

import asyncio
import socket
import ssl

from dimse.aio.wire import Wire
from dimse.errors import ConnectFailed, TlsError
from dimse.tls import check_certificate, explain_tls, failure, handshake_socket, server_name

#: How long TLS may take to say goodbye, seconds.
_TLS_GOODBYE = 1.0


async def open_socket(host: str, port: int) -> socket.socket:
    """Connect to the first address of `host` (name, IPv4, IPv6) that answers. `OSError`."""
    loop = asyncio.get_running_loop()
    last: OSError | None = None
    for family, kind, protocol, _, address in await loop.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM):
        sock = socket.socket(family, kind, protocol)
        sock.setblocking(False)
        try:
            await loop.sock_connect(sock, address)
        except OSError as error:
            last = error
            sock.close()
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    raise last or OSError(f"{host} has no address")


async def open_wire(host: str, port: int, tls: ssl.SSLContext | None, seconds: float, buffer_size: int) -> Wire:
    """A connection to a peer, secured with `tls`, in at most `seconds`. `ConnectFailed`, `TlsError`."""
    try:
        async with asyncio.timeout(seconds):
            sock = await open_socket(host, port)
            return await wire_over(sock, tls, host, seconds, buffer_size)
    except TimeoutError:
        raise ConnectFailed(f"no connection to {host}:{port} in {seconds:g} s") from None
    except OSError as error:
        raise ConnectFailed(f"no connection to {host}:{port}: {error.strerror or error}") from None


async def wire_over(sock: socket.socket, tls: ssl.SSLContext | None, host: str, seconds: float, buffer_size: int) -> Wire:
    """A requestor's wire over a socket that is connected. Takes the socket over. `TlsError`, `OSError`."""
    loop = asyncio.get_running_loop()
    token = handshake_socket.set(sock)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        wire = Wire(sock, buffer_size, quick_ack=True, tls=tls is not None)
        if tls is None:
            await loop.connect_accepted_socket(lambda: wire, sock)
            return wire
        await loop.create_connection(
            lambda: wire,
            sock=sock,
            ssl=tls,
            server_hostname=server_name(tls, host) or "",
            ssl_handshake_timeout=seconds,
            ssl_shutdown_timeout=_TLS_GOODBYE,
        )
    except BaseException as error:
        sock.close()
        raise _named(error, tls) from None
    finally:
        handshake_socket.reset(token)
    try:
        check_certificate(tls, wire.certificate)
    except TlsError:
        wire.abort()
        raise
    return wire


async def accept_wire(wire: Wire, sock: socket.socket, tls: ssl.SSLContext | None, seconds: float) -> None:
    """A server's side: TLS in at most `seconds`, or plain. `TlsError`, `OSError`."""
    loop = asyncio.get_running_loop()
    token = handshake_socket.set(sock)
    try:
        if tls is None:
            await loop.connect_accepted_socket(lambda: wire, sock)
            return
        await loop.connect_accepted_socket(
            lambda: wire, sock, ssl=tls, ssl_handshake_timeout=seconds, ssl_shutdown_timeout=_TLS_GOODBYE
        )
        check_certificate(tls, wire.certificate)
    except BaseException as error:
        wire.abort()
        sock.close()
        raise _named(error, tls) from None
    finally:
        handshake_socket.reset(token)


def _named(error: BaseException, tls: ssl.SSLContext | None) -> BaseException:
    """What a handshake ended with, as the error that names it; others stay as they are."""
    if tls is None or not isinstance(error, OSError):
        return error
    if isinstance(error, TimeoutError) or "longer than" in str(error):  # asyncio says ConnectionAbortedError
        return failure("slow")
    return explain_tls(error)
