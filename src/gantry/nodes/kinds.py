"""The kinds of nodes behind one face: where one is, and whether it answers."""

from __future__ import annotations

import http.client
import os
import secrets
import time
import uuid
from pathlib import Path
from typing import Any

from dimse.errors import ContextNotAccepted, DimseError
from dimse.negotiation import ContextProposal
from dimse.uids import VERIFICATION
from gantry import config
from gantry.nodes.address import DimseAddress
from gantry.nodes.advice import advice
from gantry.nodes.associate import associate
from gantry.nodes.echo import EchoResult, echo
from gantry.nodes.errors import BadNode
from gantry.nodes.explain import explain as explain_dimse
from gantry.nodes.folder_path import check_template
from gantry.nodes.folder_write import DRAFT, FolderTrouble, explain, free_bytes, opened
from gantry.nodes.items import AnyTarget, FolderTarget, Security, SendTarget, WebTarget
from gantry.nodes.passcodes import as_kept, passcode_of
from gantry.nodes.profile import NodeProfile
from gantry.nodes.stow_client import Client, check_url
from gantry.nodes.stow_explain import explain_reply, explain_trouble

DIMSE, WEB, FOLDER = "dimse", "dicomweb", "folder"
_FOLDER_PREFIX = "folder:"
#: A server that stores need not answer queries: these say that somebody is there and knows us.
_ALIVE = (200, 204, 400, 405, 406, 501)


def kind_of(address: str) -> str:
    """What an address that a person wrote is of."""
    if address.startswith(_FOLDER_PREFIX):
        return FOLDER
    return WEB if address.lower().startswith(("http:", "https:")) else DIMSE


def read_address(address: str, home: Path) -> DimseAddress | str:
    """A DIMSE address, the root of a DICOMweb server, or the full path of a folder. Raises BadAddress, BadNode."""
    kind = kind_of(address)
    if kind == WEB:
        return check_url(address)
    return check_folder(address.removeprefix(_FOLDER_PREFIX), home) if kind == FOLDER else DimseAddress.parse(address)


def check_folder(path: str, home: Path) -> str:
    """A folder outside the home that is there. Raises BadNode."""
    if not os.path.isabs(path) or "\0" in path or len(path) > 1000:
        raise BadNode(f"{path[:80]!r} is no full path of a folder: write folder:/mnt/archive")
    real = os.path.realpath(path)
    own = os.path.realpath(home)
    if real == "/" or os.path.commonpath([real, own]) in {real, own}:
        raise BadNode(f"{path[:80]!r} is not a place for deliveries: neither / nor the home nor a folder around or in it")
    if not os.path.isdir(real):
        raise BadNode(f"{path[:80]!r} is no folder: make it first, or mount its volume")
    return real


def security_from(row: Any, home: Path, *, opened: bool = True) -> Security:
    """TLS and user of a node, from its row (the model, or what a delivery run reads). Not `opened`: the passcode in the
    form it is kept in. Raises BadNode when it cannot be had."""
    passcode = passcode_of if opened else as_kept
    return Security(
        tls=row.tls,
        authorities=row.tls_authorities,
        fingerprint=row.tls_fingerprint,
        certificate=row.tls_certificate,
        key=row.tls_key,
        user=row.user_name,
        passcode=passcode(home, row.id, row.passcode) if row.user_name or row.http_auth else "",
    )


def target_from(row: Any, our_aet: str, home: Path) -> AnyTarget:
    """Where a node is and how it is spoken to, from its row."""
    security = security_from(row, home)
    if row.kind == WEB:
        return WebTarget(row.url, row.connect_seconds, row.response_seconds, security, row.http_auth)
    if row.kind == FOLDER:
        return FolderTarget(row.url, check_template(row.path_template) if row.path_template else "", reserve_bytes())
    return SendTarget(
        DimseAddress(row.aet, row.host, row.port),
        row.calling_aet or our_aet,
        connect_seconds=row.connect_seconds,
        response_seconds=row.response_seconds,
        security=security,
        quirks=frozenset(NodeProfile.from_dict(row.profile).quirks) if row.profile else frozenset(),
        advice=advice(row.profile),
    )


def reserve_bytes() -> int:
    """What stays free on the volume of a folder: as on our own."""
    return config.current().disk_reserve_mb << 20


def words_of(row: Any) -> str:
    """The address of a node as people write it."""
    if row.kind == WEB:
        return str(row.url)
    return f"{_FOLDER_PREFIX}{row.url}" if row.kind == FOLDER else str(DimseAddress(row.aet, row.host, row.port))


def ask(target: AnyTarget) -> EchoResult:
    """A sign of life: a C-ECHO, a question to the web server, a file in the folder. Never raises for what the node does."""
    if isinstance(target, WebTarget):
        return _ask_web(target)
    return _ask_folder(target) if isinstance(target, FolderTarget) else echo(target)


def is_alive(target: AnyTarget) -> EchoResult:
    """For the circuit breaker. A DIMSE peer that gives an association is alive, whatever it makes of the C-ECHO."""
    if not isinstance(target, SendTarget):
        return ask(target)
    began = time.monotonic()
    try:
        with associate(target, [ContextProposal(VERIFICATION)]) as association:
            association.echo()
    except ContextNotAccepted:
        pass
    except (DimseError, OSError) as error:
        why = explain_dimse(error, target)
        return EchoResult(False, time.monotonic() - began, None, why.cause, why.remedy)
    return EchoResult(True, time.monotonic() - began, 0)


def _ask_web(target: WebTarget) -> EchoResult:
    """A query for a study that nobody has (PS3.18 10.6), so that nothing of a patient comes back."""
    began = time.monotonic()
    client = Client(target)
    path = f"/studies?StudyInstanceUID=2.25.{uuid.uuid4().int}&limit=1"
    try:
        client.connect()
        reply = client.ask("GET", path, {"Accept": "application/dicom+json"})
    except (OSError, http.client.HTTPException) as error:
        why = explain_trouble(error, target)
        return EchoResult(False, time.monotonic() - began, None, why.cause, why.remedy)
    finally:
        client.close()
    if reply.status not in _ALIVE:
        why = explain_reply(reply)
        return EchoResult(False, time.monotonic() - began, None, why.cause, why.remedy)
    return EchoResult(True, time.monotonic() - began, 0)


def _ask_folder(target: FolderTarget) -> EchoResult:
    """Make a file, sync it, remove it."""
    began = time.monotonic()
    name = f"{DRAFT}{secrets.token_hex(8)}.test"
    try:
        with opened(target.root) as root:
            if free_bytes(root) < target.reserve_bytes:
                text = f"the folder {target.root} has less than its reserve of {target.reserve_bytes >> 20} MB free"
                return EchoResult(False, time.monotonic() - began, None, text, "free space; deliveries go on by themselves")
            file = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=root)
            try:
                os.write(file, b"gantry")
                os.fsync(file)
            finally:
                os.close(file)
                os.unlink(name, dir_fd=root)
    except FolderTrouble as error:
        return EchoResult(False, time.monotonic() - began, None, *_halves(str(error)))
    except OSError as error:
        return EchoResult(False, time.monotonic() - began, None, *_halves(explain(error, target.root)))
    return EchoResult(True, time.monotonic() - began, 0)


def _halves(text: str) -> tuple[str, str]:
    cause, _, remedy = text.partition(" (")
    return cause, remedy.rstrip(")")
