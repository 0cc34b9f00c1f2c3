"""A certificate authority for the tests and certificates for 127.0.0.1, made by the openssl command."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Pair:
    """A certificate and its key, PEM files."""

    certificate: Path
    key: Path


@dataclass(frozen=True)
class Certificates:
    """Everything the two sides need. RSA, because every peer can."""

    authority: Path
    gantry: Pair
    peer: Pair


def _openssl(*arguments: str | Path, cwd: Path) -> None:
    subprocess.run(["openssl", *map(str, arguments)], cwd=cwd, check=True, capture_output=True, timeout=30)


def make_certificates(folder: Path) -> Certificates:
    """An authority, one pair for Gantry and one for the peers; good for two days."""
    folder.mkdir(parents=True)
    _openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.pem", "-days", "2",
             "-subj", "/CN=Gantry matrix authority", "-addext", "basicConstraints=critical,CA:TRUE",
             "-addext", "keyUsage=critical,keyCertSign,cRLSign", cwd=folder)  # fmt: skip
    (folder / "names.cnf").write_text(
        "subjectAltName=IP:127.0.0.1,IP:::1,DNS:localhost\nextendedKeyUsage=serverAuth,clientAuth\n"
        "keyUsage=critical,digitalSignature,keyEncipherment\nbasicConstraints=CA:FALSE\n"
    )
    pairs = []
    for name in ("gantry", "peer"):
        _openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.csr",
                 "-subj", f"/CN={name}", cwd=folder)  # fmt: skip
        _openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
                 "-days", "2", "-extfile", "names.cnf", "-out", f"{name}.pem", cwd=folder)  # fmt: skip
        pairs.append(Pair(folder / f"{name}.pem", folder / f"{name}.key"))
    return Certificates(folder / "ca.pem", pairs[0], pairs[1])
