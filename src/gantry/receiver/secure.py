"""TLS of the second DICOM port, from the settings."""

from __future__ import annotations

from pathlib import Path

from dimse.tls import TlsContext, TlsFiles, server_context
from gantry.config import Config


def tls_context(config: Config) -> TlsContext | None:
    """For the TLS listener; None when the settings name none. Paths that are not absolute begin at the home.

    Raises dimse.errors.TlsError with cause and remedy when the files do not do.
    """
    if not config.dicom_tls_address:
        return None
    certificate, key, authorities = (
        place(config, path) for path in (config.dicom_tls_certificate, config.dicom_tls_key, config.dicom_tls_authorities)
    )
    return server_context(TlsFiles(certificate, key, authorities or ()), client_certificates=config.dicom_tls_clients)


def place(config: Config, path: str) -> str:
    """Where a file of the settings is; empty stays empty."""
    return str(Path(config.home) / Path(path).expanduser()) if path else ""
