"""`authz-sidecar serve`: hands the configuration to the runner."""

from __future__ import annotations

from typing import TYPE_CHECKING

from authz_sidecar.cli.options import add_config, config_path
from authz_sidecar.errors import StartError

if TYPE_CHECKING:
    import argparse

    from authz_sidecar.cli.options import Commands


_COMPILED = frozenset({"httptools", "uvloop"})
"""What a platform may have no wheel of."""


def add(commands: Commands) -> None:
    parser = commands.add_parser("serve", help="answer the proxy and sign people in")
    add_config(parser)
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
    try:
        from authz_sidecar.server.runner import serve  # noqa: PLC0415
    except ModuleNotFoundError as error:
        if error.name not in _COMPILED:
            raise
        # Not with another parser instead: our limits and our strictness are this one's.
        raise StartError(
            f"`{error.name}` is not installed, and nothing is served without it:"
            f" `pip install {error.name}`, which may need a compiler"
        ) from None

    return serve(
        config_path(arguments),
        lenient=arguments.lenient,
        log_format=arguments.log_format,
        log_level=arguments.log_level.upper(),
    )
