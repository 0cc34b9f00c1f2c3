"""How long certificates last: the one a node shows, and ours towards it."""

from __future__ import annotations

import asyncio
import ssl
from datetime import datetime

from dimse.certificates import read_certificate
from dimse.negotiation import ContextProposal
from dimse.uids import VERIFICATION
from gantry.nodes.associate import associate_async, let_go
from gantry.nodes.items import SendTarget

_BEGIN, _END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
#: A chain of certificates is far shorter.
_MOST_BYTES = 1 << 20


def shown(target: SendTarget) -> dict[str, str]:
    """What a DICOM peer shows over TLS, as `NodeProfile.certificate`; empty without TLS. Raises as `associate`."""
    if not target.security.tls:
        return {}

    async def ask() -> bytes | None:
        association = await associate_async(target, [ContextProposal(VERIFICATION)])
        try:
            return association.certificate
        finally:
            await let_go(association)

    found = read_certificate(asyncio.run(ask()) or b"")
    if found is None:
        return {}
    return {
        "subject": found.subject, "issuer": found.issuer, "fingerprint": found.fingerprint,
        "not_before": found.not_before.isoformat(), "not_after": found.not_after.isoformat(),
    }  # fmt: skip


def ends(path: str) -> datetime | None:
    """When the first certificate of a PEM file ends, UTC; None when it cannot be read."""
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            pem = file.read(_MOST_BYTES)
        begin = pem.index(_BEGIN)
        found = read_certificate(ssl.PEM_cert_to_DER_cert(pem[begin : pem.index(_END, begin) + len(_END)]))
    except (OSError, ValueError):
        return None
    return found.not_after if found else None
