"""`authz-sidecar policy`: tests, compares and evaluates policies before they are deployed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from authz_sidecar.cli.options import add_command
from authz_sidecar.cli.policy import diff, evaluate, test

if TYPE_CHECKING:
    from authz_sidecar.cli.options import Subparsers

ACTIONS = (test, diff, evaluate)


def add(commands: Subparsers) -> None:
    """Add the command to the parser."""
    parser = add_command(commands, "policy", "test, compare and evaluate policies")
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    for action in ACTIONS:
        action.add(actions)
