"""Certificates made at test time with the openssl command: authorities, and what they sign."""

from __future__ import annotations

import os
import shutil
import ssl
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dimse.tls import TlsFiles

_CONFIG = """
[req]
distinguished_name = dn
prompt = no
[dn]
[ca]
default_ca = it
[it]
dir = {folder}
database = {folder}/index.txt
serial = {folder}/serial
new_certs_dir = {folder}
default_md = sha256
policy = any
copy_extensions = copy
unique_subject = no
[any]
commonName = supplied
[root]
basicConstraints = critical, CA:true
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[leaf]
basicConstraints = CA:false
"""


@dataclass(frozen=True)
class Pair:
    """A certificate and its key, PEM."""

    certificate: str
    key: str

    def files(self, *authorities: str, password: str | None = None) -> TlsFiles:
        return TlsFiles(self.certificate, self.key, authorities, password)


class Authority:
    """A private certificate authority in a folder."""

    def __init__(self, folder: Path, name: str = "Test authority") -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        (folder / "index.txt").touch()
        (folder / "serial").write_text("01\n")
        self.config = folder / "openssl.cnf"
        self.config.write_text(_CONFIG.format(folder=folder))
        self.certificate = str(folder / "authority.pem")
        key = new_key(folder / "authority.key")
        openssl("req", "-new", "-x509", "-config", self.config, "-extensions", "root", "-key", key, "-days", 30,
                "-subj", f"/CN={name}", "-out", self.certificate)  # fmt: skip

    def issue(
        self,
        name: str,
        *,
        names: str = "DNS:localhost,IP:127.0.0.1,IP:::1",
        begins: timedelta = timedelta(days=-2),
        ends: timedelta = timedelta(days=20),
        rsa_bits: int = 0,
        password: str = "",
    ) -> Pair:
        """A certificate and its key; `begins` and `ends` count from now."""
        path = self.folder / f"{name.replace(' ', '-')}.pem"
        key = new_key(path.with_suffix(".key"), rsa_bits, password)
        secret = ["-passin", f"pass:{password}"] if password else []
        asked = path.with_suffix(".csr")
        openssl("req", "-new", "-config", self.config, "-key", key, *secret, "-subj", f"/CN={name}",
                *(["-addext", f"subjectAltName={names}"] if names else []), "-out", asked)  # fmt: skip
        now = datetime.now(UTC)
        openssl("ca", "-batch", "-notext", "-config", self.config, "-extensions", "leaf", "-cert", self.certificate,
                "-keyfile", self.folder / "authority.key", "-startdate", f"{now + begins:%Y%m%d%H%M%SZ}",
                "-enddate", f"{now + ends:%Y%m%d%H%M%SZ}", "-in", asked, "-out", path)  # fmt: skip
        return Pair(str(path), key)

    def revoke(self, *pairs: Pair, days: int = 10, name: str = "revoked") -> str:
        """A revocation list (PEM) with these certificates and all that were revoked before, good for so many days."""
        own = ["-config", self.config, "-cert", self.certificate, "-keyfile", self.folder / "authority.key"]
        for pair in pairs:
            openssl("ca", "-batch", *own, "-revoke", pair.certificate)
        path = self.folder / f"{name}.crl"
        begins = datetime.now(UTC) - timedelta(days=20)
        openssl("ca", "-batch", *own, "-gencrl", "-crl_lastupdate", f"{begins:%Y%m%d%H%M%SZ}",
                "-crl_nextupdate", f"{datetime.now(UTC) + timedelta(days=days):%Y%m%d%H%M%SZ}", "-out", path)  # fmt: skip
        return str(path)


def der_of(pair: Pair) -> bytes:
    return ssl.PEM_cert_to_DER_cert(Path(pair.certificate).read_text())


def new_key(path: Path, rsa_bits: int = 0, password: str = "") -> str:
    kind = ["RSA", "-pkeyopt", f"rsa_keygen_bits:{rsa_bits}"] if rsa_bits else ["EC", "-pkeyopt", "ec_paramgen_curve:P-256"]
    secret = ["-aes-256-cbc", "-pass", f"pass:{password}"] if password else []
    openssl("genpkey", "-algorithm", *kind, *secret, "-out", path)
    return str(path)


def openssl(*words: object) -> None:
    program = shutil.which("openssl")
    if program is None:
        if os.environ.get("GANTRY_CI", "") == "1":
            pytest.fail("the openssl command is missing, and this is CI")
        pytest.skip("the openssl command is not installed here")
    done = subprocess.run([program, *map(str, words)], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
