"""The wire engine is usable alone: nothing of the house, no Django, no pydicom, only Python's own library.

An interpreter without site-packages (`-I -S`) sees a copy of `src/dimse`, a copy of the engine's tests and, to run them,
pytest and hypothesis; nothing else can be imported.
"""

from __future__ import annotations

import ast
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
#: What runs the tests; none of it is there when only the import is tried.
RUNNERS = (
    "pytest",
    "_pytest",
    "py",
    "pluggy",
    "iniconfig",
    "packaging",
    "pygments",
    "hypothesis",
    "sortedcontainers",
    "attr",
    "attrs",
)
ABSENT = ("gantry", "gantry_client", "django", "pydicom", "pynetdicom", "psycopg", "pydantic", "uvloop")
#: Tests that come along must not need these; the files of other helpers of the suite may.
FOREIGN = {
    "gantry",
    "fuzz",
    "tests.support",
    "tests.conftest",
    "tests.peers",
    "tests.path",
    "pydicom",
    "pynetdicom",
    "psycopg",
    "django",
}
#: What a test of the protocol core has no use for: these belong to the drivers.
IN_AND_OUT = {"dimse.aio", "dimse.blocking", "asyncio", "socket", "threading", "subprocess"}
#: Whole servers and clients take long; a few tests show that the drivers run alone too.
SOME = "(echo or reject or whole_conversation) and not uvloop"
CONFTEST = """
import os
from hypothesis import settings
def pytest_configure(config):
    config.addinivalue_line("markers", "peer(name): another implementation")
    config.addinivalue_line("markers", "timeout(seconds): of pytest-timeout")
    config.addinivalue_line("markers", "slow: longer than ten seconds")
    config.addinivalue_line("markers", "torture: many rounds")
settings.register_profile("short", max_examples=20, database=None)
settings.load_profile("short")
"""


def _imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def _reaches(path: Path, folder: Path, wanted: set[str]) -> bool:
    """Does the file import any of these, itself or through files beside it?"""
    seen, ahead = set(), [path]
    while ahead:
        file = ahead.pop()
        if file in seen or not file.exists():
            continue
        seen.add(file)
        names = _imports(file)
        if any(name == one or name.startswith(f"{one}.") for name in names for one in wanted):
            return True
        ahead += [folder / f"{name.split('.')[2]}.py" for name in names if name.startswith("tests.dimse.")]
    return False


@pytest.fixture
def alone(tmp_path: Path) -> Path:
    """A folder with nothing but the engine in it."""
    shutil.copytree(ROOT / "src" / "dimse", tmp_path / "only" / "dimse", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def _run(alone: Path, program: str, *paths: Path, timeout: float = 100) -> subprocess.CompletedProcess[str]:
    places = [str(alone / "only"), *map(str, paths)]
    return subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"import sys; sys.path[:0] = {places!r}\n{program}"],
        cwd=alone, capture_output=True, text=True, timeout=timeout, check=False, stdin=subprocess.DEVNULL,
        env={"PATH": os.environ["PATH"], "HOME": str(alone), "TMPDIR": str(alone)},
    )  # fmt: skip


def test_every_module_imports_with_the_standard_library_alone(alone: Path) -> None:
    done = _run(alone, f"""
import importlib, importlib.util, pkgutil, dimse
names = [module.name for module in pkgutil.walk_packages(dimse.__path__, "dimse.")]
for name in names:
    importlib.import_module(name)
assert len(names) > 20, names
there = [name for name in {ABSENT!r} if importlib.util.find_spec(name)]
assert not there, there
outside = sorted({{name.split(".")[0] for name in sys.modules}} - set(sys.stdlib_module_names) - {{"dimse", "__main__", "__mp_main__"}})
outside = [name for name in outside if not name.startswith(("_sysconfigdata", "__editable__"))]
assert not outside, outside
print(len(names), "modules")
""")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("modules\n")


@pytest.mark.timeout(120)
def test_its_own_tests_pass_alone(alone: Path) -> None:
    runners = alone / "runners"
    runners.mkdir()
    for name in RUNNERS:
        spec = importlib.util.find_spec(name)
        if spec is None or spec.origin is None:
            continue
        place = Path(spec.origin).parent if spec.submodule_search_locations else Path(spec.origin)
        (runners / place.name).symlink_to(place)
    for extension in Path(importlib.util.find_spec("hypothesis").origin).parents[1].glob("_hypothesis*"):  # type: ignore[union-attr,arg-type]
        (runners / extension.name).symlink_to(extension)
    folder = alone / "tests" / "dimse"
    shutil.copytree(ROOT / "tests" / "dimse", folder, ignore=shutil.ignore_patterns("__pycache__"))
    (alone / "tests" / "__init__.py").touch()
    (alone / "tests" / "conftest.py").write_text(CONFTEST)
    mine = [path for path in sorted(folder.glob("test_*.py")) if not _reaches(path, folder, FOREIGN)]
    core = [path for path in mine if not _reaches(path, folder, IN_AND_OUT)]
    # Whoever starts processes starts them in the checkout.
    rest = [path for path in mine if path not in core and not _reaches(path, folder, {"subprocess"})]
    arguments = ["-q", "-x", "-p", "no:cacheprovider", "-W", "ignore", f"--rootdir={alone}", "-c", os.devnull]
    program = "import pytest; raise SystemExit(pytest.main({!r}))"
    for files, chosen, least in ((core, [], 500), (rest, ["-k", SOME], 10)):
        done = _run(alone, program.format([*arguments, *map(str, files), *chosen]), runners, alone)
        assert done.returncode == 0, done.stdout + done.stderr
        assert int(done.stdout.rsplit(" passed", 1)[0].split()[-1]) >= least, done.stdout
