"""The header scan of a data set: never raises, in any transfer syntax, whole or only its beginning."""

from __future__ import annotations

from fuzz.targets.recorded import payloads
from gantry.dataset import scan, scan_identity

SYNTAXES = (
    "1.2.840.10008.1.2",
    "1.2.840.10008.1.2.1",
    "1.2.840.10008.1.2.2",
    "1.2.840.10008.1.2.1.99",
    "1.2.840.10008.1.2.4.50",
    "",
)


def seeds() -> list[bytes]:
    """Recorded data sets in the two syntaxes they come in, and a deflated one."""
    import zlib

    found = [bytes((number,)) + data for data in payloads(command=False) for number in (0, 1, 0x80, 0x81)]
    squeezer = zlib.compressobj(wbits=-15)
    deflated = squeezer.compress(max(payloads(command=False), key=len)) + squeezer.flush()
    return [*found, bytes((3,)) + deflated, bytes((0x83,)) + deflated]


def one(data: bytes) -> None:
    """The first byte: transfer syntax, and in bit 7 whether the bytes are the whole data set."""
    if not data:
        return
    syntax, whole, body = SYNTAXES[(data[0] & 0x7F) % len(SYNTAXES)], bool(data[0] & 0x80), memoryview(data)[1:]
    header = scan(body, syntax, whole=whole)
    assert len(header.warnings) <= 100
    assert sum(len(str(value)) for value in header.values.values()) <= 64 * len(data) + 100_000
    identity = scan_identity(body, syntax, whole=whole)
    assert identity.sop_instance_uid is None or isinstance(identity.sop_instance_uid, str)
