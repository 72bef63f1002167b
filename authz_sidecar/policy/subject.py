"""Who is asking and what is known beside the request, in the form in which criteria look at it.

An `Identity` becomes a `Subject` once; criteria know nothing of sessions, providers or stores.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from authz_sidecar.core.types import Address, Identity


class Device(NamedTuple):
    """A device credential of the session; `enrolled` says that its records exist."""

    kind: str
    credential: str
    enrolled: bool
    approved: bool


class Subject(NamedTuple):
    """A signed-in user. Missing is None, except for `email`: there upstream compares with `""`.

    `user` is what the criterion `user` compares: the subject, or `provider/subject` on routes that
    several providers open. `groups` is None where no source of groups spoke, which not even
    `exclude` takes for an empty list.
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
    """A call under the Model Context Protocol, as far as its body was read."""

    method: str | None
    tool: str | None


Record = Mapping[str, object]


class NetworkTable(Protocol):
    def find(self, address: Address) -> Record | None: ...


class RecordSource(Protocol):
    """Tables of the operator's, already in memory: a look-up may neither block nor fail. None is a
    table that nobody knows at the moment."""

    def users(self, table: str) -> Mapping[str, Record] | None: ...

    def networks(self, table: str) -> NetworkTable | None: ...


class Context(NamedTuple):
    """What a policy may look at beside the request and the user. None is "not known"."""

    records: RecordSource | None = None
    call: ToolCall | None = None


NO_CONTEXT = Context()


def build_subject(identity: Identity | None, *, qualified: bool) -> Subject | None:
    """`qualified`: users are named `provider/subject`, since equal subjects of two providers are
    different people. The subjects of machines are qualified already."""
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
