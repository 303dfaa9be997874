"""Who asks, how much each visitor may ask for, and whether anybody still waits for an answer.

A visitor is a network address: whatever else a browser says of itself, it may say otherwise the next time. Behind
proxies it is the one that the outermost of them noted; `SFHUB_PROXIES` says how many there are.
"""

import json
import os
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

import gradio as gr
from gradio.context import LocalContext
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sfhub.limits import limits

__all__ = ["Admission", "current_visitor", "is_awaited", "visitor_of"]

PATIENCE = 10.0
"""Seconds in which somebody has to come for an answer that was asked for."""

MOST_VISITORS = 10_000
"""Visitors whose recent uploads and requests are remembered."""

UNKNOWN = "unknown"

_LISTENERS: dict[str, int] = {}
"""Open streams of answers, by session or event; only touched by the server's event loop."""


# Inside an answer ---------------------------------------------------------------------------------------------------


def current_visitor() -> str:
    """The visitor whose request is being answered."""
    request = getattr(LocalContext.request.get(None), "request", None)
    return UNKNOWN if request is None else visitor_of(request.scope)


def is_awaited() -> Callable[[], bool]:
    """What tells, now and later, whether anybody waits for the answer that is being made."""
    event_id, start = LocalContext.event_id.get(None), time.monotonic()
    blocks = LocalContext.blocks.get(None)

    def awaited() -> bool:
        event = None if event_id is None or blocks is None else blocks._queue.event_ids_to_events.get(event_id)
        if event is None:  # asked for without the queue
            return True
        return event.alive and (
            event.session_hash in _LISTENERS or event_id in _LISTENERS or time.monotonic() - start < PATIENCE
        )

    return awaited


def visitor_of(scope: Mapping[str, Any]) -> str:
    """The visitor who sent a request, by what the server knows of its connection."""
    noted = dict(scope["headers"]).get(b"x-forwarded-for", b"").decode("latin-1").split(",")
    hops = [hop.strip() for hop in noted if hop.strip()]
    proxies = os.environ.get("SFHUB_PROXIES", "0")
    if proxies.isdecimal() and 0 < int(proxies) <= len(hops):
        return hops[-int(proxies)]
    if hops and "SPACE_ID" in os.environ and proxies == "0":  # how many there are before a Space is not told
        return hops[0]
    return (scope.get("client") or [UNKNOWN])[0]


# In front of the page -----------------------------------------------------------------------------------------------


class Admission:
    """ASGI middleware that turns away what is too much, before any of it is read or waits.

    Bodies have a limit, and so have uploads, requests per minute and waiting requests of each visitor
    (`sfhub.limits`). It also notes who listens for answers.

    Args:
        app: what it stands in front of.
        page: whose requests wait.
    """

    def __init__(self, app: ASGIApp, page: gr.Blocks):
        self.app, self.page = app, page
        self._uploads, self._requests = Allowance(), Allowance()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
        elif scope["method"] == "GET":
            await self._get(scope, receive, send)
        else:
            await self._take(scope, receive, send)

    async def _get(self, scope: Scope, receive: Receive, send: Send) -> None:
        key = _listens_for(scope)
        if key is None:
            await self.app(scope, receive, send)
            return
        _LISTENERS[key] = _LISTENERS.get(key, 0) + 1
        try:
            await self.app(scope, receive, send)
        finally:
            _LISTENERS[key] -= 1
            if not _LISTENERS[key]:
                del _LISTENERS[key]

    async def _take(self, scope: Scope, receive: Receive, send: Send) -> None:
        bounds, visitor = limits(), visitor_of(scope)
        uploads = scope["path"].endswith("/upload")
        most = bounds.upload_bytes + 2**16 if uploads else bounds.body_bytes
        length = _length(scope)
        if length > most:
            await _refuse(send, 413, f"This request has {length:,} bytes, more than the {most:,} that the page takes.")
        elif uploads and not length:
            await _refuse(send, 411, "An upload has to say how long it is; send its length.")
        elif not self._requests.take(visitor, 1, bounds.requests_per_minute):
            await _refuse(send, 429, "These are too many requests in a minute; wait a little and try again.")
        elif uploads and not self._uploads.take(visitor, length, bounds.upload_bytes_per_minute):
            await _refuse(send, 429, "These are too many uploads in a minute; wait a little and try again.")
        elif _joins(scope) and self._waiting(visitor) >= bounds.waiting_each:
            await _refuse(send, 429, "Too many of your requests wait already; try again when some are answered.")
        else:
            await self.app(scope, _Bounded(receive, most), send)

    def _waiting(self, visitor: str) -> int:
        """Requests of a visitor that wait or are worked on."""
        events = list(self.page._queue.event_ids_to_events.values())
        return sum(visitor_of(event.request.scope) == visitor for event in events)


class Allowance:
    """So much in a minute, by visitor; what is not used grows no larger."""

    def __init__(self):
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, visitor: str, amount: float, per_minute: float) -> bool:
        """Take some of what a visitor has left; whether there was as much."""
        now = time.monotonic()
        left, then = self._left.pop(visitor, (per_minute, now))
        left = min(per_minute, left + (now - then) * per_minute / 60)
        enough = left >= amount
        self._left[visitor] = (left - amount if enough else left, now)
        while len(self._left) > MOST_VISITORS:
            self._left.popitem(last=False)
        return enough


class _Bounded:
    """What a client sends, which ends with an error where it becomes longer than it may be."""

    def __init__(self, receive: Receive, most: int):
        self._receive, self._left = receive, most

    async def __call__(self) -> Message:
        message = await self._receive()
        self._left -= len(message.get("body", b""))
        return {"type": "http.disconnect"} if self._left < 0 else message


def _length(scope: Scope) -> int:
    """Of the body, as the client announces it; 0 if it does not."""
    text = dict(scope["headers"]).get(b"content-length", b"0")
    return int(text) if text.isdigit() and len(text) < 16 else 0


def _joins(scope: Scope) -> bool:
    """Whether a request asks for work."""
    path = scope["path"]
    return path.endswith("/queue/join") or any(part in path for part in ("/call/", "/run/", "/api/"))


def _listens_for(scope: Scope) -> str | None:
    """The session or event whose answers a request waits for."""
    path, query = scope["path"].rstrip("/"), scope["query_string"].decode("latin-1")
    if path.endswith("/queue/data"):
        return dict(pair.partition("=")[::2] for pair in query.split("&")).get("session_hash")
    return path.rpartition("/")[2] if "/call/" in path else None


async def _refuse(send: Send, status: int, sentence: str) -> None:
    body = json.dumps({"detail": sentence}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": [*headers, (b"connection", b"close")]})
    await send({"type": "http.response.body", "body": body})
