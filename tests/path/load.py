"""A modality that never gives up: sends instances, notes which were answered 0000, sends again what was not."""

from __future__ import annotations

import hashlib
import itertools
import threading
import time
from dataclasses import dataclass, field

from dimse.blocking import connect
from dimse.errors import DimseError
from dimse.negotiation import ContextProposal
from tests.support.part10_files import CT_IMAGE_STORAGE, EXPLICIT_LITTLE_ENDIAN, ROOT, ct_dataset

_run = itertools.count(1)


@dataclass
class Load:
    """`senders` threads, each its own study; `acknowledged` maps SOP Instance UID to the digest of what was sent."""

    port: int
    senders: int = 2
    side: int = 16
    pause: float = 0.0
    aet: str = "GANTRY"
    acknowledged: dict[str, str] = field(default_factory=dict)
    refused: dict[int, int] = field(default_factory=dict)
    broken: int = 0

    def __post_init__(self) -> None:
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._root = f"{ROOT}.77.{next(_run)}.{time.time_ns() // 1_000_000 % 10**9}"

    def start(self) -> Load:
        self._threads = [threading.Thread(target=self._send, args=(n,), daemon=True) for n in range(1, self.senders + 1)]
        for thread in self._threads:
            thread.start()
        return self

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(90)
            assert not thread.is_alive(), "a sender hangs"

    def __len__(self) -> int:
        return len(self.acknowledged)

    def _send(self, sender: int) -> None:
        numbers = itertools.count(1)
        pending: tuple[str, bytes] | None = None
        while not self._stop.is_set():
            try:
                with connect(
                    "127.0.0.1", self.port, called_aet=self.aet, calling_aet=f"LOAD{sender}",
                    contexts=[ContextProposal(CT_IMAGE_STORAGE, (EXPLICIT_LITTLE_ENDIAN,))],
                    connect_timeout=20, response_timeout=60,
                ) as association:  # fmt: skip
                    for _ in range(50):  # then a new association, as modalities do
                        if self._stop.is_set():
                            break
                        pending = pending or self._next(sender, next(numbers))
                        instance, dataset = pending
                        result = association.store(
                            sop_class_uid=CT_IMAGE_STORAGE,
                            sop_instance_uid=instance,
                            transfer_syntax_uid=EXPLICIT_LITTLE_ENDIAN,
                            data=memoryview(dataset),
                        )
                        with self._lock:
                            if result.status == 0:
                                self.acknowledged[instance] = hashlib.sha256(dataset).hexdigest()
                                pending = None
                            else:
                                self.refused[result.status] = self.refused.get(result.status, 0) + 1
                        if result.status != 0:
                            time.sleep(0.05)
                        if self.pause:
                            time.sleep(self.pause)
            except (DimseError, OSError):
                self.broken += 1
                time.sleep(0.05)

    def _next(self, sender: int, number: int) -> tuple[str, bytes]:
        study, series = f"{self._root}.{sender}", f"{self._root}.{sender}.1"
        instance = f"{series}.{number}"
        # Every eighth object is large enough for a file of its own.
        side = 400 if number % 8 == 0 else self.side
        dataset = ct_dataset(number=number, study=study, series=series, instance=instance, patient_id=f"LOAD-{sender}", side=side)
        return instance, dataset
