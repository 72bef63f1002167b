"""`authz-sidecar serve`: runs the server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from authz_sidecar.cli.options import add_command, add_config_option, config_path

if TYPE_CHECKING:
    import argparse

    from authz_sidecar.cli.options import Subparsers


def add(commands: Subparsers) -> None:
    """Add the command to the parser."""
    parser = add_command(commands, "serve", "run the sidecar")
    add_config_option(parser)
    parser.add_argument(
        "--lenient",
        action="store_true",
        help="start despite problems in routes and policies; broken routes refuse every request",
    )
    parser.add_argument(
        "--log-format",
        choices=("json", "console"),
        default="json",
        help="log format (default: %(default)s)",
    )
    parser.add_argument(
        "--log-level",
        choices=("debug", "info", "warning", "error"),
        default="info",
        help="lowest level that is logged (default: %(default)s)",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the server until it is stopped and return its exit code. Raises `ConfigError` and
    `StartupError`."""
    # Imported here, so that no other command waits for the server's imports.
    from authz_sidecar.server.main import serve  # noqa: PLC0415

    return serve(
        config_path(arguments),
        lenient=arguments.lenient,
        log_format=arguments.log_format,
        log_level=arguments.log_level.upper(),
    )
