"""The receipt of the demonstration as people read it."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gantry.main import cli_output

_EXAMPLES = 3


@dataclass(frozen=True, slots=True)
class Proof:
    """One study at one destination. `identical`: source, stored and archived data set have one SHA-256."""

    study_instance_uid: str
    modalities: tuple[str, ...]
    node: str
    instances: int
    confirmed: int
    dataset_bytes: int
    identical: int
    digests: Mapping[str, str]

    @property
    def complete(self) -> bool:
        """Everything arrived, unchanged."""
        return self.instances == self.confirmed == self.identical > 0

    @property
    def fingerprint(self) -> str:
        """One SHA-256 over the digests of all data sets, in the order of their SOP Instance UIDs."""
        return hashlib.sha256("".join(self.digests[uid] for uid in sorted(self.digests)).encode("ascii")).hexdigest()


def show_proof(proofs: Sequence[Proof], began: float) -> bool:
    """Print the receipt; gives whether it is complete."""
    cli_output.print_table(
        ("study", "modality", "to", "delivered", "byte-identical", "data set bytes#", "SHA-256 over all data sets"),
        (
            (proof.study_instance_uid, proof.modalities, proof.node, f"{proof.confirmed} of {proof.instances}",
             f"{proof.identical} of {proof.instances}", proof.dataset_bytes, proof.fingerprint)
            for proof in proofs
        ),
        title="Receipt: each data set compared in the source file, in the home and at the destination",
        empty="Nothing was delivered.",
    )  # fmt: skip
    for proof in proofs:
        for uid in sorted(proof.digests)[:_EXAMPLES]:
            cli_output.out.print(f"  SHA-256 {proof.digests[uid]}  {cli_output.text(uid)}", soft_wrap=True)
        if len(proof.digests) > _EXAMPLES:
            cli_output.out.print(
                f"  ... and {len(proof.digests) - _EXAMPLES} more (`gantry receipt {proof.study_instance_uid}`)", soft_wrap=True
            )
    count, total = sum(proof.identical for proof in proofs), sum(proof.instances for proof in proofs)
    complete = bool(proofs) and all(proof.complete for proof in proofs)
    colour = "green" if complete else "red"
    words = "byte-identical, SHA-256 compared" if complete else "which is not all, or not identical"
    cli_output.out.print(
        f"[{colour}]{count} of {total} instances delivered, {words}, in {time.monotonic() - began:.1f} s.[/{colour}]",
        soft_wrap=True,
    )
    return complete
