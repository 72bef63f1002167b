"""`authz-sidecar keys new`: generates secrets, printed or written to a file that only its owner can
read."""

from __future__ import annotations

import base64
import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

from authz_sidecar.cli.options import add_command
from authz_sidecar.errors import StartupError

if TYPE_CHECKING:
    import argparse

    from authz_sidecar.cli.options import Subparsers


def add(commands: Subparsers) -> None:
    """Add the command to the parser."""
    keys = add_command(commands, "keys", "generate secret keys")
    actions = keys.add_subparsers(title="actions", metavar="ACTION", required=True)
    new = add_command(actions, "new", "generate a key and print it or write it to a file")
    new.add_argument(
        "--assertion",
        action="store_true",
        help="a private key for `assertion.signing_keys` (EC P-256, PEM)"
        " instead of a secret for `secret_keys`",
    )
    new.add_argument(
        "--out", type=Path, metavar="FILE", help="a new file for the key, readable by you only"
    )
    new.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Generate one key, print or write it, and return 0. Raises `StartupError`."""
    key = _generate_signing_key() if arguments.assertion else _generate_secret()
    if arguments.out is None:
        print(key)
    else:
        _write_new(arguments.out, f"{key}\n")
    return 0


def _generate_signing_key() -> str:
    # Imported here, because loading it takes longer than the rest of the command.
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415
        Encoding,
        NoEncryption,
        PrivateFormat,
    )

    key = ec.generate_private_key(ec.SECP256R1())
    return (
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode().rstrip("\n")
    )


def _generate_secret() -> str:
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode().rstrip("=")


def _write_new(path: Path, text: str) -> None:
    """Write a new file with mode 0600. An existing one is never overwritten: it may hold the key in
    use."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise StartupError(f"`{path}` exists already and was not changed") from None
    except OSError as error:
        raise StartupError(f"cannot write `{path}`: {(error.strerror or '').lower()}") from None
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
