"""People and tokens by command while the web process runs: what is revoked ends with the next request."""

from __future__ import annotations

import email
import json
import urllib.error
import urllib.request
from email.policy import default
from pathlib import Path
from typing import Any

import pytest
from tests.support import part10_files
from tests.support.gantry_process import GantryProcess

pytestmark = pytest.mark.slow


def ask(gantry: GantryProcess, path: str, token: str = "", body: Any = None) -> tuple[int, Any]:
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{gantry.base_url}/api/v1/{path}", data, headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, json.loads(answer.read() or b"null")
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read() or b"null")


def test_a_stolen_token_and_a_locked_account(shared_gantry: GantryProcess) -> None:
    shared_gantry.cli("user", "add", "robot", "--role", "clinician", "--machine")
    token = shared_gantry.json(
        "token", "create", "--user", "robot", "--scope", "studies.view", "--scope", "session.own", "--expires", "7"
    )["token"]
    assert ask(shared_gantry, "studies", token)[0] == 200
    assert ask(shared_gantry, "session/check", token)[1]["actions"] == ["session.own", "studies.view"]
    assert ask(shared_gantry, "nodes", token)[0] == 403
    (row,) = shared_gantry.json("token", "list", "--user", "robot")
    shared_gantry.cli("token", "revoke", str(row["id"]), "--yes")
    assert ask(shared_gantry, "studies", token)[0] == 401
    second = shared_gantry.json("token", "create", "--user", "robot")["token"]
    assert ask(shared_gantry, "studies", second)[0] == 200
    assert shared_gantry.cli("user", "lock", "robot", check=False).returncode == 2, "it asks first"
    shared_gantry.cli("user", "lock", "robot", "--yes", "--reason", "stolen laptop")
    assert ask(shared_gantry, "studies", second)[0] == 401
    denied = shared_gantry.cli("may", "robot", "studies.view", check=False)
    assert (denied.returncode, denied.stdout) == (1, "no: the account is locked: stolen laptop\n")


def test_what_arrives_belongs_to_the_institute_of_its_source(shared_gantry: GantryProcess, tmp_path: Path) -> None:
    shared_gantry.cli("institute", "add", "West", "--source", "institution_name=west*")
    shared_gantry.cli("institute", "add", "East", "--source", "calling_aet=EAST_*")
    for name, place in (("wendy", "West"), ("eve", "East")):
        shared_gantry.cli("user", "add", name, "--in", f"{place}=clinician", "--machine")
    after = part10_files.element(0x0008, 0x1030, "LO", b"Test study")
    named = part10_files.ct_dataset().replace(after, part10_files.element(0x0008, 0x0080, "LO", b"Westside Clinic ") + after)
    file = tmp_path / "west.dcm"
    file.write_bytes(part10_files.part10(named, sop_class=part10_files.CT_IMAGE_STORAGE, instance=f"{part10_files.ROOT}.1.1.1"))
    shared_gantry.cli("import", str(file))
    tokens = {name: shared_gantry.json("token", "create", "--user", name)["token"] for name in ("wendy", "eve")}
    shared_gantry.until(lambda: ask(shared_gantry, "studies", tokens["wendy"])[1]["items"], 60)
    (study,) = ask(shared_gantry, "studies", tokens["wendy"])[1]["items"]
    uid = study["study_instance_uid"]
    assert ask(shared_gantry, "studies", tokens["eve"])[1]["items"] == []
    assert ask(shared_gantry, f"studies/{uid}", tokens["eve"])[0] == 404
    assert shared_gantry.json("may", "wendy", "studies.view", "--study", uid)["reason"].endswith("it belongs to West")
    assert shared_gantry.cli("may", "eve", "studies.view", "--study", uid, check=False).returncode == 1
    shared_gantry.cli("institute", "source", "East", "--add", "institution_name=*side*")
    assert len(ask(shared_gantry, "studies", tokens["eve"])[1]["items"]) == 1


def test_a_mail_goes_by_the_worker(shared_gantry: GantryProcess) -> None:
    shared_gantry.cli("user", "add", "vera", "--email", "vera@example.org", "--role", "viewer", "--invite")
    mails = shared_gantry.home / "mail"
    shared_gantry.until(lambda: mails.is_dir() and list(mails.glob("*.eml")), 60)
    (mail,) = mails.glob("*.eml")
    text = email.message_from_bytes(mail.read_bytes(), policy=default).get_content()
    secret = text.split("/account/password/#")[1].split()[0]
    assert ask(shared_gantry, "account/password", body={"link": secret, "password": "a long enough passphrase"})[0] == 204
    assert ask(shared_gantry, "session", body={"username": "vera", "password": "a long enough passphrase"})[0] == 201
    (session,) = shared_gantry.json("user", "sessions", "vera")["sessions"]
    assert session["address"] == "127.0.0.1"
