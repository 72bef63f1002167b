"""`authz-sidecar policy`: what policy authors do with policies before anybody depends on them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from authz_sidecar.cli.policy import diff, evaluate, test

if TYPE_CHECKING:
    from authz_sidecar.cli.options import Subparsers

ACTIONS = (test, diff, evaluate)


def add(commands: Subparsers) -> None:
    parser = commands.add_parser("policy", help="test, compare and evaluate policies")
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    for action in ACTIONS:
        action.add(actions)
