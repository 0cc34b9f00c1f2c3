"""Queue functions of accounts."""

from __future__ import annotations

from procrastinate import RetryStrategy
from procrastinate.contrib.django import app

from gantry.accounts import mail_orders


@app.task(
    name="gantry.accounts.work.send_mail", queue="mail",
    retry=RetryStrategy(max_attempts=mail_orders.MAX_ATTEMPTS, exponential_wait=4),
)  # fmt: skip
def send_mail(order_id: int) -> None:
    """Write and send one mail."""
    mail_orders.carry_out(order_id)
