"""Carry out ordered mails as the worker does, and read what was written."""

from __future__ import annotations

import email
import re
from dataclasses import dataclass
from email.message import Message
from email.policy import default
from pathlib import Path
from typing import Any

from procrastinate.contrib.django.models import ProcrastinateJob


@dataclass
class Letter:
    """A mail."""

    to: str
    subject: str
    text: str

    @property
    def link(self) -> str:
        """What stands behind # in its link."""
        found = re.search(r"#(\S+)", self.text)
        assert found, self.text
        return found[1]


def deliver(home: Path) -> list[Letter]:
    """All mails that wait, sent; those that came of it, oldest first."""
    from gantry.accounts import mail_orders
    from gantry.accounts.models import MailOrder

    letters = []
    for row in MailOrder.objects.filter(done_at=None).order_by("pk"):
        assert ProcrastinateJob.objects.filter(task_name="gantry.accounts.work.send_mail", args={"order_id": row.pk}).exists()
        place = mail_orders.carry_out(row.pk)
        if place:
            letters.append(_read(Path(place), home))
    return letters


def _read(path: Path, home: Path) -> Letter:
    assert path.parent == home / "mail"
    assert path.stat().st_mode & 0o077 == 0
    message: Message[str, str] = email.message_from_bytes(path.read_bytes(), policy=default)
    body: Any = message.get_content()  # type: ignore[attr-defined]
    return Letter(str(message["To"]), str(message["Subject"]), str(body))
