"""Say plainly what is missing before an installation begins."""

import sys


def main() -> int:
    if sys.version_info < (3, 11):  # noqa: UP036  this is where it is said
        print(
            f"Gantry needs Python 3.11 or newer; this is {sys.version.split()[0]}. Try: make PYTHON=python3.12 setup",
            file=sys.stderr,
        )
        return 2
    if not sys.platform.startswith("linux"):
        print(f"Gantry runs on Linux; this is {sys.platform}.", file=sys.stderr)
        return 2
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError:
        print("Python's venv module is missing. On Debian and Ubuntu: apt-get install python3-venv", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
