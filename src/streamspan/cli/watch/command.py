"""The sub-command `watch`.

    streamspan watch [--port PORT] [--host HOST] [--json] [--content]

Exit status: 0 when it is ended by Ctrl-C, or 1 if it cannot listen.
"""

import argparse
import signal
import threading

HOST = "127.0.0.1"
PORT = 4318
"""Where exporters of OTLP/HTTP send unless they are told."""
_HIGHEST_PORT = 65535


def add_options(watch: argparse.ArgumentParser) -> None:
    watch.description = "Receives OTLP/HTTP, and draws each stream as it ends, above a running table."
    watch.epilog = "Needs no other backend. Listens on this machine only, unless --host says otherwise."
    watch.add_argument("--port", type=port, default=PORT, help=f"default: {PORT}; 0: any that is free")
    watch.add_argument("--host", default=HOST, help=f"the address to listen on (default: {HOST})")
    watch.add_argument("--json", action="store_true", help="print one JSON object for each stream, and draw nothing")
    watch.add_argument("--content", action="store_true", help="show what was said, where the application captures it")


def port(text: str) -> int:
    number = int(text)
    if not 0 <= number <= _HIGHEST_PORT:
        raise argparse.ArgumentTypeError(f"must be 0 to {_HIGHEST_PORT}: {text}")
    return number


def run(options: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    del parser
    from . import watching  # noqa: PLC0415  # the extra `watch`, which may be missing

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends as Ctrl-C does, with the cursor back
    return watching.run(options.host, options.port, as_json=options.json, shows_content=options.content)
