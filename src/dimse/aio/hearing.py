"""Tells answers to several open questions of an asyncio requestor apart."""

from __future__ import annotations

from collections.abc import Callable

from dimse.aio.operation import MAX_WAITING, Question
from dimse.association import Association
from dimse.commands import RESPONDED_ID, STATUS, Command
from dimse.requesting import Listener
from dimse.status import Category, category_of


class Hearing(Listener):
    """A listener that tells answers to several questions apart."""

    def __init__(self, core: Association, release: Callable[[], None]) -> None:
        super().__init__(core)
        self.questions: dict[int, Question] = {}
        #: A question whose answers nobody takes fast enough.
        self.full: Question | None = None
        self._give_back = release

    def _answered(self, command: Command, data: bytes) -> None:
        number = command.number(RESPONDED_ID)
        question = self.questions.get(number)
        if question is None or question.field != command.field:
            if not self.questions:
                return  # nobody asks: as good as unsaid
            raise self._broken(f"{command.name} does not answer the question that was asked")
        if category_of(command.number(STATUS)) is not Category.PENDING:
            del self.questions[number]
            question.finished = True
            if question.patient:
                self.takes_stores = False
            self._give_back()
        if question.abandoned:
            return
        question.answers.append((command, data))
        if len(question.answers) >= MAX_WAITING and not question.finished:
            self.full = question
        question.wake()
