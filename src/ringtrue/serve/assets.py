"""The page's files -> routes that give them: out of memory, or from paths that were fixed when the service began.

No path from a client reaches the file system. The runtime that lets the page judge by itself is there if the package
was built after `make browser`; without it the page judges on the service.
"""

from __future__ import annotations

import hashlib
import json
import mimetypes
from importlib.resources import files
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request, Response
from starlette.responses import FileResponse

RUNTIME = ("ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm")
FOR_EVER = {
    "Cache-Control": "private, max-age=31536000, immutable"
}  # for paths that name a version or a hash


def runtime_folder() -> Path:
    """Say where the runtime for browsers lies, if it was fetched."""
    return Path(str(files("ringtrue.serve"))) / "runtime"


def browser_runtime() -> dict[str, Any] | None:
    """Describe the runtime for browsers.

    Returns:
        ``version`` and ``bytes``, what a browser loads once; None where it was not fetched.
    """
    folder = runtime_folder()
    if not all((folder / name).is_file() for name in (*RUNTIME, "package.json")):
        return None
    version = json.loads((folder / "package.json").read_text(encoding="utf-8"))["version"]
    return {"version": version, "bytes": sum((folder / name).stat().st_size for name in RUNTIME)}


def page_routes() -> APIRouter:
    """Make the routes of the page."""
    routes = APIRouter(include_in_schema=False)
    for asset in sorted((files("ringtrue.serve") / "page").iterdir(), key=lambda one: one.name):
        path = "/" if asset.name == "index.html" else f"/page/{asset.name}"
        give = _kept(asset.read_bytes(), _kind(asset.name))
        routes.add_api_route(path, give, methods=["GET"], name=asset.name)
    if (about := browser_runtime()) is not None:
        for name in RUNTIME:
            give = _on_disk(runtime_folder() / name, _kind(name))
            routes.add_api_route(f"/page/runtime/{about['version']}/{name}", give, methods=["GET"], name=name)
    return routes


def _kind(name: str) -> str:
    more = {".wasm": "application/wasm", ".mjs": "text/javascript"}  # which some systems' tables lack
    return more.get(Path(name).suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"


def _kept(content: bytes, kind: str) -> Any:
    tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'

    async def asset(request: Request) -> Response:
        headers = {"ETag": tag, "Cache-Control": "no-cache"}
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        return Response(content, media_type=kind, headers=headers)

    return asset


def _on_disk(path: Path, kind: str) -> Any:
    async def asset() -> Response:
        return FileResponse(path, media_type=kind, headers=FOR_EVER)

    return asset
