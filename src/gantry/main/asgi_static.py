"""Static files (pages' styles, Swagger UI, the administration's scripts), answered before Django is asked.

WhiteNoise knows the files, their types and caching; read here, because what it gives Django is a synchronous
stream, which Django under ASGI would complain about at each file.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from whitenoise.middleware import WhiteNoiseMiddleware

Scope = MutableMapping[str, Any]
Application = Callable[[Scope, Any, Any], Awaitable[None]]

PREFIX = "/static/"


class StaticFiles:
    """An ASGI application around another."""

    def __init__(self, inner: Application) -> None:
        self._inner = inner
        self._files: dict[str, Any] | None = None

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        """Answer with a file, or leave it to the inner application."""
        static_file = None
        if scope["type"] == "http" and scope["path"].startswith(PREFIX) and scope["method"] in {"GET", "HEAD"}:
            if self._files is None:
                self._files = WhiteNoiseMiddleware().files
            static_file = self._files.get(scope["path"])
        if static_file is None:
            await self._inner(scope, receive, send)
            return
        environ = {
            "HTTP_" + name.decode("latin-1").upper().replace("-", "_"): value.decode("latin-1")
            for name, value in scope["headers"]
        }
        answer = static_file.get_response(scope["method"], environ)
        headers = [(name.lower().encode("latin-1"), str(value).encode("latin-1")) for name, value in answer.headers]
        await send({"type": "http.response.start", "status": int(answer.status), "headers": headers})
        content = b""
        if answer.file is not None:  # the largest of ours has 1.5 MB
            with answer.file:
                content = await asyncio.to_thread(answer.file.read)
        await send({"type": "http.response.body", "body": content})
