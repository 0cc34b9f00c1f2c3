"""A home whose database has its tables already: made once per test run, copied for each instance that a test starts.

To make a database and bring its tables up takes longer than most of what is tested with it. That it works from nothing
is shown by the tests that ask for it (`GantryProcess(..., fresh=True)`), by the demonstration and by `test_postgres`.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

from gantry.main import home as homes

#: What of a home goes with its database; the rest each instance makes itself.
_PASSWORD = "secrets/postgres.password"
_MAKE = "from gantry.main import cli_context\nwith cli_context.house(): pass\n"


def make(folder: Path, environment: dict[str, str]) -> Path:
    """The template in `folder`, made by whichever process of the test run comes first. Its database never waits for
    the disk: what a test kills is a process, not the machine."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        made, draft = folder / "template", folder / "draft"
        if not made.exists():
            shutil.rmtree(draft, ignore_errors=True)
            subprocess.run(
                [sys.executable, "-c", _MAKE], env={**environment, "GANTRY_HOME": str(draft)}, check=True, timeout=120,
                stdout=subprocess.DEVNULL,
            )  # fmt: skip
            with open(draft / "postgres" / "postgresql.conf", "a", encoding="utf-8") as file:
                file.write("fsync = off\n")
            draft.rename(made)
    return made


def copy(template: Path, home: Path) -> None:
    """A new home at `home` with the database of the template."""
    made = homes.open_home(home)
    shutil.copy2(template / _PASSWORD, home / _PASSWORD)
    draft = home / "postgres.copy"
    # cp keeps the owner: the server of root runs as another user.
    subprocess.run(["cp", "-a", "--reflink=auto", str(template / "postgres"), str(draft)], check=True, timeout=60)
    os.rename(draft, made.path / "postgres")
