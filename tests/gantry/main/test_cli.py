"""The command line: help, JSON, tables, exit codes; on a home of its own, with and without `gantry up`."""

from __future__ import annotations

import dataclasses
import json
import socket
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support.gantry_process import GantryProcess
from tests.support.part10_files import ROOT

from gantry.main import cli, cli_errors, cli_output
from gantry.main.errors import PortTaken

COMMANDS = [
    [], ["up"], ["serve"], ["serve", "web"], ["serve", "receiver"], ["serve", "worker"], ["serve", "indexer"], ["demo"], ["node"], ["node", "add"],
    ["node", "list"], ["node", "echo"], ["node", "remove"], ["rule"], ["rule", "add"], ["rule", "list"], ["rule", "remove"], ["import"], ["send"],
    ["studies"], ["deliveries"], ["deliveries", "retry"], ["receipt"], ["verify"], ["token"], ["token", "create"], ["doctor"], ["config"],
    ["config", "show"], ["config", "check"], ["version"],
]  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: " ".join(command) or "gantry")
def test_every_command_has_help(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run([*command, "--help"]) == 0
    shown = capsys.readouterr().out
    assert "Usage: gantry" in shown
    assert len(shown.splitlines()) > 4
    assert "Exit status" in shown or command in (["node"], ["rule"], ["token"], ["config"], ["deliveries"]) or len(command) == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ["frobnicate"],
        ["node", "add"],
        ["send", "/nonexistent", "--to", "X"],
        ["deliveries", "--limit", "0"],
        ["version", "--wrong"],
    ],
)
def test_wrong_use_is_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["version", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["version"]


def test_a_person_gets_cause_and_remedy_in_two_lines(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli_errors.report(PortTaken("Another program listens on 127.0.0.1:1", "Stop it")) == 1
    assert capsys.readouterr().err.splitlines() == ["Another program listens on 127.0.0.1:1", "Stop it"]


def test_a_fault_of_ours_is_told_without_a_traceback(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GANTRY_DEBUG", raising=False)
    assert cli_errors.report(ZeroDivisionError("x")) == 1
    shown = capsys.readouterr().err
    assert "Traceback" not in shown
    assert "--debug" in shown


def test_data_is_no_markup_and_control_characters_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    cli_output.print_table(("name",), [("[red]x[/red]\x1b[2J\\[b]",)])
    cli_output.note("[red]y[/red]\r")
    captured = capsys.readouterr()
    assert "[red]x[/red]\\x1b[2J\\[b]" in captured.out
    assert "[red]y[/red]\\x0d" in captured.err


@pytest.fixture
def alone(gantry_process: Callable[..., GantryProcess]) -> GantryProcess:
    """A home on which nothing runs."""
    return gantry_process()


def test_without_a_home_reading_says_what_to_do(alone: GantryProcess) -> None:
    done = alone.cli("node", "list", check=False)
    assert done.returncode == 1
    assert "gantry up" in done.stderr
    assert not alone.home.exists()


def test_doctor_without_a_database_looks_at_the_rest(alone: GantryProcess) -> None:
    assert alone.cli("doctor", check=False).returncode == 1
    assert not alone.home.exists(), "a home is not made by asking how it is"
    alone.home.mkdir()
    (alone.home / "home.json").write_text('{"layout": 1}')
    alone.settings["database_url"] = "postgresql://nobody@127.0.0.1:1/none"
    done = alone.cli("doctor", "--json", check=False)
    findings = {one["subject"]: one for one in json.loads(done.stdout)["findings"]}
    assert (done.returncode, findings["database"]["level"]) == (1, "problem")
    assert "Connection refused" in findings["database"]["message"]
    assert {"clock", "home", "disk", "sync", "port dicom", "processes"} <= findings.keys()


def test_settings_are_checked_with_place_and_key(alone: GantryProcess) -> None:
    alone.home.mkdir()
    (alone.home / "gantry.yaml").write_text("settle_quiet_seconds: 1\nreceivers: many\nnonsense: 1\n")
    done = alone.cli("config", "check", check=False)
    assert done.returncode == 2
    assert "gantry.yaml:2: key receivers" in done.stderr
    assert "gantry.yaml:3: key nonsense" in done.stderr
    report = json.loads(alone.cli("config", "check", "--json", check=False).stdout)
    assert report["ok"] is False
    assert len(report["problems"]) == 2
    (alone.home / "gantry.yaml").write_text("aet: ELSEWHERE\n")
    assert alone.json("config", "check") == {"ok": True, "problems": []}
    alone.settings["database_url"] = "postgresql://user:swordfish@host/db"
    shown = alone.json("config", "show")
    assert shown["aet"] == "GANTRY"  # the variable wins
    assert "swordfish" not in json.dumps(shown)


def test_everything_works_without_up_running(alone: GantryProcess, make_ct: Callable[..., list[Path]]) -> None:
    """The database is started for each command and gone after it."""
    alone.cli("node", "add", "PACS", "PACS@127.0.0.1:1")
    alone.cli("rule", "add", "ct", "--when", "Modality=CT,MR", "--to", "PACS", "--on", "settled")
    imported = alone.json("import", str(make_ct(3)[0].parent))
    assert imported["counts"] == {"stored": 3}
    assert [study["study_instance_uid"] for study in alone.json("studies")] == [f"{ROOT}.1"]
    assert alone.json("rule", "list")[0]["destinations"] == ["PACS"]
    verified = alone.json("verify")
    assert (verified["checked"], verified["ok"]) == (3, True)
    assert alone.json("token", "create")["token"].startswith("gty_")
    assert not (alone.home / "postgres" / "postmaster.pid").exists()
    alone.cli("rule", "remove", "ct", "--yes")
    assert alone.cli("rule", "list").stdout == ""
    assert alone.json("rule", "list") == []


def test_removing_needs_a_yes(shared_gantry: GantryProcess) -> None:
    def names() -> list[str]:
        return [node["name"] for node in shared_gantry.json("node", "list")]

    shared_gantry.cli("node", "add", "GOES", "PACS@127.0.0.1:1")
    assert shared_gantry.cli("node", "remove", "GOES", check=False).returncode == 2
    assert "GOES" in names()
    shared_gantry.cli("node", "remove", "GOES", "--yes")
    assert "GOES" not in names()


def test_mistakes_are_2_and_failures_1(shared_gantry: GantryProcess) -> None:
    gantry = shared_gantry
    assert gantry.cli("node", "add", "X", "not an address", check=False).returncode == 2
    assert gantry.cli("node", "echo", "NOBODY", check=False).returncode == 1
    assert gantry.cli("rule", "add", "r", "--to", "NOBODY", check=False).returncode == 1
    assert gantry.cli("deliveries", "--status", "lost", check=False).returncode == 2
    assert gantry.cli("receipt", "1.2.3", check=False).returncode == 1


def test_an_echo_of_nobody_is_1_and_says_why(shared_gantry: GantryProcess, free_port: Callable[[], int]) -> None:
    done = shared_gantry.cli("node", "echo", f"X@127.0.0.1:{free_port()}", "--json", check=False)
    assert done.returncode == 1
    answer = json.loads(done.stdout)
    assert answer["ok"] is False
    assert answer["explanation"]
    assert answer["remedy"]


def test_the_way_of_a_study(shared_gantry: GantryProcess, make_ct: Callable[..., list[Path]]) -> None:
    """Send it to ourselves; a rule sends it to ourselves again: stored once, delivered, with a receipt."""
    gantry = shared_gantry
    study = f"{ROOT}.500"
    gantry.cli("node", "add", "SELF", f"GANTRY@127.0.0.1:{gantry.dicom_port}")
    assert gantry.json("node", "echo", "SELF")["ok"] is True
    gantry.cli("rule", "add", "back", "--to", "SELF", "--when", f"StudyInstanceUID={study}")
    folder = make_ct(4, study=study, series=f"{study}.1", patient_name="[bold]O'Neil^<b>")[0].parent
    (folder / "notes.txt").write_text("nothing medical")
    sent = gantry.json("send", str(folder), "--to", "SELF")
    assert sorted(item["outcome"] for item in sent) == ["confirmed"] * 4 + ["skipped"]
    gantry.until(lambda: len(gantry.json("deliveries", "--study", study, "--status", "confirmed")) == 4)
    receipt = gantry.json("receipt", study)
    assert receipt["complete"] is True
    assert receipt["destinations"][0]["confirmed"] == 4
    assert all(
        len(item["stored_sha256"]) == 64 and item["stored_sha256"] == item["sent_sha256"]
        for item in receipt["destinations"][0]["instances"]
    )
    found = gantry.json("studies", study)[0]
    assert (found["instance_count"], found["patient_name"]) == (4, "[bold]O'Neil^<b>")
    assert "[bold]O'Neil^<b>" in gantry.cli("studies", study).stdout
    assert study in {one["study_instance_uid"] for one in gantry.json("studies", "neil CT")}
    assert gantry.json("studies", "eil") == []  # words, not parts of words
    assert gantry.json("verify")["ok"] is True
    assert gantry.json("deliveries", "retry", "--study", study) == {"retried": 0}
    for command in (["deliveries"], ["receipt", study], ["node", "list"], ["rule", "list"], ["doctor"]):
        assert "Traceback" not in gantry.cli(*command).stdout


def test_a_stored_study_is_sent_by_hand(shared_gantry: GantryProcess, make_ct: Callable[..., list[Path]]) -> None:
    gantry, study = shared_gantry, f"{ROOT}.501"
    gantry.cli("node", "add", "BYHAND", f"GANTRY@127.0.0.1:{gantry.dicom_port}")
    gantry.cli("import", str(make_ct(2, study=study, series=f"{study}.1")[0].parent))
    gantry.until(lambda: [one["instance_count"] for one in gantry.json("studies", study)] == [2])
    again = gantry.cli("deliveries", "resend", study, "--reason", "test", "--node", "BYHAND", check=False)
    assert (again.returncode, "gantry deliveries send" in again.stderr) == (1, True), "nothing was ordered there, and what to do"
    first, second = (gantry.json("deliveries", "send", study, "--to", "BYHAND") for _ in range(2))
    assert [(one["instances"], one["nodes"][0]["ordered"]) for one in (first, second)] == [(2, 2), (2, 0)]
    gantry.until(lambda: len(gantry.json("deliveries", "--study", study, "--status", "confirmed")) == 2)
    assert all(one["ordered_by"] for one in gantry.json("receipt", study)["destinations"][0]["instances"]), "by whom"
    assert gantry.json("deliveries", "resend", study, "--reason", "test", "--node", "BYHAND")["changed"] == 2


def test_a_stolen_token_is_revoked_and_its_next_request_fails(shared_gantry: GantryProcess) -> None:
    gantry = shared_gantry
    headers = {"Authorization": f"Bearer {gantry.json('token', 'create', '--name', 'stolen')['token']}"}

    def status() -> int:
        try:
            with urllib.request.urlopen(urllib.request.Request(f"{gantry.base_url}/api/v1/studies", headers=headers)) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code

    assert status() == 200
    (number,) = [one["id"] for one in gantry.json("token", "list") if one["name"] == "stolen"]
    assert gantry.cli("token", "revoke", str(number), check=False).returncode == 2, "it asks"
    assert status() == 200
    gantry.cli("token", "revoke", str(number), "--yes")
    assert status() == 401


def test_send_keeps_the_calendar_of_the_node(shared_gantry: GantryProcess, make_ct: Callable[..., list[Path]]) -> None:
    gantry, folder = shared_gantry, make_ct(2)[0].parent
    gantry.cli("node", "add", "METERED", f"GANTRY@127.0.0.1:{gantry.dicom_port}", "--set", "bandwidth=00:00-24:00 off")
    refused = gantry.cli("send", str(folder), "--to", "METERED", check=False)
    assert refused.returncode == 1
    assert "is closed" in refused.stderr
    assert "--urgent" in refused.stderr, "and what to do"
    assert [item["outcome"] for item in gantry.json("send", str(folder), "--to", "METERED", "--urgent")] == ["confirmed"] * 2
    acts = gantry.json("audit", "list", "--act", "node.send")
    mine = [act["after"] for act in acts if act["key"] == "METERED"]
    assert mine == [{"count": 1, "urgent": True}], "what was refused sent nothing"


def test_doctor_finds_what_is_wrong(shared_gantry: GantryProcess, free_port: Callable[[], int]) -> None:
    gantry = shared_gantry
    report = gantry.json("doctor")
    assert report["ok"] is True, report
    subjects = {finding["subject"] for finding in report["findings"]}
    assert {
        "clock",
        "home",
        "disk",
        "sync",
        "port http",
        "port dicom",
        "processes",
        "database",
        "tables",
        "quarantine",
        "dead letters",
    } <= subjects
    gantry.cli("node", "add", "AWAY", f"AWAY@127.0.0.1:{free_port()}")
    (gantry.home / "secrets").chmod(0o755)
    done = gantry.cli("doctor", "--json", check=False)
    (gantry.home / "secrets").chmod(0o700)
    gantry.cli("node", "remove", "AWAY", "--yes")
    assert done.returncode == 1
    problems = {finding["subject"]: finding for finding in json.loads(done.stdout)["findings"] if finding["level"] == "problem"}
    assert set(problems) == {"home", "node AWAY"}
    assert all(finding["remedy"] for finding in problems.values())


def test_doctor_asks_the_ports_that_up_was_given(shared_gantry: GantryProcess, free_port: Callable[[], int]) -> None:
    """`gantry up --http ... --dicom ...`: no other command of that shell knows these addresses."""
    other = dataclasses.replace(shared_gantry, http_port=free_port(), dicom_port=free_port())
    told = {finding["subject"]: finding for finding in other.json("doctor")["findings"]}
    assert told["port http"]["message"] == f"127.0.0.1:{shared_gantry.http_port} answers"
    assert told["port dicom"]["message"] == f"127.0.0.1:{shared_gantry.dicom_port} answers"


def test_verify_names_and_mends(alone: GantryProcess, make_ct: Callable[..., list[Path]]) -> None:
    alone.prepare()
    alone.cli("import", str(make_ct(3)[0].parent))
    first, second, third = sorted((alone.home / "objects").rglob("*.dcm"))
    data = bytearray(first.read_bytes())
    data[-1] ^= 1
    first.chmod(0o600)
    first.write_bytes(data)
    second.unlink()
    stray = third.with_name("1.2.3.4.dcm")
    stray.write_bytes(make_ct(1, series=f"{ROOT}.7", instance=f"{ROOT}.7.1")[0].read_bytes())
    done = alone.cli("verify", "--json", check=False)
    assert done.returncode == 1
    assert sorted(finding["kind"] for finding in json.loads(done.stdout)["left"]) == ["damaged", "missing", "orphan"]
    mended = alone.cli("verify", "--mend", "--yes", "--json", check=False)
    assert mended.returncode == 1
    assert sorted(finding["kind"] for finding in json.loads(mended.stdout)["left"]) == ["damaged", "missing"]
    assert sum(study["instance_count"] for study in alone.json("studies")) == 4


def test_send_needs_no_home_for_an_address(
    shared_gantry: GantryProcess, alone: GantryProcess, make_ct: Callable[..., list[Path]]
) -> None:
    series = f"{ROOT}.600.1"
    sent = alone.json(
        "send",
        str(make_ct(2, study=f"{ROOT}.600", series=series)[0].parent),
        "--to",
        f"GANTRY@127.0.0.1:{shared_gantry.dicom_port}",
    )
    assert [item["outcome"] for item in sent] == ["confirmed", "confirmed"]
    assert not alone.home.exists()


def test_doctor_before_the_start_names_a_taken_port(alone: GantryProcess) -> None:
    alone.prepare()
    with socket.create_server(("127.0.0.1", alone.dicom_port)):
        done = alone.cli("doctor", "--json", check=False)
    problems = [finding for finding in json.loads(done.stdout)["findings"] if finding["level"] == "problem"]
    assert [finding["subject"] for finding in problems] == ["port dicom"]
    assert f":{alone.dicom_port}" in problems[0]["message"]
