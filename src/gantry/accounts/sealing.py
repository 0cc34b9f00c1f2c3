"""What django-allauth asks of us about secrets of second factors (`second_factor_secrets`)."""

from __future__ import annotations

from allauth.mfa.adapter import DefaultMFAAdapter

from gantry.accounts.second_factor_secrets import seal, unseal


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
