"""The processes that paint end with the tests of this room."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session", autouse=True)
def _renderers() -> Iterator[None]:
    yield
    from gantry.dataset.render_pool import close_renderers

    close_renderers()
