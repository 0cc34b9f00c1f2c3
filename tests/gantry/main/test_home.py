"""The home: private, marked, locked, and never a mess elsewhere."""

from __future__ import annotations

import json
import os
import stat
import threading
from pathlib import Path

import pytest

from gantry.main import home as homes
from gantry.main.errors import HomeBusy, HomeError, HomeIsNewer, HomeMissing, NotAHome


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_home_is_private_and_marked(tmp_path: Path) -> None:
    home = homes.open_home(tmp_path / "home")
    for path in home.path.rglob("*"):
        assert mode(path) == (0o700 if path.is_dir() else 0o600), path
    assert mode(home.path) == 0o700
    mark = json.loads((home.path / "home.json").read_text())
    assert mark["layout"] == homes.LAYOUT
    assert len((home.secrets / "django.key").read_text().strip()) >= 50


def test_the_umask_does_not_open_it(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        home = homes.open_home(tmp_path / "home")
    finally:
        os.umask(before)
    assert all(mode(path) in (0o600, 0o700) for path in home.path.rglob("*"))


def test_nothing_outside_changes(tmp_path: Path) -> None:
    tmp_path.chmod(0o750)
    (tmp_path / "other").mkdir()
    (tmp_path / "other").chmod(0o711)  # whatever the umask is
    homes.open_home(tmp_path / "home")
    assert mode(tmp_path) == 0o750
    assert mode(tmp_path / "other") == 0o711
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["home", "other"]


def test_opening_again_changes_nothing(tmp_path: Path) -> None:
    first = homes.open_home(tmp_path / "home")
    key, mark = first.secret("django.key"), (first.path / "home.json").read_text()
    again = homes.open_home(tmp_path / "home", create=False)
    assert (again.secret("django.key"), (again.path / "home.json").read_text()) == (key, mark)


def test_a_secret_is_made_once_whoever_comes_first(home: homes.Home) -> None:
    seen: list[str] = []
    threads = [threading.Thread(target=lambda: seen.append(home.secret("some.key"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 8
    assert len(set(seen)) == 1


def test_a_missing_parent_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(HomeMissing, match="mkdir -p"):
        homes.open_home(tmp_path / "no" / "home")
    assert list(tmp_path.iterdir()) == []


def test_without_create_nothing_is_made(tmp_path: Path) -> None:
    with pytest.raises(HomeMissing, match="gantry up"):
        homes.open_home(tmp_path / "home", create=False)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_other_things_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("precious")
    before = mode(tmp_path)
    with pytest.raises(NotAHome):
        homes.open_home(tmp_path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["thesis.txt"]
    assert mode(tmp_path) == before


def test_settings_may_be_there_before_the_first_start(tmp_path: Path) -> None:
    (tmp_path / "gantry.yaml").write_text("aet: MINE\n")
    assert homes.open_home(tmp_path).path == tmp_path


def test_a_file_is_no_home(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("")
    with pytest.raises(NotAHome):
        homes.open_home(tmp_path / "home")


def test_a_home_of_a_newer_version_is_refused_with_a_remedy(home: homes.Home) -> None:
    mark = home.path / "home.json"
    mark.write_text(json.dumps({"layout": homes.LAYOUT + 1, "made_by": "9.9"}))
    before = mark.read_text()
    with pytest.raises(HomeIsNewer, match=r"9\.9.*Install that version"):
        homes.open_home(home.path)
    assert mark.read_text() == before


@pytest.mark.parametrize("text", ["", "{", "[]", '{"layout": "x"}', "{}"])
def test_a_damaged_mark_is_no_new_home(home: homes.Home, text: str) -> None:
    (home.path / "home.json").write_text(text)
    with pytest.raises(NotAHome, match="backup"):
        homes.open_home(home.path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a home away")
def test_root_leaves_the_home_of_another_user_alone(home: homes.Home) -> None:
    """`sudo gantry doctor` beside a service that runs as its own user."""
    before = {path: path.stat().st_uid for path in home.path.rglob("*")}
    for path in (home.path, *before):
        os.chown(path, 65534, 65534)
    with pytest.raises(HomeError, match=f"sudo -u nobody GANTRY_HOME={home.path}"):
        homes.open_home(home.path)
    assert {path.stat().st_uid for path in home.path.rglob("*")} == {65534}
    for path in (home.path, *before):
        os.chown(path, 0, 0)
    assert homes.open_home(home.path) == home


def test_only_one_runs_on_a_home_and_the_other_is_named(home: homes.Home) -> None:
    assert not homes.is_claimed(home)
    claim = homes.claim(home)
    assert homes.is_claimed(home)
    with pytest.raises(HomeBusy, match=str(os.getpid())):
        homes.claim(home)
    os.close(claim)
    assert not homes.is_claimed(home)
    os.close(homes.claim(home))


@pytest.mark.parametrize(("moment", "wrong"), [(0, True), (1_800_000_000, False), (5_000_000_000, True)])
def test_a_clock_that_is_wrong_is_named(moment: float, *, wrong: bool) -> None:
    assert (homes.clock_complaint(moment) is not None) is wrong
