"""`authz-sidecar demo`: runs a proxy, a provider, an app and the sidecar on loopback."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from authz_sidecar.cli.options import add_command

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from authz_sidecar.cli.options import Subparsers


def add(commands: Subparsers) -> None:
    """Add the command to the parser."""
    parser = add_command(
        commands, "demo", "run a demo: a proxy, a provider, an app and the sidecar on this machine"
    )
    parser.add_argument(
        "--proxy",
        choices=("traefik", "envoy", "caddy", "nginx"),
        default="traefik",
        help="the proxy to run (default: %(default)s)",
    )
    parser.add_argument(
        "--port",
        type=_parse_port,
        help="the port of the proxy (default: 8080, or the next free one)",
    )
    parser.add_argument(
        "--directory",
        type=Path,
        metavar="PATH",
        help="a directory to keep configurations and logs in (default: a temporary one)",
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="run a smoke test without a browser instead; exit code 0 if it passes",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the demo until Ctrl-C, or its smoke test with `--check`; return the exit code."""
    # Here, so that no other command waits for the demo's imports.
    from authz_sidecar.demo import run as demo  # noqa: PLC0415

    with _working_directory(arguments.directory) as directory:
        return demo.run_demo(
            proxy=arguments.proxy,
            public_port=arguments.port,
            directory=directory,
            check=arguments.check,
        )


@contextlib.contextmanager
def _working_directory(chosen: Path | None) -> Iterator[Path]:
    if chosen is not None:
        yield chosen
        return
    with tempfile.TemporaryDirectory(prefix="authz-sidecar-demo-") as temporary:
        yield Path(temporary)


def _parse_port(text: str) -> int:
    port = int(text)
    if not 0 < port < 65536:
        raise ValueError
    return port
