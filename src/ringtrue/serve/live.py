"""A WebSocket -> how the evidence stands while audio arrives, then the verdict.

The client sends ``{"rate_hz": 16000, "format": "s16le", "hop_s": 0.5}``, then audio in binary messages, then
``{"end": true}``. It gets ``{"running": …}`` at every hop and ``{"verdict": …}`` last, or ``{"error": …}``.
"""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from ringtrue.errors import RingtrueError
from ringtrue.serve.crew import Crew, Worker
from ringtrue.serve.settings import ServeSettings

FORMATS = ("s16le", "f32le", "webm")
_IDLE_S = 30.0  # a client that says nothing for so long has gone
_CHUNK_BYTES = 1 << 20


class _Refused(Exception):
    """What the client did wrong; told to it, and the connection ends."""


async def serve_stream(socket: WebSocket, crew: Crew, settings: ServeSettings) -> None:
    """Judge one live stream.

    Args:
        socket: Not yet accepted.
        crew: Workers of which one is taken for as long as the stream lasts.
        settings: How long that may be.
    """
    offered = socket.headers.get("sec-websocket-protocol", "")
    await socket.accept("ringtrue.v1" if "ringtrue.v1" in offered else None)
    try:
        request = _checked(await _next(socket))
        async with crew.one() as worker:
            ended_by = await _converse(socket, worker, request, settings.max_live_s)
        if ended_by is not None:
            raise ended_by
        await socket.close(1000)
    except WebSocketDisconnect:
        pass
    except (RingtrueError, _Refused) as error:
        await _farewell(socket, str(error))


async def _converse(
    socket: WebSocket, worker: Worker, request: dict[str, Any], max_s: float
) -> Exception | None:
    """Pass audio on and answers back; gives what the client did wrong, if anything."""
    loop = asyncio.get_running_loop()
    until = time.monotonic() + max_s

    async def ask(message: bytes) -> tuple[bytes, bytes]:
        return await loop.run_in_executor(None, worker.ask, message)

    kind, body = await ask(json.dumps({**request, "task": "live", "name": "stream"}).encode())
    try:
        while kind == b"R":
            for running in json.loads(body):
                await socket.send_json({"running": running})
            message = await _next(socket)
            if isinstance(message, bytes):
                if time.monotonic() > until:
                    raise _Refused(f"a stream may last {max_s:g} s")
                kind, body = await ask(b"D" + message)
            elif message == {"end": True}:
                kind, body = await ask(b"F")
            else:
                raise _Refused('audio comes in binary messages; {"end": true} ends the stream')
    except (_Refused, WebSocketDisconnect) as error:
        await ask(b"F")  # the client has gone; the worker is fit for the next one
        return error
    if kind == b"V":
        await socket.send_text('{"verdict": ' + body.decode() + "}")
    else:
        await socket.send_json({"error": body.decode()})
    return None


async def _next(socket: WebSocket) -> Any:
    """Take a message: bytes, or a JSON value."""
    try:
        message = await asyncio.wait_for(socket.receive(), _IDLE_S)
    except TimeoutError:
        raise _Refused(f"nothing was heard for {_IDLE_S:g} s") from None
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(message.get("code", 1005))
    data = message.get("bytes")
    if data is not None:
        if len(data) > _CHUNK_BYTES:
            raise _Refused(f"a message may hold {_CHUNK_BYTES} bytes")
        return data
    try:
        return json.loads(message["text"])
    except (ValueError, RecursionError):
        raise _Refused("a text message is JSON") from None


def _checked(request: Any) -> dict[str, Any]:
    """Check the first message; rate and hop are checked again, by the stream."""
    if not isinstance(request, dict) or not set(request) <= {"rate_hz", "format", "hop_s"}:
        raise _Refused('the first message is {"rate_hz": …, "format": …, "hop_s": …}')
    form, rate_hz, hop_s = (
        request.get("format", "s16le"),
        request.get("rate_hz", 16_000),
        request.get("hop_s", 0.5),
    )
    if form not in FORMATS:
        raise _Refused(f"accepted formats: {', '.join(FORMATS)}")
    if isinstance(rate_hz, bool) or not isinstance(rate_hz, int) or not isinstance(hop_s, int | float):
        raise _Refused("rate_hz is an integer and hop_s a number")
    return {"format": form, "rate_hz": rate_hz, "hop_s": hop_s}


async def _farewell(socket: WebSocket, reason: str) -> None:
    try:
        await socket.send_json({"error": reason})
        await socket.close(1008)
    except (RuntimeError, WebSocketDisconnect):
        pass  # it has gone already
