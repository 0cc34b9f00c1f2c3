"""Run the path tests of the previous release on the tables of this one: the rule of migrations, expand before contract.

    python tools/previous_release.py [--commit REF] [-k EXPRESSION]

The previous release is the newest tag v* before HEAD, or the commit that is named; without a tag there is nothing to prove
and the exit status is 0. Its files are taken out of git into a temporary folder; nothing is installed and the checkout is
not touched. Two databases are made, one by its migrations and one by ours on top of it, and compared: a column that is
gone, has another type, may no longer be empty, or is new and must be filled in by somebody who does not know it. Then its own
tests/path (receive to forward, kill -9, database away) run on homes whose tables are ours: an old release started after
the new one, as in a roll-back or while several hosts are upgraded one after the other. Exit 1 if anything fails.

The lower half is a pytest plugin: it puts a copy of the prepared home under every instance that a test starts.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
#: These run long, make homes of their own with `gantry demo`, or need what a folder taken out of git does not have.
DESELECTED = ("tests/path/test_clock.py",)
_PREPARED = "PREVIOUS_RELEASE_HOME"
_COUNT = "PREVIOUS_RELEASE_COUNT"

#: Runs with the code of either release: bring the tables of a home to it, print what they are.
_MIGRATE = """
import json, os, sys
from pathlib import Path
import psycopg
from gantry.main import home as homes, migrate, postgres
home = homes.open_home(Path(os.environ["GANTRY_HOME"]))
server = postgres.Postgres(home, {"fsync": "off"})
server.start(die_with_parent=True)
try:
    os.environ["GANTRY_DATABASE_URL"] = postgres.url(home)
    os.environ["DJANGO_SETTINGS_MODULE"] = "gantry.main.django_settings"
    import django
    django.setup()
    applied = migrate.migrate()
    with psycopg.connect(postgres.url(home)) as connection:
        columns = connection.execute(
            "select table_name, column_name, data_type, is_nullable = 'YES',"
            " column_default is not null or is_identity = 'YES' or is_generated <> 'NEVER'"
            " from information_schema.columns where table_schema = 'public' order by 1, ordinal_position"
        ).fetchall()
        checks = connection.execute(
            "select conrelid::regclass::text, conname, pg_get_constraintdef(oid) from pg_constraint"
            " where connamespace = 'public'::regnamespace and contype in ('c', 'f', 'u', 'p') order by 1, 2"
        ).fetchall()
        indexes = connection.execute(
            "select tablename, indexname, indexdef from pg_indexes where schemaname = 'public' and indexdef like '%UNIQUE%'"
        ).fetchall()
finally:
    server.stop()
