"""A port -> the page and the service: `ringtrue serve`."""

from __future__ import annotations

import argparse
from pathlib import Path

from ringtrue.cli.terminal import ERROR, OK, Command, complain, say


def add(command: Command) -> None:
    """Declare the commands of this file."""
    serve = command("serve", _serve)
    serve.add_argument(
        "--host", default="127.0.0.1", help="address to listen at (127.0.0.1: this machine only)"
    )
    serve.add_argument("--port", type=int, default=8700, help="port (8700)")
    serve.add_argument("--model", help="an .onnx file or the name of an installed model")
    serve.add_argument(
        "--threshold", type=float, metavar="LLR", help="decide here instead of abstaining near it"
    )
    serve.add_argument("--workers", type=int, default=2, help="processes that judge (2)")
    serve.add_argument("--allow-host", action="append", default=[], metavar="NAME",
                       help="also answer to this name, such as the one that a proxy passes on")  # fmt: skip
    serve.add_argument("--trust-proxy", default="", metavar="ADDRESSES",
                       help="believe what a proxy at these addresses says of a client's address")  # fmt: skip
    serve.add_argument(
        "--keys", type=Path, metavar="FILE", help="admit only clients with one of these API keys"
    )
    serve.add_argument("--new-key", metavar="NAME", help="print a new key and its line for --keys, and stop")
    serve.add_argument(
        "--enroll", action="store_true", help="let clients add generators to those that are named"
    )
    serve.add_argument("--max-upload-mb", type=int, default=256, help="largest upload in MiB (256)")
    serve.add_argument("--per-client", type=int, default=16, help="requests of one client at a time (16)")
    serve.add_argument("--rate", type=float, default=600.0, help="requests of one client a minute (600)")


def _serve(options: argparse.Namespace) -> int:
    from ringtrue.inference.runtime import find_model
    from ringtrue.serve.keys import new_key, read_keys
    from ringtrue.serve.run import run
    from ringtrue.serve.settings import LOOPBACK, ServeSettings

    if options.new_key:
        key, line = new_key(options.new_key)
        print(key)
        say(f"give that key to {options.new_key}, and put this line into the file of --keys:")
        say(line)
        return OK
    if min(options.workers, options.max_upload_mb, options.per_client, options.rate) < 1:
        complain("--workers, --max-upload-mb, --per-client and --rate take 1 or more")
        return ERROR
    settings = ServeSettings(
        find_model(options.model),
        threshold=options.threshold,
        workers=options.workers,
        hosts=(*LOOPBACK, options.host, *options.allow_host),
        keys=read_keys(options.keys) if options.keys else {},
        enroll=options.enroll,
        max_upload_bytes=options.max_upload_mb << 20,
        per_client=options.per_client,
        rate_a_minute=options.rate,
        burst=max(20, round(options.rate / 5)),
    )
    if options.enroll and options.host not in LOOPBACK and not settings.keys:
        complain("--enroll changes what everybody is told: beyond this machine it needs --keys")
        return ERROR
    if options.host not in LOOPBACK and not settings.keys:
        say(f"anybody who reaches {options.host} may use this service; --keys admits only some")
    say(f"http://{options.host}:{options.port}  (Ctrl-C stops it)")
    run(settings, options.host, options.port, options.trust_proxy)
    return OK
