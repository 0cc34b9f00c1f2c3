"""HashingThread: whatever the timing, the digest is that of all bytes."""

from __future__ import annotations

import hashlib
import random
import time

from gantry.storage.hashing import HashingThread


def test_following_gives_the_digest_of_everything() -> None:
    helper = HashingThread()
    dice = random.Random(3)
    buffer = memoryview(bytearray(dice.randbytes(400_000)))
    for _ in range(400):
        digest = hashlib.sha256()
        start = dice.randrange(2000)
        following = helper.follow(digest, buffer, start)
        assert following is not None
        assert helper.follow(digest, buffer, 0) is None, "it helps one at a time"
        end = start
        for _ in range(dice.randrange(4)):
            end = min(len(buffer), end + dice.randrange(130_000))
            following.extend(end)
            if dice.random() < 0.3:
                time.sleep(0.0002)
        following.finish()
        assert digest.digest() == hashlib.sha256(buffer[start:end]).digest()
    helper.close()


def test_beside_a_write() -> None:
    helper = HashingThread()
    digest = hashlib.sha256()
    with helper.beside(digest, memoryview(b"abc" * 100_000)):
        pass
    assert digest.digest() == hashlib.sha256(b"abc" * 100_000).digest()
    helper.close()
