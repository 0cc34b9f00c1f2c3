"""The signature of webhooks, after the Standard Webhooks specification, for which libraries exist in most languages.

HMAC-SHA256 over `ID.TIMESTAMP.BODY` with the bytes of the secret; a receiver compares it and refuses old timestamps.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets

PREFIX = "whsec_"


def make_secret() -> str:
    """A new secret of 256 bits."""
    return PREFIX + base64.b64encode(secrets.token_bytes(32)).decode("ascii")


def key_of(secret: str) -> bytes:
    """The bytes of a secret: `whsec_` and base64, or any other text as it is."""
    if secret.startswith(PREFIX):
        try:
            return base64.b64decode(secret.removeprefix(PREFIX), validate=True)
        except binascii.Error:
            pass
    return secret.encode("utf-8")


def signature(secret: str, notice: str, timestamp: int, body: bytes) -> str:
    """The value of the header `webhook-signature`."""
    content = f"{notice}.{timestamp}.".encode("ascii") + body
    return "v1," + base64.b64encode(hmac.digest(key_of(secret), content, hashlib.sha256)).decode("ascii")
