"""Sign-ins under way, each in a sealed cookie of its own: several tabs work, and strangers leave
nothing behind with us.

Decides what an attempt holds, how long it lives and how many fit. Nonce, state and PKCE verifier
are derived from one seed, so that the cookie has room for the return address.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from base64 import urlsafe_b64decode
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from authz_sidecar.core.encoding import base64url_encode
from authz_sidecar.core.step_up import AuthenticationRequirement
from authz_sidecar.sessions.cookie import cookie_pairs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from authz_sidecar.core.urls import Origin
    from authz_sidecar.login.redirect_uri import CallbackMode

MAX_AGE_SECONDS = 600
MAX_COOKIE_BYTES = 3072
"""Of all attempts in one browser together: room is left for the session and the app's cookies."""
_MAX_EVICTED = 64  # per answer; whoever sends more does not deserve a longer one
_ID = r"[0-9a-f]{8}[A-Za-z0-9_-]{8}"
_STATE = re.compile(rf"({_ID})\.([0-9]{{1,2}})\.([A-Za-z0-9_-]{{0,16}})\.[A-Za-z0-9_-]{{43}}")
_PURPOSE = "login attempt with its redirect URI"
_LATER_FIELDS: tuple[Any, ...] = (None, "", (), "", None)
_EARLIER_PURPOSE = "login attempt"
"""Of releases whose attempts do not say what their redirect URI is; read by one release more."""


class Sealer(Protocol):
    """`SecretKeys`, as far as sign-in needs it."""

    def seal_text(self, purpose: str, data: bytes, *, associated_data: bytes = b"") -> str: ...

    def open_text(
        self, purpose: str, sealed: str, *, associated_data: bytes = b""
    ) -> bytes | None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginTransaction:
    """`provider` None: the sign-in itself happens on the central host, this one awaits a ticket.
    `flow` is the hash of the flow secret of the host on whose behalf the central host signs in;
    None when it signs in for itself. `step_up` is what the provider was asked for beyond a sign-in,
    and `user` who was signed in then; `walk` where to go afterwards, if not to `return_to` alone.
    `previous_session` is the handle of the session there was, whose cookie may not come along at
    the end. `callback` is the kind of redirect URI that it was begun with, the only one whose
    answers count; None where it awaits a ticket, or was begun by an earlier release."""

    id: str
    secret: bytes = field(repr=False)
    return_to: str
    started_at: float
    provider: str | None = None
    flow: str | None = None
    shortened: bool = False
    round: int = 1
    instance: str = ""
    step_up: AuthenticationRequirement | None = None
    user: str = ""
    walk: tuple[str, ...] = ()
    previous_session: str = ""
    callback: CallbackMode | None = None

    @property
    def state(self) -> str:
        """The part that is secret comes last; the others only help to say what went wrong."""
        return f"{self.id}.{self.round}.{self.instance}.{self._derive('state')}"

    @property
    def nonce(self) -> str:
        return self._derive("nonce")

    @property
    def verifier(self) -> str:
        """RFC 7636 section 4.1: 43 characters, 256 random bits."""
        return self._derive("verifier")

    @property
    def flow_hash(self) -> str:
        """What the central host may know of this attempt; the secret itself stays in the cookie."""
        return base64url_encode(hashlib.sha256(self._derive("flow").encode()).digest())

    def is_fresh(self, now: float) -> bool:
        return self.started_at - 60 <= now < self.started_at + MAX_AGE_SECONDS

    def _derive(self, purpose: str) -> str:
        return base64url_encode(hmac.digest(self.secret, purpose.encode(), "sha256"))


def transaction_id(now: float, random: bytes) -> str:
    """Sorts by age; `random` are six bytes."""
    return f"{int(now):08x}{base64url_encode(random)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedState:
    transaction_id: str
    round: int
    instance: str


def parse_state(state: str) -> ParsedState | None:
    """What a state says about where its attempt is; the comparison comes later."""
    found = _STATE.fullmatch(state)
    if found is None:
        return None
    return ParsedState(transaction_id=found[1], round=int(found[2]), instance=found[3])


