"""Send a mail by the settings `mail_*`: to a mail server, or as a file into HOME/mail when none is set.

Only the worker and the command line send; a request orders (see `mail_orders`), so that its time does not tell
whether somebody exists.
"""

from __future__ import annotations

import logging
import os
import smtplib
import ssl
import uuid
from collections.abc import Sequence
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from pathlib import Path

from gantry import config, sealing
from gantry.config import Config

log = logging.getLogger("gantry.mail")
TIMEOUT_SECONDS = 30.0


class MailFailed(Exception):
    """The mail could not be handed over; the message says why, without addresses."""


def send(to: Sequence[str], subject: str, text: str) -> str:
    """Hand a mail over, or write it; gives the place of the file, or the name of the server. Raises MailFailed."""
    settings = config.current()
    message = EmailMessage()
    try:
        message["From"], message["To"] = settings.mail_from, ", ".join(to)
        message["Subject"] = subject
    except (ValueError, TypeError) as error:
        raise MailFailed("an address or the subject cannot be written into a mail") from error
    message["Date"], message["Message-ID"] = formatdate(), make_msgid(domain="gantry.invalid")
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(text)
    return _to_server(message, settings) if settings.mail_smtp else _to_file(message, Path(settings.home) / "mail")


def _to_file(message: EmailMessage, folder: Path) -> str:
    """One file per mail, for the owner of the home only: it holds links that open an account."""
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        path = folder / f"{uuid.uuid4().hex}.eml"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "wb") as file:
            file.write(bytes(message))
    except OSError as error:
        raise MailFailed(f"the mail cannot be written: {error.strerror}") from error
    log.warning("no mail server is set: a mail lies in %s", path)
    return str(path)


def _to_server(message: EmailMessage, settings: Config) -> str:
    host, port = config.split_address(settings.mail_smtp)
    trust = ssl.create_default_context()
    try:
        password = sealing.reveal(Path(settings.home), settings.mail_password, "mail") if settings.mail_user else ""
    except sealing.SecretUnavailable as error:
        raise MailFailed(f"mail_password: {error}") from error
    try:
        if settings.mail_tls == "tls":
            server: smtplib.SMTP = smtplib.SMTP_SSL(host, port, timeout=TIMEOUT_SECONDS, context=trust)
        else:
            server = smtplib.SMTP(host, port, timeout=TIMEOUT_SECONDS)
        with server:
            if settings.mail_tls == "starttls":
                server.starttls(context=trust)
            if settings.mail_user:
                server.login(settings.mail_user, password)
            server.send_message(message)
    except (smtplib.SMTPException, OSError) as error:
        # Answers of servers quote addresses; the kind of the error says enough.
        raise MailFailed(f"the mail server {settings.mail_smtp} failed: {type(error).__name__}") from error
    return settings.mail_smtp
