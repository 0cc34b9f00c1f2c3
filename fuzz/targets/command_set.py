"""Command sets (PS3.7 annex E), and the answers made from them."""

from __future__ import annotations

from dimse.acceptance import StoreAnswer, read_store, response_to
from dimse.commands import GROUP_LENGTH, decode_command, encode_command
from dimse.errors import RemoteProtocolError
from fuzz.targets.recorded import payloads


def seeds() -> list[bytes]:
    """Recorded command sets."""
    return payloads(command=True)


def one(data: bytes) -> None:
    """Read, write, read; answer it."""
    try:
        command = decode_command(data)
    except RemoteProtocolError:
        return
    assert command.name
    again = decode_command(encode_command(command))
    assert again.field == command.field
    command.values.pop(GROUP_LENGTH, None)
    again.values.pop(GROUP_LENGTH, None)
    assert again.values == command.values
    read_store(command)
    if not command.is_response:
        encode_command(response_to(command, StoreAnswer(0x0110, "no")))
