"""One attempt to deliver one notice: to a judged address, within a time limit, following nothing."""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import threading
import time

import gantry
from gantry.alerts.errors import NotSent
from gantry.alerts.guard import Target, addresses
from gantry.alerts.sign import signature
from gantry.config import Config

CONNECT_SECONDS = 5.0
#: For all of it: look-up, connection, request, answer.
TOTAL_SECONDS = 10.0
_MAX_ANSWER = 64 * 1024
_LATE = "it did not answer in time"


def post(target: Target, secret: str, notice: str, kind: str, body: bytes, settings: Config) -> int:
    """Send; gives the HTTP status, 200 to 299. Raises NotSent with the reason."""
    began = time.monotonic()
    connection = _connected(target, settings)
    # Timeouts of sockets begin anew with each byte: a receiver that drips needs an end from outside.
    limit = threading.Timer(max(0.1, TOTAL_SECONDS - (time.monotonic() - began)), _cut, [connection, late := threading.Event()])
    limit.daemon = True
    limit.start()
    timestamp = int(time.time())
    headers = {
        "Host": target.host if target.port in {80, 443} else f"{target.host}:{target.port}",
        "Content-Type": "application/json", "User-Agent": f"gantry/{gantry.__version__}", "Connection": "close",
        "webhook-id": notice, "webhook-timestamp": str(timestamp), "x-gantry-kind": kind,
        "webhook-signature": signature(secret, notice, timestamp, body),
    }  # fmt: skip
    wire = http.client.HTTPConnection(target.host, target.port)
    wire.sock = connection
    try:
        wire.request("POST", target.path, body, headers)
        answer = wire.getresponse()
        answer.read(_MAX_ANSWER)
        status = answer.status
    except (OSError, http.client.HTTPException) as error:
        in_time = not (late.is_set() or isinstance(error, TimeoutError))
        raise NotSent(f"the connection broke off: {type(error).__name__}" if in_time else _LATE) from error
    finally:
        limit.cancel()
        wire.close()
        connection.close()
    if late.is_set():  # what was cut off reads like the end of a short answer
        raise NotSent(_LATE)
    if 200 <= status < 300:
        return status
    if 300 <= status < 400:
        raise NotSent(f"it answered {status}, a redirection, which is not followed", status)
    raise NotSent(f"it answered {status}", status)


def _connected(target: Target, settings: Config) -> socket.socket:
    trouble: OSError | None = None
    for address in addresses(target, settings.webhook_private):
        try:
            plain = socket.create_connection((address, target.port), timeout=CONNECT_SECONDS)
        except OSError as error:
            trouble = error
            continue
        if not target.tls:
            return plain
        try:
            return ssl.create_default_context().wrap_socket(plain, server_hostname=target.host)
        except ssl.SSLError as error:
            plain.close()
            raise NotSent(f"TLS failed: {error.reason or 'the certificate does not hold'}") from error
        except OSError as error:
            plain.close()
            trouble = error
    words = _LATE if isinstance(trouble, TimeoutError) else f"no connection: {getattr(trouble, 'strerror', '')}"
    raise NotSent(words) from trouble


def _cut(connection: socket.socket, late: threading.Event) -> None:
    late.set()
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
