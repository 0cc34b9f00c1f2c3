"""Secrets of second factors in the database: sealed with a key that lies outside it (AES-256-GCM).

The key is made from that of Django in HOME/secrets, so that a copy of the database alone is no use.
"""

from __future__ import annotations

import base64
import os

from allauth.mfa.adapter import DefaultMFAAdapter
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

_VERSION = "v1:"
_NONCE_BYTES = 12


def _box() -> AESGCM:
    kdf = HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=b"gantry second factor v1")
    return AESGCM(kdf.derive(settings.SECRET_KEY.encode("utf-8")))


def seal(text: str) -> str:
    """The text, encrypted and authenticated."""
    nonce = os.urandom(_NONCE_BYTES)
    return _VERSION + base64.b64encode(nonce + _box().encrypt(nonce, text.encode("utf-8"), None)).decode("ascii")


def unseal(sealed: str) -> str:
    """The text again; empty when another key sealed it: then no code fits."""
    try:
        raw = base64.b64decode(sealed.removeprefix(_VERSION), validate=True)
        return _box().decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], None).decode("utf-8")
    except (InvalidTag, ValueError):
        return ""


class Adapter(DefaultMFAAdapter):  # type: ignore[misc]  # allauth has no types
    """What allauth asks of us (MFA_ADAPTER)."""

    def encrypt(self, text: str) -> str:
        """Before it goes into the database."""
        return seal(text)

    def decrypt(self, encrypted_text: str) -> str:
        """When a code is checked."""
        return unseal(encrypted_text)

    def get_totp_issuer(self) -> str:
        """What the authenticator app shows."""
        return "Gantry"
