"""Server-sent events: Django says who may, then the stream goes on without it and without its thread."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

from gantry.main.asgi_static import Application

Message = MutableMapping[str, Any]


class Events:
    """An ASGI application around another."""

    def __init__(self, inner: Application) -> None:
        self._inner = inner

    async def __call__(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        """Let the inner application answer; when it has left a wish for a stream, its answer is the stream."""
        from gantry.facts import live

        async def unless_wished(message: Message) -> None:
            if live.SCOPE_KEY not in scope:
                await send(message)

        await self._inner(scope, receive, unless_wished)
        wish = scope.pop(live.SCOPE_KEY, None)
        if isinstance(wish, live.Wish):
            await live.serve(wish, receive, send)
