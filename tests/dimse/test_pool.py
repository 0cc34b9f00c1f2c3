"""The association pool, against our own server; and that short associations leave nothing behind."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import os
import resource
from pathlib import Path

import pytest

from dimse import Accept, AssociationInfo, Reject, aio
from dimse.aio import Pool, Target
from dimse.errors import AssociationRejected, ConnectFailed, LocalProtocolError
from dimse.pdu import encode_request
from dimse.requesting import build_request
from dimse.uids import CT_IMAGE_STORAGE, EXPLICIT_VR_LITTLE_ENDIAN
from tests.dimse.drivers import QUICK, Keeper
from tests.dimse.loops import on_both_loops, serving, until
from tests.dimse.pair import CONTEXTS


def target(port: int, called: str = "GANTRY", **changes: object) -> Target:
    return Target("127.0.0.1", port, called, "TESTER", CONTEXTS, **({"response_timeout": 5.0} | changes))  # type: ignore[arg-type]


class Counting(Keeper):
    """Counts who was there and asks echoes back."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[object] = set()
        self.echoes = 0

    def echo(self, association: AssociationInfo) -> int:
        self.seen.add(association.id)
        self.echoes += 1
        return 0


@on_both_loops
async def test_associations_are_used_again_and_never_more_than_allowed() -> None:
    keeper = Counting()
    async with serving(keeper) as port, Pool(maximum=3) as pool:
        most = 0

        async def use() -> None:
            nonlocal most
            async with pool.association(target(port)) as association:
                most = max(most, pool.used)
                assert await association.echo() == 0
                await asyncio.sleep(0.002)

        await asyncio.gather(*(use() for _ in range(40)))
        assert (most, len(keeper.seen), keeper.echoes) == (3, 3, 40)
        assert (pool.idle, pool.used) == (3, 0)
        async with pool.association(target(port, "OTHER")) as association:  # another key, another association
            await association.echo()
        assert (len(keeper.seen), pool.idle) == (4, 4)
    await until(lambda: keeper.ended == ["released"] * 4)


@on_both_loops
async def test_what_failed_or_is_in_use_is_not_given_out_again() -> None:
    keeper = Counting()
    async with serving(keeper) as port, Pool(maximum=1) as pool:
        with pytest.raises(ValueError, match="mine"):
            async with pool.association(target(port)) as association:
                raise ValueError("mine")
        assert (pool.idle, pool.used) == (0, 0)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05), pool.association(target(port)):
                await asyncio.sleep(5)
        async with pool.association(target(port)) as association:
            task = asyncio.create_task(association.store(sop_class_uid=CT_IMAGE_STORAGE, sop_instance_uid="1.2.3",
                                       transfer_syntax_uid=EXPLICIT_VR_LITTLE_ENDIAN, data=bytes(30_000_000)))  # fmt: skip
            await asyncio.sleep(0)
        assert pool.idle == 0  # a request was open
        assert isinstance((await asyncio.gather(task, return_exceptions=True))[0], Exception)
        keeper.decision = Reject()
        for _ in range(3):  # a place that gave nothing is free again
            with pytest.raises(AssociationRejected):
                async with pool.association(target(port)):
                    pass
        keeper.decision = Accept()
        async with asyncio.timeout(2), pool.association(target(port)) as association:
            assert await association.echo() == 0


@on_both_loops
async def test_idle_ones_are_checked_and_released() -> None:
    keeper = Counting()
    async with Pool(idle_seconds=0.15, check_seconds=0.0, check_timeout=0.3) as pool:
        async with serving(keeper) as port:
            for _ in range(2):
                async with pool.association(target(port)) as association:
                    await association.echo()
            assert keeper.echoes == 3  # the second use was checked before
            assert len(keeper.seen) == 1
            await until(lambda: pool.idle == 0)
            await until(lambda: keeper.ended == ["released"])
            async with pool.association(target(port)) as association:
                await association.echo()
        # the server is gone: its end is seen without asking
        with pytest.raises(ConnectFailed):
            async with pool.association(target(port)):
                pass
        async with serving(keeper) as port:
            async with pool.association(target(port)) as association:
                await association.echo()
            keeper.echo = stuck  # type: ignore[method-assign,assignment]
            async with asyncio.timeout(1), pool.association(target(port)) as other:  # it answers no more: replaced
                assert other is not association


async def stuck(association: AssociationInfo) -> int:
    await asyncio.sleep(30)
    return 0


@on_both_loops
async def test_a_closed_pool_gives_nothing_and_aborts_what_is_used() -> None:
    keeper = Counting()
    async with serving(keeper) as port:
        pool = Pool(maximum=1)

        async def use() -> None:
            async with pool.association(target(port)) as association:
                await association.echo()
                await asyncio.sleep(0.1)
                await association.echo()

        tasks = [asyncio.create_task(use()) for _ in range(2)]
        await until(lambda: keeper.echoes == 1)
        await pool.aclose()
        said = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(error) for error in said] == [LocalProtocolError, LocalProtocolError]
        with pytest.raises(LocalProtocolError, match="pool is closed"):
            async with pool.association(target(port)):
                pass
        await until(lambda: keeper.ended[:1] == ["aborted"])
    with pytest.raises(LocalProtocolError):
        Pool(maximum=0)


REQUEST = encode_request(build_request("GANTRY", "TESTER", CONTEXTS, 16384))
#: On each of the two loops.
ROUNDS = 1000


@on_both_loops
async def test_short_associations_leave_nothing_behind() -> None:
    """Connect, echo, release; some are aborted, some closed without a word, some cut inside a message."""
    keeper = Counting()
    async with serving(keeper, limits=QUICK) as port:

        async def one(number: int) -> None:
            if number % 10 == 3:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(REQUEST[: 40 + number % 100])
                writer.transport.abort() if number % 20 == 3 else writer.close()
                return
            association = await aio.connect("127.0.0.1", port, called_aet="GANTRY", calling_aet="TESTER", contexts=CONTEXTS)
            if number % 10 == 5:
                sending = asyncio.create_task(
                    association.store(
                        sop_class_uid=CT_IMAGE_STORAGE,
                        sop_instance_uid="1.2.3",
                        transfer_syntax_uid=EXPLICIT_VR_LITTLE_ENDIAN,
                        data=BIG,
                    )
                )
                await asyncio.sleep(0)
                sending.cancel()
                await asyncio.gather(sending, return_exceptions=True)
                association.close()
                return
            assert await association.echo() == 0
            if number % 10 == 7:
                await association.abort()
            elif number % 10 == 8:
                association.close()
            else:
                await association.release()

        async def many(count: int) -> None:
            for first in range(0, count, 20):
                await asyncio.gather(*(one(first + n) for n in range(20)))
            await until(settled)

        def settled() -> bool:
            return len(asyncio.all_tasks()) <= 4  # this one, its parent, the accepting one

        await many(ROUNDS // 5)
        await asyncio.sleep(0.3)  # sockets that are being closed
        before, size, tasks = descriptors(), resident(), len(asyncio.all_tasks())
        await many(ROUNDS)
        await until(lambda: descriptors() <= before)
        assert len(asyncio.all_tasks()) == tasks
        assert resident() - size < 5 << 20


BIG = bytes(3_000_000)


def descriptors() -> int:
    """How many this process has."""
    return len(os.listdir("/proc/self/fd"))


def resident() -> int:
    """Bytes of memory in use by this process, without what malloc keeps for later."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