class TransactionCookies:
    def __init__(self, keys: Sealer, *, base_name: str) -> None:
        self._keys = keys
        self._base = f"{base_name}-flow-"
        self._names = re.compile(rf"(?:__Host-)?{re.escape(self._base)}({_ID})")

    def find(
        self, cookie_lines: Sequence[str], transaction: str, *, origin: Origin
    ) -> LoginTransaction | None:
        """The attempt of that id; None when its cookie is gone, doubled or changed."""
        name = self._name(transaction, origin)
        values = [value for key, value in self._transaction_cookies(cookie_lines) if key == name]
        return self._open(name, values[0], origin) if len(values) == 1 else None

    def awaiting_handoff(
        self, cookie_lines: Sequence[str], *, origin: Origin, now: float
    ) -> tuple[LoginTransaction, ...]:
        """All attempts of this host that the central host may answer."""
        ours = self._transaction_cookies(cookie_lines)
        names = [name for name, _ in ours]
        opened = (self._open(name, value, origin) for name, value in ours if names.count(name) == 1)
        return tuple(
            found
            for found in opened
            if found is not None and found.provider is None and found.is_fresh(now)
        )

    def keep(
        self,
        transaction: LoginTransaction,
        cookie_lines: Sequence[str],
        *,
        origin: Origin,
        cross_site: bool,
    ) -> tuple[str, ...]:
        """Set-Cookie values: the new attempt, and the oldest others that no longer fit.

        `cross_site`: the provider will answer by a POST from its own page (form_post).
        """
        name = self._name(transaction.id, origin)
        sealed = self._keys.seal_text(
            _PURPOSE, _encode(transaction), associated_data=_binding(name, origin)
        )
        # A cookie that is to come along on a cross-site POST must say SameSite=None, which
        # browsers take only with Secure; on loopback they take both over http as well.
        site = "None; Secure" if cross_site else "Lax"
        secure = "; Secure" if origin.scheme == "https" and not cross_site else ""
        new = (
            f"{name}={sealed}; Path=/; Max-Age={MAX_AGE_SECONDS}; HttpOnly; SameSite={site}{secure}"
        )
        left = MAX_COOKIE_BYTES - len(name) - len(sealed) - 3
        evicted = []
        for other, value in sorted(
            set(self._transaction_cookies(cookie_lines)), key=self._age, reverse=True
        ):
            left -= len(other) + len(value) + 3
            if left < 0 or _too_old(self._age((other, value)), transaction.started_at):
                evicted.append(self._clear(other))
        return (new, *evicted[:_MAX_EVICTED])

    def clear(self, transaction: LoginTransaction, *, origin: Origin, cross_site: bool) -> str:
        return self._clear(self._name(transaction.id, origin), secure=cross_site)

    def _clear(self, name: str, *, secure: bool = False) -> str:
        # A Secure cookie can only be removed by one that says so as well (RFC 6265bis 5.7).
        flag = "; Secure" if secure or name.startswith("__Host-") else ""
        return f"{name}=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax{flag}"

    def _name(self, transaction: str, origin: Origin) -> str:
        prefix = "__Host-" if origin.scheme == "https" else ""
        return f"{prefix}{self._base}{transaction}"

    def _transaction_cookies(self, cookie_lines: Sequence[str]) -> tuple[tuple[str, str], ...]:
        pairs = cookie_pairs(cookie_lines)
        return tuple((name, value) for name, value in pairs if self._names.fullmatch(name))

    def _age(self, cookie: tuple[str, str]) -> str:
        return cookie[0].rpartition(self._base)[2]

    def _open(self, name: str, value: str, origin: Origin) -> LoginTransaction | None:
        transaction, binding = self._age((name, "")), _binding(name, origin)
        if (data := self._keys.open_text(_PURPOSE, value, associated_data=binding)) is not None:
            return _decode(transaction, json.loads(data))
        data = self._keys.open_text(_EARLIER_PURPOSE, value, associated_data=binding)
        return None if data is None else _decode(transaction, json.loads(data))


def _too_old(transaction: str, now: float) -> bool:
    return int(transaction[:8], 16) + MAX_AGE_SECONDS < now


def _binding(name: str, origin: Origin) -> bytes:
    return f"{origin} {name}".encode()


def _encode(transaction: LoginTransaction) -> bytes:
    step_up = transaction.step_up
    fields = [
        transaction.provider,
        transaction.return_to,
        transaction.started_at,
        transaction.flow,
        int(transaction.shortened),
        transaction.round,
        transaction.instance,
        base64url_encode(transaction.secret),
        None if step_up is None else (step_up.max_age, step_up.acr, step_up.amr),
        transaction.user,
        transaction.walk,
        transaction.previous_session,
        transaction.callback,
    ]
    return json.dumps(fields, separators=(",", ":")).encode()


def _decode(transaction: str, fields: list[Any]) -> LoginTransaction:
    """Of fields that we sealed ourselves."""
    provider, return_to, started_at, flow, shortened, number, instance, seed, *more = fields
    # What was sealed before an upgrade lacks the last ones.
    step_up, user, walk, replaces, callback = (*more, *_LATER_FIELDS[len(more) :])
    return LoginTransaction(
        id=transaction,
        secret=urlsafe_b64decode(f"{seed}="),
        return_to=return_to,
        started_at=started_at,
        provider=provider,
        flow=flow,
        shortened=bool(shortened),
        round=number,
        instance=instance,
        step_up=None if step_up is None else _step_up(*step_up),
        user=user,
        walk=tuple(walk),
        previous_session=replaces,
        callback=callback,
    )


def _step_up(max_age: float | None, acr: list[str], amr: list[str]) -> AuthenticationRequirement:
    return AuthenticationRequirement(max_age=max_age, acr=tuple(acr), amr=tuple(amr))
