"""Settings -> a server that runs until it is told to stop, and finishes what is in flight."""

from __future__ import annotations

import signal

from ringtrue.errors import require
from ringtrue.serve.settings import ServeSettings


def run(settings: ServeSettings, host: str, port: int, trusted_proxies: str = "") -> None:
    """Serve until SIGTERM or Ctrl-C.

    Args:
        settings: Limits and permissions.
        host: Address to listen at.
        port: Port; 0 takes a free one.
        trusted_proxies: Addresses, with commas, whose word about a client's address is believed.

    Raises:
        MissingExtraError: The serve extra is not installed.
    """
    uvicorn = require("uvicorn", "serve")
    for module in ("fastapi", "python_multipart", "websockets", "prometheus_client"):
        require(module, "serve")
    from ringtrue.serve.app import make_app

    # uvicorn raises the signal that stopped it once more when it is done; being told to stop is no failure.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    uvicorn.run(
        make_app(settings),
        host=host,
        port=port,
        log_level="warning",
        access_log=False,  # names and addresses of those who ask are nobody's business
        server_header=False,
        proxy_headers=bool(trusted_proxies),
        forwarded_allow_ips=trusted_proxies or None,
        timeout_graceful_shutdown=round(settings.drain_s),
        limit_concurrency=1000,
        timeout_keep_alive=15,
        ws_max_size=1 << 20,
        ws_ping_interval=20,
    )
