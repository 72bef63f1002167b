"""The subject of a decision and the context beside the request, in the form that criteria read.

An `Identity` becomes a `Subject` once; criteria know nothing of sessions, providers or stores.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from authz_sidecar.core.types import Address, Identity


class Device(NamedTuple):
    """A device credential of the session; `enrolled` says that its enrollment record exists."""

    kind: str
    credential: str
    enrolled: bool
    approved: bool


class Subject(NamedTuple):
    """A signed-in user. What is missing is None, except for `email`: Pomerium compares it with
    `""`.

    - `user`: what the criterion `user` compares: the subject, or `provider/subject` on routes with
      several providers.
    - `groups`: None where no source of groups is configured or answered; not even `exclude` takes
      that for an empty list.
    """

    user: str | None
    email: str
    groups: tuple[str, ...] | None
    claims: Mapping[str, object]
    authenticated_at: float | None = None
    acr: str | None = None
    amr: tuple[str, ...] = ()
    devices: tuple[Device, ...] = ()


class ToolCall(NamedTuple):
    """A call of the Model Context Protocol, as far as its body was parsed."""

    method: str | None
    tool: str | None


Record = Mapping[str, object]


class NetworkTable(Protocol):
    """A table of records by network."""

    def find(self, address: Address) -> Record | None:
        """Returns the record of the longest prefix that holds the address, or None."""


class RecordSource(Protocol):
    """The operator's record tables, in memory: a look-up neither blocks nor fails."""

    def users(self, table: str) -> Mapping[str, Record] | None:
        """Returns a table by user, or None when it is not available."""

    def networks(self, table: str) -> NetworkTable | None:
        """Returns a table by network, or None when it is not available."""


class Context(NamedTuple):
    """What a policy may use beside the request and the subject. None is "unknown"."""

    records: RecordSource | None = None
    call: ToolCall | None = None


NO_CONTEXT = Context()


def build_subject(identity: Identity | None, *, qualified: bool) -> Subject | None:
    """Returns the subject of an identity, or None without one.

    `qualified`: users are named `provider/subject`, since equal subjects of two providers are
    different people. The subjects of services are qualified already.
    """
    if identity is None:
        return None
    user = identity.subject
    return Subject(
        f"{identity.provider}/{user}" if qualified and not identity.is_service else user,
        identity.email or "",
        identity.groups or None,
        identity.claims,
        identity.authenticated_at,
        identity.acr,
        identity.amr,
    )