print("\\n" + json.dumps({"applied": applied, "columns": columns, "checks": checks + indexes}))
"""


def main() -> int:
    """Compare, run; gives the exit status."""
    options = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    options.add_argument("--commit", help="what counts as the previous release; default: the newest tag v*")
    options.add_argument("--compare-only", action="store_true", help="only compare the tables")
    options.add_argument("rest", nargs="*", metavar="PYTEST", help="for pytest, after --")
    asked = options.parse_args()
    commit = asked.commit or previous_tag()
    if commit is None:
        print("No release is tagged yet (v*): nothing to prove. --commit names a stand-in.")
        return 0
    with tempfile.TemporaryDirectory(prefix="gantry-previous-") as folder:
        old, home = Path(folder) / "release", Path(folder) / "home"
        take_out(commit, old)
        before, after = tables(old, home), tables(ROOT, home)
        print(f"previous release: {commit}; migrations on top of it: {', '.join(after['applied']) or 'none'}")
        problems, notes = compare(before, after)
        for line in notes:
            print(f"  to know: {line}")
        for line in problems:
            print(f"  BREAKS:  {line}")
        if asked.compare_only:
            return 1 if problems else 0
        status = run_tests(old, home, Path(folder) / "count", asked.rest)
    return 1 if problems or status else 0


def previous_tag() -> str | None:
    """The newest release that is not this very commit; None too for files without their history."""
    if subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, check=False, capture_output=True).returncode:
        return None
    tags = _git("tag", "--list", "v*", "--sort=-version:refname", "--merged", "HEAD").decode().split()
    here = set(_git("tag", "--points-at", "HEAD").decode().split())
    return next((tag for tag in tags if tag not in here), None)


def take_out(commit: str, folder: Path) -> None:
    """The files of a commit."""
    archive = folder.with_suffix(".tar")
    archive.write_bytes(_git("archive", "--format=tar", commit))
    with tarfile.open(archive) as files:
        if hasattr(tarfile, "data_filter"):  # from 3.11.4; the files are our own
            files.extraction_filter = tarfile.data_filter
        files.extractall(folder)  # noqa: S202  a commit of ours
    archive.unlink()


def _git(*words: str) -> bytes:
    return subprocess.run(["git", *words], cwd=ROOT, check=True, capture_output=True).stdout


def _environment(code: Path, **more: str) -> dict[str, str]:
    unwanted = ("GANTRY_", "DJANGO_", "PROMETHEUS_")
    own = {name: value for name, value in os.environ.items() if not name.startswith(unwanted) or name == "GANTRY_CI"}
    path = os.pathsep.join([str(code / "src"), str(code), str(ROOT / "tools")])
    return own | {"PYTHONPATH": path, "PYTHONWARNINGS": "ignore"} | more


def tables(code: Path, home: Path) -> dict[str, Any]:
    """The tables of the home after the migrations of this code."""
    done = subprocess.run(
        [sys.executable, "-c", _MIGRATE], cwd=code, env=_environment(code, GANTRY_HOME=str(home)),
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"the migrations of {code} failed:\n{done.stdout}{done.stderr}")
    found: dict[str, Any] = json.loads(done.stdout.rstrip().rsplit("\n", 1)[-1])
    return found


def compare(before: dict[str, Any], after: dict[str, Any]) -> tuple[list[str], list[str]]:
    """What the old release cannot live with, and what it may stumble over."""
    old = {(table, name): rest for table, name, *rest in before["columns"]}
    new = {(table, name): rest for table, name, *rest in after["columns"]}
    known = {table for table, _ in old}
    problems = []
    for (table, name), (kind, empty, filled) in old.items():
        if (table, name) not in new:
            problems.append(f"{table}.{name} is gone")
            continue
        kind_now, empty_now, filled_now = new[table, name]
        if kind_now != kind:
            problems.append(f"{table}.{name} was {kind} and is {kind_now}")
        if empty and not empty_now and not filled_now:
            problems.append(f"{table}.{name} may no longer be empty")
        if filled and not filled_now:
            problems.append(f"{table}.{name} has lost its default")
    for (table, name), (_, empty, filled) in new.items():
        if table in known and (table, name) not in old and not (empty or filled):
            problems.append(f"{table}.{name} is new, not null and has no default (db_default)")
    had = {name for _, name, _ in before["checks"]}
    notes = {
        name: f"new on {table}: {name}: {text}"
        for table, name, text in after["checks"]
        if name not in had and (table in known or _points_at(text, known))
    }
    return problems, list(notes.values())


def _points_at(text: str, known: set[str]) -> bool:
    """A foreign key of a new table to an old one: while there is a row the old release cannot remove what it points at."""
    return any(f"REFERENCES {table}(" in text for table in known) and "ON DELETE CASCADE" not in text


def run_tests(old: Path, home: Path, count: Path, rest: list[str]) -> int:
    """Its tests/path on our tables; gives pytest's exit status, 1 when no instance got our tables."""
    left_out = [word for path in DESELECTED for word in ("--ignore", path)]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "previous_release", "-p", "no:cacheprovider", "-m", "not torture",
               "-n", "2", "--dist", "loadfile", "tests/path", *left_out, *rest]  # fmt: skip
    count.mkdir()
    environment = _environment(old, **{_PREPARED: str(home), _COUNT: str(count)})
    status = subprocess.run(command, cwd=old, env=environment, check=False).returncode
    met = len(list(count.iterdir()))
    print(f"{met} instances of the old release ran on the new tables")
    return status if met else 1


# --- the plugin: runs inside pytest of the old release ---


def pytest_configure() -> None:
    """Put the prepared home under each instance before its first start."""
    if _PREPARED not in os.environ:
        return
    from tests.support.gantry_process import GantryProcess

    plain: Callable[..., None] = GantryProcess.start

    def start(self: GantryProcess, timeout: float = 60) -> None:
        if not (self.home / "home.json").exists() and "database_url" not in self.settings:
            self.home.mkdir(mode=0o700, exist_ok=True)
            # cp keeps owners: as root the server runs as somebody else.
            for part in _parts(Path(os.environ[_PREPARED])):
                subprocess.run(["cp", "-a", str(part), str(self.home)], check=True)
            (Path(os.environ[_COUNT]) / os.urandom(8).hex()).touch()
        plain(self, timeout)

    GantryProcess.start = start  # type: ignore[method-assign]


def _parts(home: Path) -> Iterator[Path]:
    """What a home consists of but what belongs to one run; the mark comes last."""
    entries = [entry for entry in sorted(home.iterdir()) if entry.name not in {"run", "logs"}]
    yield from sorted(entries, key=lambda entry: entry.name == "home.json")


if __name__ == "__main__":
    sys.exit(main())
