"""Secrets in the file: where they are, or that they stay. Never a secret itself, unless the run may seal it."""

from __future__ import annotations

import re
from pathlib import Path

from gantry import sealing
from gantry.main.one_file.plan import Run, WrongField
from gantry.main.one_file.schema import Kept

_REFERENCE = re.compile(r"env:GANTRY_SECRET_[A-Za-z0-9_]+|file:/[^\x00-\x1f]+")
KEPT = Kept(sealed="kept")


def shown(stored: str) -> Kept | str | None:
    """A stored form as the file says it: the reference, `sealed: kept`, or nothing."""
    if not stored:
        return None
    return stored if stored.startswith(("env:", "file:/")) else KEPT


def check(name: str, given: Kept | str | None, run: Run) -> None:
    """A secret in clear only where it may be sealed. Raises WrongField, never with the secret."""
    if given is None or isinstance(given, Kept) or not given or _REFERENCE.fullmatch(given):
        return
    if given.startswith("sealed:"):
        raise WrongField(name, "a sealed secret is bound to its row: write `sealed: kept`, or where the secret is")
    if given.startswith("env:"):
        raise WrongField(name, "a variable that holds a secret is named env:GANTRY_SECRET_...")
    if not run.seal:
        raise WrongField(
            name, "a secret does not stand in the file: write env:GANTRY_SECRET_NAME or file:/run/secrets/NAME, or let "
            "--seal keep it sealed this once and write `sealed: kept` then",
        )  # fmt: skip


def differs(given: Kept | str | None, stored: str, home: Path, purpose: str) -> bool:
    """Whether what is stored becomes another."""
    if given is None or isinstance(given, Kept):
        return False
    if not given or not stored or sealing.is_reference(given):
        return given != stored
    try:
        return sealing.reveal(home, stored, purpose) != given
    except sealing.SecretUnavailable:
        return True


def words(form: Kept | str | None) -> str:
    """For the difference: what kind of secret."""
    if isinstance(form, str) and form:
        return form if sealing.is_reference(form) else "sealed anew"
    return "sealed" if isinstance(form, Kept) else "none"
