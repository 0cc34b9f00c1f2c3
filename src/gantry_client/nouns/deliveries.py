"""Deliveries: the ledger, and what people do with it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gantry_client.models import Delivery, Receipt
from gantry_client.nouns.asking import Asking, given, part
from gantry_client.records_deliveries import Decision, DeliveryAttempt, Destination, Held, Sent, Steered


class Deliveries(Asking):
    """What goes where. Who steers says why; the reason is kept in the audit."""

    def deliveries(
        self,
        *,
        study_instance_uid: str | None = None,
        node: str | None = None,
        status: str | None = None,
        rule_name: str | None = None,
    ) -> Iterator[Delivery]:
        """The delivery ledger, in the order it was ordered."""
        return self._all(Delivery, "/deliveries", {
            "study_instance_uid": study_instance_uid, "node": node, "status": status, "rule_name": rule_name,
        })  # fmt: skip

    def retry(self, *, study_instance_uid: str | None = None, node: str | None = None, ids: Sequence[int] | None = None) -> int:
        """Try failed and dead deliveries again; gives their number."""
        body = {"study_instance_uid": study_instance_uid, "node": node, "ids": None if ids is None else list(ids)}
        return int(self._ask("POST", "/deliveries/retry", body)["queued"])

    def receipt(self, study_instance_uid: str) -> Receipt:
        """What was delivered where, and whether it is byte-identical. Raises NotFound."""
        return self._one(Receipt, "GET", f"/studies/{part(study_instance_uid)}/receipt")

    def send(self, study_instance_uid: str, nodes: Sequence[str], *, priority: int | None = None) -> Sent:
        """Order a study for nodes, beside the rules."""
        body = given(study_instance_uid=study_instance_uid, nodes=list(nodes), priority=priority)
        return self._one(Sent, "POST", "/deliveries", body)

    def hold(self, study_instance_uid: str, *, node: str | None = None, reason: str) -> Steered:
        """Keep what is not sent yet back."""
        return self._steer("hold", study_instance_uid, node, reason)

    def release(self, study_instance_uid: str, *, node: str | None = None, reason: str, priority: int | None = None) -> Steered:
        """Let what is held go."""
        return self._steer("release", study_instance_uid, node, reason, priority)

    def recall(self, study_instance_uid: str, *, node: str | None = None, reason: str) -> Steered:
        """Cancel what is not sent yet."""
        return self._steer("recall", study_instance_uid, node, reason)

    def resend(self, study_instance_uid: str, *, node: str | None = None, reason: str, priority: int | None = None) -> Steered:
        """Send again what was sent, failed or was cancelled."""
        return self._steer("resend", study_instance_uid, node, reason, priority)

    def attempts(
        self, *, study_instance_uid: str | None = None, node: str | None = None, delivery: int | None = None
    ) -> Iterator[DeliveryAttempt]:
        """What came of each attempt of a study, or of one delivery, the newest first. Raises NotFound."""
        return self._all(
            DeliveryAttempt, "/deliveries/attempts",
            {"study_instance_uid": study_instance_uid, "node": node, "delivery": delivery}, limit=500,
        )  # fmt: skip

    def destinations(self) -> Iterator[Destination]:
        """What waits for each, how fast it goes, when it will be through, the circuit breaker."""
        return self._all(Destination, "/destinations", {}, limit=None)

    def decisions(self, *, study: str | None = None) -> Iterator[Decision]:
        """Why things went where they went, the last first."""
        return self._all(Decision, "/decisions", {"study": study})

    def held(self, *, study: str | None = None, state: str | None = None) -> Iterator[Held]:
        """What rules hold back."""
        return self._all(Held, "/held", {"study": study, "state": state})

    def release_held(self, *, study_instance_uid: str | None = None, ids: Sequence[int] | None = None, reason: str) -> int:
        """Let rules have what they held back; gives the number of instances."""
        return self._end_held("release", study_instance_uid, ids, reason)

    def dismiss_held(self, *, study_instance_uid: str | None = None, ids: Sequence[int] | None = None, reason: str) -> int:
        """What was held back goes nowhere; gives the number of instances."""
        return self._end_held("dismiss", study_instance_uid, ids, reason)

    def _end_held(self, how: str, study_instance_uid: str | None, ids: Sequence[int] | None, reason: str) -> int:
        body = given(study_instance_uid=study_instance_uid, ids=None if ids is None else list(ids), reason=reason)
        return int(self._ask("POST", f"/held/{how}", body)["instances"])

    def _steer(self, how: str, study: str, node: str | None, reason: str, priority: int | None = None) -> Steered:
        body = given(study_instance_uid=study, node=node, reason=reason, priority=priority)
        return self._one(Steered, "POST", f"/deliveries/{how}", body)
