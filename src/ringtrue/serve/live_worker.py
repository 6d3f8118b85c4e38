"""Chunks of a live stream, PCM or WebM, down a pipe -> how the evidence stands, then the verdict; inside a worker."""

from __future__ import annotations

import contextlib
import json
import queue
import threading
from collections.abc import Callable
from dataclasses import replace
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ringtrue.audio import open_live
from ringtrue.errors import AudioError, RingtrueError
from ringtrue.inference.stream import Running
from ringtrue.inference.verdict import Verdict

if TYPE_CHECKING:
    from ringtrue.inference.runtime import Detector

PCM = {"s16le": "<i2", "f32le": "<f4"}
FORMATS = (*PCM, "webm")
"""What a live stream may be sent as."""


class _Feed(Protocol):
    def push(self, data: bytes) -> list[Running]:
        """Take the next bytes, cut anywhere; say how it stands at every hop that is now complete."""

    def finish(self) -> Verdict:
        """End the stream."""


def listen(
    pipe: Connection, detector: Detector, request: dict[str, Any], allow_cpu: Callable[[], None]
) -> None:
    """Judge one live stream.

    Args:
        pipe: ``D`` and bytes come down it, ``F`` at the end; each is answered.
        detector: The model.
        request: ``format``, ``rate_hz``, ``hop_s``, ``name``.
        allow_cpu: Renews the processor time that may be used; called for every chunk.

    Raises:
        RingtrueError: The stream is not what it was said to be.
    """
    feed: _Feed = _Pcm(detector, request) if request["format"] in PCM else _Webm(detector, request)
    pipe.send_bytes(b"R[]")
    while (message := pipe.recv_bytes())[:1] == b"D":
        allow_cpu()
        said = [running.to_dict() for running in feed.push(message[1:])]
        pipe.send_bytes(b"R" + json.dumps(said, allow_nan=False).encode())
    verdict = feed.finish().to_dict()
    pipe.send_bytes(b"V" + json.dumps(verdict, ensure_ascii=False, allow_nan=False).encode())


class _Pcm:
    def __init__(self, detector: Detector, request: dict[str, Any]):
        self._stream = detector.stream(request["rate_hz"], hop_s=request["hop_s"], name=request["name"])
        self._kind = np.dtype(PCM[request["format"]])
        self._held = b""  # of a sample that was cut in two

    def push(self, data: bytes) -> list[Running]:
        data = self._held + data
        whole = len(data) // self._kind.itemsize * self._kind.itemsize
        self._held = data[whole:]
        return self._stream.push(np.frombuffer(data[:whole], self._kind).astype(self._kind.newbyteorder("=")))

    def finish(self) -> Verdict:
        return self._stream.finish()


class _Webm:
    """Decodes in a thread, because FFmpeg asks for bytes when it wants them and not when they come."""

    def __init__(self, detector: Detector, request: dict[str, Any]):
        self._detector, self._request = detector, request
        self._chunks: queue.Queue[bytes] = queue.Queue()
        self._unread = b""
        self._ended = False
        self._said: queue.Queue[Running] = queue.Queue()
        self._verdict: Verdict | None = None
        self._error: RingtrueError | None = None
        self._thread = threading.Thread(target=self._decode, daemon=True)
        self._thread.start()

    def push(self, data: bytes) -> list[Running]:
        if data:
            self._chunks.put(data)
        if self._error is not None:
            raise self._error
        return [self._said.get() for _ in range(self._said.qsize())]

    def finish(self) -> Verdict:
        self._chunks.put(b"")
        self._thread.join()
        if self._verdict is None:
            raise self._error or AudioError(f"{self._request['name']} could not be decoded")
        return self._verdict

    def read(self, count: int) -> bytes:
        """Give FFmpeg its next bytes, once they are there."""
        if not self._unread and not self._ended:
            self._unread = self._chunks.get()
            self._ended = not self._unread
        given, self._unread = self._unread[:count], self._unread[count:]
        return given

    def _decode(self) -> None:
        try:
            with contextlib.ExitStack() as stack:
                native = open_live(self, self._request["name"], stack)
                info = native.info
                stream = self._detector.stream(
                    info.native_rate_hz, hop_s=self._request["hop_s"], name=self._request["name"]
                )
                for block in native.blocks:
                    for running in stream.push(block):
                        self._said.put(running)
                verdict = stream.finish()
                audio = {
                    **verdict.audio,
                    "codec": info.codec,
                    "container": info.container,
                    "channels": info.channels,
                }
                self._verdict = replace(verdict, audio=audio)
        except RingtrueError as error:
            self._error = error
