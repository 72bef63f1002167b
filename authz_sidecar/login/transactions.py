"""Login transactions, each in a sealed cookie of its own: logins in several tabs work at once, and
the server stores nothing before a user is authenticated.

Decides what a transaction holds, how long it lives and how many fit. State, nonce and PKCE verifier
are derived from one secret, so that the cookie has room for the return URL.
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
"""Of all transactions in one browser together: leaves room for the cookies of session and app."""
_MAX_EVICTED = 64  # per response, so that a flood of cookies does not make it longer
_ID = r"[0-9a-f]{8}[A-Za-z0-9_-]{8}"
_STATE = re.compile(rf"({_ID})\.([0-9]{{1,2}})\.([A-Za-z0-9_-]{{0,16}})\.[A-Za-z0-9_-]{{43}}")
_PURPOSE = "login attempt with its redirect URI"
_LATER_FIELDS: tuple[Any, ...] = (None, "", (), "", None)
_EARLIER_PURPOSE = "login attempt"
"""Of releases whose transactions do not name their redirect URI; read for one more release."""


class Sealer(Protocol):
    """Authenticated encryption; the part of `SecretKeys` that login uses."""

    def seal_text(self, purpose: str, data: bytes, *, associated_data: bytes = b"") -> str:
        """Return `data` sealed for one purpose, as URL-safe text."""
        ...

    def open_text(self, purpose: str, sealed: str, *, associated_data: bytes = b"") -> bytes | None:
        """Return the data of a sealed text, or None when it was not sealed for this purpose and
        `associated_data`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginTransaction:
    """One login in progress, from `start` to the callback or the ticket.

    `secret`: 32 random bytes from which state, nonce and verifier are derived.
    `started_at`: in Unix seconds.
    `provider`: the provider; None when the central host does the login and this host waits for a
    ticket.
    `flow`: on the central host, the `flow_hash` of the host that it does the login for.
    `shortened`: whether the return URL was cut off because it was too long.
    `round`: which attempt this is, from 1.
    `instance`: the instance that began it, where instances do not share a session store.
    `step_up`: the requirement that the provider was asked to satisfy.
    `user`: the fingerprint of the user who has to step up.
    `walk`: the remaining steps of a host chain, followed by its last URL.
    `previous_session`: the public id of the session to end; its cookie may be missing at the
    callback.
    `callback`: the kind of redirect URI; None when it waits for a ticket, or an earlier release
    began it.
    """

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
        """The `state` parameter. Its last part is secret; the others help to explain a lost
        transaction."""
        return f"{self.id}.{self.round}.{self.instance}.{self._derive('state')}"

    @property
    def nonce(self) -> str:
        """The `nonce` parameter (OpenID Connect Core, 3.1.2.1)."""
        return self._derive("nonce")

    @property
    def verifier(self) -> str:
        """The PKCE code verifier (RFC 7636 section 4.1): 43 characters, 256 random bits."""
        return self._derive("verifier")

    @property
    def flow_hash(self) -> str:
        """The hash that identifies this transaction to the central host; the secret stays in the
        cookie."""
        return base64url_encode(hashlib.sha256(self._derive("flow").encode()).digest())

    def is_fresh(self, now: float) -> bool:
        """Whether the transaction is younger than `MAX_AGE_SECONDS`, and at most a minute in the
        future."""
        return self.started_at - 60 <= now < self.started_at + MAX_AGE_SECONDS

    def _derive(self, purpose: str) -> str:
        return base64url_encode(hmac.digest(self.secret, purpose.encode(), "sha256"))


def transaction_id(now: float, random: bytes) -> str:
    """Return a transaction id; ids sort by age. `random` is six bytes."""
    return f"{int(now):08x}{base64url_encode(random)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedState:
    """The public parts of a `state` parameter."""

    transaction_id: str
    round: int
    instance: str


def parse_state(state: str) -> ParsedState | None:
    """Return the public parts of a `state` parameter, or None when it is malformed. The secret part
    is compared later."""
    match = _STATE.fullmatch(state)
    if match is None:
        return None
    return ParsedState(transaction_id=match[1], round=int(match[2]), instance=match[3])


