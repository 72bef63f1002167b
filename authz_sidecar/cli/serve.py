"""`authz-sidecar serve`: hands the configuration to the runner."""

from __future__ import annotations

from typing import TYPE_CHECKING

from authz_sidecar.cli.options import add_config_option, config_path

if TYPE_CHECKING:
    import argparse

    from authz_sidecar.cli.options import Subparsers


def add(commands: Subparsers) -> None:
    parser = commands.add_parser("serve", help="answer the proxy and sign people in")
    add_config_option(parser)
    parser.add_argument(
        "--lenient",
        action="store_true",
        help="start despite problems in routes and policies: broken routes refuse everything",
    )
    parser.add_argument(
        "--log-format", choices=("json", "console"), default="json", help="(default: %(default)s)"
    )
    parser.add_argument(
        "--log-level",
        choices=("debug", "info", "warning", "error"),
        default="info",
        help="(default: %(default)s)",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    # Here, so that no other command waits for the server's imports.
    from authz_sidecar.server.main import serve  # noqa: PLC0415

    return serve(
        config_path(arguments),
        lenient=arguments.lenient,
        log_format=arguments.log_format,
        log_level=arguments.log_level.upper(),
    )
