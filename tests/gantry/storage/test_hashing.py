"""HashingThread: whatever the timing, the digest is that of all bytes."""

from __future__ import annotations

import hashlib
import random
from itertools import pairwise

from gantry.storage.hashing import HashingThread


def test_pieces_are_hashed_in_order_and_one_at_a_time() -> None:
    helper = HashingThread()
    dice = random.Random(3)
    buffer = memoryview(bytearray(dice.randbytes(400_000)))
    for _ in range(200):
        digest = hashlib.sha256()
        cuts = sorted(dice.randrange(len(buffer)) for _ in range(4))
        for start, end in pairwise(cuts):
            assert helper.start(digest, buffer[start:end])
            assert not helper.start(digest, buffer), "it helps one at a time"
            helper.wait()
        assert digest.digest() == hashlib.sha256(buffer[cuts[0] : cuts[-1]]).digest()
    helper.close()


def test_a_closed_helper_begins_again_when_it_is_needed() -> None:
    helper = HashingThread()
    for _ in range(2):
        digest = hashlib.sha256()
        assert helper.start(digest, memoryview(b"abc" * 100_000))
        helper.wait()
        assert digest.digest() == hashlib.sha256(b"abc" * 100_000).digest()
        helper.close()


def test_close_does_not_wait_for_an_object_that_was_never_ended() -> None:
    helper = HashingThread()
    assert helper.start(hashlib.sha256(), memoryview(b"abc"))
    helper.close()  # nobody calls wait()
