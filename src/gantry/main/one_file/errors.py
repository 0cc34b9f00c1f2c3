"""Why a file is not applied."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from gantry.accounts.errors import Invalid


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: in which line (0: none), where (`nodes[2].address`), and what."""

    line: int
    where: str
    message: str

    def words(self, name: str) -> str:
        """As compilers say it: `site.yaml:42: nodes[2].address: ...`."""
        place = f"{name}:{self.line}" if self.line else name
        return f"{place}: {self.where}: {self.message}" if self.where else f"{place}: {self.message}"


class FileRefused(Invalid):
    """The file cannot be applied; nothing was changed."""

    remedy = "Correct these lines; nothing was changed."
    #: More are not named: the first ones are corrected first.
    MOST = 50

    def __init__(self, problems: Sequence[Problem], name: str = "file") -> None:
        self.problems = sorted(problems, key=lambda one: (one.line, one.where))[: self.MOST]
        self.lines = [problem.words(name) for problem in self.problems]
        super().__init__("; ".join(self.lines)[:4000], details=[asdict(problem) for problem in self.problems])
