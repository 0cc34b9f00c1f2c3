"""Becomes `initdb` or `postgres` as another user; run as a script in a child process, standard library only.

Its one argument is JSON: `argv`, `cwd`, `environment`, and optionally `uid` and `gid` to become, `binds`
(folders that this user cannot reach, name -> path; they appear as `at`/name in a mount namespace of
this process alone, so nothing changes for anybody else), `death_signal` to get when `parent` dies.
Exit status 71: the namespace was refused.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys

CLONE_NEWNS = 0x00020000
MS_NOSUID, MS_NODEV, MS_BIND, MS_REC, MS_PRIVATE = 2, 4, 4096, 16384, 1 << 18
PR_SET_PDEATHSIG = 1
REFUSED = 71

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def _mount(source: str, target: str, kind: str | None, flags: int, data: str | None = None) -> None:
    encoded = [None if text is None else os.fsencode(text) for text in (source, target, kind)]
    _check(_libc.mount(*encoded, ctypes.c_ulong(flags), None if data is None else data.encode()), f"mount {target}")


def enter_namespace(at: str, binds: dict[str, str]) -> None:
    """Show the folders `binds` below `at` to this process and its children only. Raises OSError when refused."""
    _check(_libc.unshare(CLONE_NEWNS), "unshare")
    # Opened before the mount, which may hide a folder that lies below `at`; after unshare, as a bind
    # mount takes only what belongs to its own namespace.
    sources = {name: os.open(path, os.O_PATH | os.O_DIRECTORY) for name, path in binds.items()}
    _mount("none", "/", None, MS_REC | MS_PRIVATE)
    _mount("tmpfs", at, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755,size=64k")
    for name, descriptor in sources.items():
        target = os.path.join(at, name)
        os.makedirs(target, 0o755)
        _mount(f"/proc/self/fd/{descriptor}", target, None, MS_BIND | MS_REC)
        os.close(descriptor)


def main(order: dict[str, object]) -> None:
    """Carry out the order; does not return unless it only probes (no `argv`)."""
    if order.get("binds") is not None:
        os.umask(0o022)  # the folders of the namespace are for the other user
        try:
            enter_namespace(str(order["at"]), order["binds"])  # type: ignore[arg-type]  # our own JSON
        except OSError as error:
            print(f"private mounts are refused: {error.strerror}", file=sys.stderr)
            sys.exit(REFUSED)
    os.umask(0o077)
    if order.get("uid") is not None:
        uid, gid = int(str(order["uid"])), int(str(order["gid"]))
        os.setgroups([])
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
    if order.get("death_signal"):
        # After the change of user, which clears it.
        _libc.prctl(PR_SET_PDEATHSIG, ctypes.c_ulong(int(str(order["death_signal"]))), 0, 0, 0)
        if os.getppid() != order["parent"]:
            sys.exit(1)
    argv = order.get("argv")
    if not isinstance(argv, list):
        return
    os.chdir(str(order["cwd"]))
    environment = order["environment"]
    assert isinstance(environment, dict)
    os.execve(argv[0], argv, environment)  # noqa: S606  an argument list, no shell


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
