"""What `gantry doctor` says of the DICOM ports: TLS, who may call, who was refused."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from dimse.certificates import read_certificate
from dimse.errors import TlsError
from gantry.config import Config
from gantry.main.findings import Finding
from gantry.receiver.secure import place, tls_context

#: A certificate that ends so soon is a warning.
_SOON = timedelta(days=30)


def tls(config: Config) -> Iterator[Finding]:
    """The files of the TLS port, and how long its certificate is valid."""
    if not config.dicom_tls_address:
        return
    try:
        tls_context(config)
    except TlsError as error:
        yield Finding("TLS", "problem", error.cause, error.remedy)
        return
    path = Path(place(config, config.dicom_tls_certificate))
    found = read_certificate(ssl.PEM_cert_to_DER_cert(_first(path.read_text(encoding="ascii", errors="replace"))))
    if found is None:
        yield Finding("TLS", "problem", "our certificate cannot be read", "Make a new one")
        return
    now, words = datetime.now(UTC), f"{found.subject}, valid until {found.not_after:%Y-%m-%d}"
    if not found.not_before <= now <= found.not_after:
        yield Finding("TLS", "problem", f"our certificate is not valid now: {words}", "Renew it; no restart is needed")
    elif found.not_after - now < _SOON:
        yield Finding("TLS", "warning", f"our certificate ends soon: {words}", "Renew it; no restart is needed")
    elif config.dicom_tls_clients == "none":
        yield Finding("TLS", "warning", f"{words}; callers need no certificate", "Set dicom_tls_clients to required")
    else:
        yield Finding("TLS", "fine", words)


def callers(config: Config) -> Iterator[Finding]:
    """Whether strangers are let in, and who was turned away lately."""
    if config.unknown_callers != "refuse":
        yield Finding(
            "callers", "warning", f"strangers are let in (unknown_callers: {config.unknown_callers})",
            "Allow those you know with `gantry caller allow AET`, then set unknown_callers to refuse",
        )  # fmt: skip
    from django.utils import timezone

    from gantry.receiver.models import Caller, RefusedCaller

    refused = RefusedCaller.objects.filter(last_seen_at__gt=timezone.now() - timedelta(days=1)).count()
    if refused:
        yield Finding("callers", "warning", f"{refused} were refused in the last day",
                      "`gantry caller refused` shows who, and how to let them in")  # fmt: skip
    elif config.unknown_callers == "refuse":
        yield Finding("callers", "fine", f"{Caller.objects.filter(enabled=True).count()} are allowed by name")


def _first(pem: str) -> str:
    """The first certificate of a file: ours; those that vouch for it follow."""
    begin, end = pem.find("-----BEGIN CERTIFICATE-----"), "-----END CERTIFICATE-----"
    return pem[begin : pem.find(end, begin) + len(end)]
