"""Every request -> let in, or refused before anything looks at it; every answer -> headers that keep a page safe."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ringtrue.serve.keys import owner
from ringtrue.serve.settings import ServeSettings

_log = logging.getLogger(__name__)
_CLIENTS = 10_000  # that are remembered; the one that was silent for longest is forgotten
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; "
    "img-src 'self' data:; media-src blob:; connect-src 'self'; worker-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
    "Cache-Control": "no-store",
}
_OPEN = ("/healthz", "/readyz")  # a load balancer asks these by address and without a key
_Observe = Callable[[str, str, int, float], None]


@dataclass
class _Client:
    tokens: float
    at: float
    active: int = 0


class Guard:
    """The outermost layer of the service.

    Args:
        app: What is guarded.
        settings: Limits and keys.
        observe: Told method, route, status and seconds of every request.
    """

    def __init__(self, app: ASGIApp, settings: ServeSettings, observe: _Observe):
        self._app, self._settings, self._observe = app, settings, observe
        self._clients: OrderedDict[str, _Client] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request in or refuse it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        began, status = time.monotonic(), 500

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            await self._guarded(scope, receive, sending)
        finally:
            if scope["type"] == "http":
                route = getattr(scope.get("route"), "path", "other")
                self._observe(scope["method"], route, status, time.monotonic() - began)

    async def _guarded(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        costs = scope["type"] == "websocket" or scope["method"] not in ("GET", "HEAD", "OPTIONS")
        try:
            self._refuse_foreign(scope, headers, costs)
            name = self._identify(scope, headers)
            client = self._admit(name) if costs else None
        except HTTPException as refusal:
            await _refuse(scope, receive, send, refusal)
            return
        scope.setdefault("state", {})["client"] = name
        try:
            await self._app(scope, self._bounded(scope, headers, receive), send)
        except Exception:  # nothing of it goes out
            _log.exception("%s failed", scope["path"])
            with_answer = HTTPException(500, "the service failed at this request; its log says how")
            await _refuse(scope, receive, send, with_answer)
        finally:
            if client is not None:
                client.active -= 1

    def _refuse_foreign(self, scope: Scope, headers: Headers, costs: bool) -> None:
        """Refuse what another site's page makes a browser ask: names that are not ours, and foreign origins."""
        if scope["path"] in _OPEN:
            return
        host = headers.get("host", "")
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
        if "*" not in self._settings.hosts and name not in self._settings.hosts:
            raise HTTPException(
                421, f"this service does not answer to the name {name[:100]!r}; see --allow-host"
            )
        origin = headers.get("origin")
        if costs and origin is not None and origin.partition("://")[2] != host:
            raise HTTPException(403, "requests from pages of other sites are refused")

    def _identify(self, scope: Scope, headers: Headers) -> str:
        address = (scope.get("client") or ("unknown",))[0]
        keys = self._settings.keys
        if not keys or not scope["path"].startswith(("/v1", "/metrics")):
            return f"address {address}"
        scheme, _, key = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":  # a browser's WebSocket can name no header but this one
            offered = headers.get("sec-websocket-protocol", "").split(",")
            key = next((one.strip()[4:] for one in offered if one.strip().startswith("key.")), "")
        found = owner(keys, key.strip())
        if found is None:
            raise HTTPException(
                401, "an API key is needed: Authorization: Bearer KEY", {"WWW-Authenticate": "Bearer"}
            )
        return f"key {found}"

    def _admit(self, name: str) -> _Client:
        """Count a request that costs something; refuse what is too much at once or over time."""
        now, limits = time.monotonic(), self._settings
        client = self._clients.setdefault(name, _Client(limits.burst, now))
        self._clients.move_to_end(name)
        while len(self._clients) > _CLIENTS and not next(iter(self._clients.values())).active:
            self._clients.popitem(last=False)
        client.tokens = min(limits.burst, client.tokens + (now - client.at) * limits.rate_a_minute / 60)
        client.at = now
        if client.active >= limits.per_client:
            raise HTTPException(
                429, f"{limits.per_client} requests at a time are accepted", {"Retry-After": "1"}
            )
        if client.tokens < 1:
            wait_s = (1 - client.tokens) * 60 / limits.rate_a_minute
            raise HTTPException(429, "too many requests; slow down", {"Retry-After": str(int(wait_s) + 1)})
        client.tokens -= 1
        client.active += 1
        return client

    def _bounded(self, scope: Scope, headers: Headers, receive: Receive) -> Receive:
        """Bound the length of a body and the time that it takes to come."""
        if scope["type"] != "http":
            return receive
        most, deadline = (
            self._settings.max_upload_bytes + (1 << 16),
            time.monotonic() + self._settings.upload_s,
        )
        too_large = HTTPException(413, f"{self._settings.max_upload_bytes} bytes are accepted")
        claimed = headers.get("content-length", "0")
        got, ended = 0, False

        async def receiving() -> Message:
            nonlocal got, ended
            if ended:
                return await receive()
            if claimed.isdigit() and int(claimed) > most:
                raise too_large
            try:
                message = await asyncio.wait_for(receive(), max(0.0, deadline - time.monotonic()))
            except TimeoutError:
                raise HTTPException(408, f"an upload may take {self._settings.upload_s:g} s") from None
            got += len(message.get("body", b""))
            ended = not message.get("more_body", False)
            if got > most:
                raise too_large
            return message

        return receiving


def problem(status: int, detail: str) -> bytes:
    """Write a refusal as RFC 9457 has it."""
    from http import HTTPStatus

    return json.dumps({"title": HTTPStatus(status).phrase, "status": status, "detail": detail}).encode()


async def _refuse(scope: Scope, receive: Receive, send: Send, refusal: HTTPException) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008, "reason": str(refusal.detail)[:120]})
        return
    body = problem(refusal.status_code, str(refusal.detail))
    headers: dict[str, Any] = {"content-type": "application/problem+json", "content-length": str(len(body))}
    headers.update({**(refusal.headers or {}), "connection": "close"})
    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    try:
        await send({"type": "http.response.start", "status": refusal.status_code, "headers": raw})
        await send({"type": "http.response.body", "body": body})
    except RuntimeError:  # it had begun to answer
        _log.debug("%s was cut short", scope["path"])
