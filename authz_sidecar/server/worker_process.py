"""The entry point of a worker process: `python -m authz_sidecar.server.worker_process`.

Signals to the whole process group, as from a terminal, are the supervisor's to handle: they are
ignored before slow imports begin.
"""

from __future__ import annotations

import argparse
import signal
import socket
import sys
from importlib import import_module


def main(arguments: list[str]) -> None:
    """Run a worker process with the sockets and log settings of the command line."""
    for signal_number in (signal.SIGINT, signal.SIGHUP, signal.SIGUSR2):
        signal.signal(signal_number, signal.SIG_IGN)
    parser = argparse.ArgumentParser()
    parser.add_argument("--control", type=int, required=True)
    parser.add_argument("--check", type=_parse_sockets, required=True)
    parser.add_argument("--web", type=_parse_sockets, required=True)
    parser.add_argument("--log-format", choices=("json", "console"), required=True)
    parser.add_argument("--log-level", required=True)
    options = parser.parse_args(arguments)
    import_module("authz_sidecar.server.controlled_worker").run(
        control=socket.socket(fileno=options.control),
        sockets={"check": options.check, "web": options.web},
        log_format=options.log_format,
        log_level=options.log_level,
    )


def _parse_sockets(text: str) -> tuple[socket.socket, ...]:
    return tuple(socket.socket(fileno=int(descriptor)) for descriptor in text.split(","))


if __name__ == "__main__":
    main(sys.argv[1:])
