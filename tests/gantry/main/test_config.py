"""Settings: file and variables, which wins, and what is said about mistakes."""

from __future__ import annotations

from pathlib import Path

import pytest

from gantry import config
from gantry.config import ConfigError


def load(home: Path, **variables: str) -> config.Config:
    return config.load(home, environ={f"GANTRY_{key.upper()}": value for key, value in variables.items()})


def test_defaults_listen_on_loopback_alone(tmp_path: Path) -> None:
    made = load(tmp_path)
    assert (made.http, made.dicom, made.aet) == ("127.0.0.1:8080", "127.0.0.1:11112", "GANTRY")
    assert config.load(environ={}).home == Path.cwd() / "var"


def test_variables_win_over_the_file_and_the_command_line_over_both(tmp_path: Path) -> None:
    (tmp_path / "gantry.yaml").write_text("aet: FILE\nreceivers: 3\n")
    assert (load(tmp_path).aet, load(tmp_path).receivers) == ("FILE", 3)
    assert load(tmp_path, aet="VARIABLE").aet == "VARIABLE"
    assert config.load(tmp_path, {"aet": "LINE"}, {"GANTRY_AET": "VARIABLE"}).aet == "LINE"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("aet: A\nreceivers: many\n", "gantry.yaml:2: key receivers: "),
        ("aet: 'x\\y'\n", "gantry.yaml:1: key aet: must have 1 to 16"),
        ("dicom: 11112\n", "gantry.yaml:1: key dicom"),
        ("\nfoo: 1\n", "gantry.yaml:2: key foo: is not a setting"),
        ("aet: [\n", "is not YAML"),
        ("- a\n", "must be a mapping"),
    ],
)
def test_mistakes_in_the_file_are_named_with_their_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "gantry.yaml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(tmp_path)
    assert message in str(caught.value)


def test_mistakes_in_variables_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="variable GANTRY_IDLE_SECONDS"):
        load(tmp_path, idle_seconds="soon")
    with pytest.raises(ConfigError, match="variable GANTRY_TYPO: is not a setting"):
        load(tmp_path, typo="1")


def test_what_container_platforms_put_into_the_environment_is_no_setting(tmp_path: Path) -> None:
    load(tmp_path, service_host="10.0.0.1", service_port_http="80", port="tcp://10.0.0.1:80", port_80_tcp_addr="10.0.0.1")


def test_a_file_that_is_named_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        load(tmp_path, config=str(tmp_path / "absent.yaml"))


def test_another_process_gets_the_same_settings(tmp_path: Path) -> None:
    made = config.load(
        tmp_path, {"allowed_hosts": ["a.example", "b.example"], "retry_first_seconds": 0.25, "accept_any_called_aet": False}, {}
    )
    assert config.load(environ=config.as_variables(made)) == made


@pytest.mark.parametrize(
    ("address", "parts"),
    [("127.0.0.1:80", ("127.0.0.1", 80)), ("[::1]:11112", ("::1", 11112)), ("pacs.example:104", ("pacs.example", 104))],
)
def test_addresses(address: str, parts: tuple[str, int]) -> None:
    assert config.split_address(address) == parts
