"""As whom PostgreSQL runs. It refuses root; so as root we lend it an existing unprivileged user, and never make one.

Where that user cannot reach the home or the binaries (a 0700 parent folder, a virtual environment in
/root), it gets them in a mount namespace of its own; where the system refuses that too (a container without
rights), the home itself - nothing above it - is opened for passing through (0711), if that is enough.
"""

from __future__ import annotations

import json
import os
import pwd
import stat
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gantry.main import postgres_launch
from gantry.main.errors import PostgresNeedsUser

CANDIDATES = ("gantry", "postgres", "nobody")
_MOUNT_POINTS = ("/mnt", "/media", "/srv", "/opt")
_ADVICE = (
    "Run Gantry as an ordinary user, put the home where the user {user} may go, "
    "or name an external database in GANTRY_DATABASE_URL"
)


@dataclass(frozen=True, slots=True)
class Runner:
    """How to start a PostgreSQL program: as which user, and under which names it sees our folders."""

    uid: int | None
    gid: int | None
    user: str
    at: str = ""
    binds: Mapping[str, str] | None = None

    def seen(self, path: Path) -> str:
        """The name under which the program finds `path`."""
        for name, source in (self.binds or {}).items():
            if path == Path(source) or Path(source) in path.parents:
                return os.path.join(self.at, name, os.path.relpath(path, source)).removesuffix("/.")
        return str(path)

    def order(self, argv: Sequence[str], cwd: Path, death_signal: int = 0) -> list[str]:
        """The command line of the child that becomes `argv` (see postgres_launch)."""
        body = {
            "argv": list(argv),
            "cwd": self.seen(cwd),
            "environment": {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "TZ": "UTC"},
            "uid": self.uid,
            "gid": self.gid,
            "at": self.at,
            "binds": dict(self.binds) if self.binds is not None else None,
            "death_signal": death_signal,
            "parent": os.getpid(),
        }
        return [sys.executable, "-I", "-S", postgres_launch.__file__, json.dumps(body)]

    def give(self, path: Path) -> None:
        """Make a folder of ours belong to the user; what is in it keeps its owner."""
        if self.uid is not None and self.gid is not None and os.stat(path).st_uid != self.uid:
            os.chown(path, self.uid, self.gid)


def can_pass(path: Path, uid: int, gid: int, *, last: int = stat.S_IXOTH) -> bool:
    """Whether the user may go through every folder above `path`, and has the `last` right (o+x) on itself.

    Judged by mode and owner alone, as the user will have no other groups.
    """
    for place in (path, *path.parents):
        status = os.stat(place)
        want = last if place == path else stat.S_IXOTH
        shift = 6 if status.st_uid == uid else 3 if status.st_gid == gid else 0
        if (stat.S_IMODE(status.st_mode) >> shift) & want != want:
            return False
    return True


def choose(home: Path, binaries: Path, folders: Sequence[Path]) -> Runner:
    """The Runner for `home`: ourselves unless we are root. `folders` (data, sockets) will belong to the user.

    Raises PostgresNeedsUser with the ways out.
    """
    if os.geteuid() != 0:
        return Runner(None, None, "")
    uid, gid, user = _unprivileged(home)
    plain = Runner(uid, gid, user)
    reach = [binaries, *(folder.parent for folder in folders)]
    if all(can_pass(place, uid, gid) for place in reach):
        return plain
    lent = Runner(uid, gid, user, *_mounts(binaries, folders))
    if lent.at and _works(lent):
        return lent
    inside = {place for place in (home, *reach) if home == place or home in place.parents}
    if can_pass(home.parent, uid, gid) and all(can_pass(place, uid, gid) for place in reach if place not in inside):
        for place in inside:
            os.chmod(place, os.stat(place).st_mode | 0o011)  # noqa: S103  passing through, not reading
        return plain
    raise PostgresNeedsUser(
        f"PostgreSQL refuses to run as root, the user {user} cannot reach {home} or {binaries}, "
        "and the system refuses private mounts",
        _ADVICE.format(user=user),
    )


def _unprivileged(home: Path) -> tuple[int, int, str]:
    """Who owned the data before; else the owner of the home; else the first candidate that exists."""
    for place in (home / "postgres", home):
        if place.exists() and (status := os.stat(place)).st_uid != 0:
            return status.st_uid, status.st_gid, _name(status.st_uid)
    for name in CANDIDATES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid != 0:
            return entry.pw_uid, entry.pw_gid, name
    raise PostgresNeedsUser(
        "PostgreSQL refuses to run as root, and this system has none of the users " + ", ".join(CANDIDATES),
        _ADVICE.format(user=CANDIDATES[0]),
    )


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _mounts(binaries: Path, folders: Sequence[Path]) -> tuple[str, dict[str, str]]:
    at = next((place for place in _MOUNT_POINTS if os.path.isdir(place) and not os.path.islink(place)), "")
    package = binaries.parent
    binds = {f"folder{index}": str(folder) for index, folder in enumerate(folders)}
    # The programs find their libraries beside the package: $ORIGIN/../../../<package>.libs
    for place in (package, package.with_name(package.name + ".libs")):
        if place.is_dir():
            binds[f"site/{place.name}"] = str(place)
    return at, binds


def _works(runner: Runner) -> bool:
    """Whether the system grants the namespace (a child tries and ends)."""
    order = json.loads(runner.order([], Path("/"))[-1])
    del order["argv"]
    command = [*runner.order([], Path("/"))[:-1], json.dumps(order)]
    return subprocess.run(command, check=False, stdin=subprocess.DEVNULL, capture_output=True, timeout=30).returncode == 0