class TransactionCookies:
    """The cookies that hold a browser's login transactions."""

    def __init__(self, keys: Sealer, *, base_name: str) -> None:
        self._keys = keys
        self._base = f"{base_name}-flow-"
        self._names = re.compile(rf"(?:__Host-)?{re.escape(self._base)}({_ID})")

    def find(
        self, cookie_lines: Sequence[str], transaction_id: str, *, origin: Origin
    ) -> LoginTransaction | None:
        """Return the transaction with that id, or None when its cookie is missing, duplicated or
        changed."""
        name = self._name(transaction_id, origin)
        values = [value for key, value in self._transaction_pairs(cookie_lines) if key == name]
        return self._open(name, values[0], origin) if len(values) == 1 else None

    def awaiting_handoff(
        self, cookie_lines: Sequence[str], *, origin: Origin, now: float
    ) -> tuple[LoginTransaction, ...]:
        """Return the transactions of this host that wait for a ticket from the central host."""
        cookies = self._transaction_pairs(cookie_lines)
        names = [name for name, _ in cookies]
        opened = (
            self._open(name, value, origin) for name, value in cookies if names.count(name) == 1
        )
        return tuple(
            transaction
            for transaction in opened
            if transaction is not None
            and transaction.provider is None
            and transaction.is_fresh(now)
        )

    def keep(
        self,
        transaction: LoginTransaction,
        cookie_lines: Sequence[str],
        *,
        origin: Origin,
        cross_site: bool,
    ) -> tuple[str, ...]:
        """Return the Set-Cookie values that store a new transaction and remove the oldest ones that
        no longer fit.

        `cross_site`: whether the provider responds by a POST from its own page (`form_post`).
        """
        name = self._name(transaction.id, origin)
        sealed = self._keys.seal_text(
            _PURPOSE, _encode(transaction), associated_data=_binding(name, origin)
        )
        # A cookie for a cross-site POST needs SameSite=None, which browsers accept only with
        # Secure; on loopback they accept both over http as well.
        site = "None; Secure" if cross_site else "Lax"
        secure = "; Secure" if origin.scheme == "https" and not cross_site else ""
        new = (
            f"{name}={sealed}; Path=/; Max-Age={MAX_AGE_SECONDS}; HttpOnly; SameSite={site}{secure}"
        )
        bytes_left = MAX_COOKIE_BYTES - len(name) - len(sealed) - 3
        evicted = []
        for other_name, value in sorted(
            set(self._transaction_pairs(cookie_lines)), key=self._age, reverse=True
        ):
            bytes_left -= len(other_name) + len(value) + 3
            if bytes_left < 0 or _too_old(self._age((other_name, value)), transaction.started_at):
                evicted.append(self._clear(other_name))
        return (new, *evicted[:_MAX_EVICTED])

    def clear(self, transaction: LoginTransaction, *, origin: Origin, cross_site: bool) -> str:
        """Return the Set-Cookie value that removes a transaction; `cross_site` as in `keep`."""
        return self._clear(self._name(transaction.id, origin), secure=cross_site)

    def _clear(self, name: str, *, secure: bool = False) -> str:
        # Only a Secure cookie can remove a Secure cookie (RFC 6265bis 5.7).
        flag = "; Secure" if secure or name.startswith("__Host-") else ""
        return f"{name}=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax{flag}"

    def _name(self, transaction_id: str, origin: Origin) -> str:
        prefix = "__Host-" if origin.scheme == "https" else ""
        return f"{prefix}{self._base}{transaction_id}"

    def _transaction_pairs(self, cookie_lines: Sequence[str]) -> tuple[tuple[str, str], ...]:
        pairs = cookie_pairs(cookie_lines)
        return tuple((name, value) for name, value in pairs if self._names.fullmatch(name))

    def _age(self, cookie: tuple[str, str]) -> str:
        return cookie[0].rpartition(self._base)[2]

    def _open(self, name: str, value: str, origin: Origin) -> LoginTransaction | None:
        transaction_id, binding = self._age((name, "")), _binding(name, origin)
        if (data := self._keys.open_text(_PURPOSE, value, associated_data=binding)) is not None:
            return _decode(transaction_id, json.loads(data))
        data = self._keys.open_text(_EARLIER_PURPOSE, value, associated_data=binding)
        return None if data is None else _decode(transaction_id, json.loads(data))


def _too_old(transaction_id: str, now: float) -> bool:
    return int(transaction_id[:8], 16) + MAX_AGE_SECONDS < now


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


def _decode(transaction_id: str, fields: list[Any]) -> LoginTransaction:
    """Return the transaction from fields that we sealed ourselves."""
    provider, return_to, started_at, flow, shortened, number, instance, secret, *later_fields = (
        fields
    )
    # Cookies sealed before an upgrade lack the last fields.
    step_up, user, walk, previous_session, callback = (
        *later_fields,
        *_LATER_FIELDS[len(later_fields) :],
    )
    return LoginTransaction(
        id=transaction_id,
        secret=urlsafe_b64decode(f"{secret}="),
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
        previous_session=previous_session,
        callback=callback,
    )


def _step_up(max_age: float | None, acr: list[str], amr: list[str]) -> AuthenticationRequirement:
    return AuthenticationRequirement(max_age=max_age, acr=tuple(acr), amr=tuple(amr))
