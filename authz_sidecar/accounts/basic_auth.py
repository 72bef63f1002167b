"""HTTP Basic (RFC 7617) against a password file: hashed off the event loop, once per credentials,
and limited against guessing.

Failed guesses are counted per account and network, and per network: counting by account alone would
let one client lock out another. Unknown accounts are counted like any other, so that the limit does
not reveal them, and a network has a fixed number of counters whatever names it tries. Verified
credentials are cached by a keyed hash, so that a client that sends them with every request is
hashed once.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from authz_sidecar.background_tasks import BackgroundTasks
from authz_sidecar.core.encoding import base64url_encode
from authz_sidecar.core.types import Identity, Session, SessionKind
from authz_sidecar.errors import AuthzError, CredentialsRefused, RateLimited
from authz_sidecar.rate_limit import rate_limit_key
from authz_sidecar.routes.model import PASSWORD_FILE as PROVIDER
from authz_sidecar.sealing import KeyedHash

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from authz_sidecar.accounts.htpasswd import PasswordFile
    from authz_sidecar.core.types import Address, CheckRequest
    from authz_sidecar.rate_limit import RateLimiter
    from authz_sidecar.routes.model import Route
    from authz_sidecar.tokens import Credentials

CREDENTIAL_KIND = SessionKind.PASSWORD.value
MAX_CONCURRENT_HASHES = 2
"""Hashes at a time: more would take the processor from other checks."""
MAX_PENDING_VERIFICATIONS = 32
MAX_CACHED_SESSIONS = 1024
_MAX_CREDENTIALS_LENGTH = 1024
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_FOREVER = float(1 << 40)


class AttemptLimiter(Protocol):
    """Limits guesses at passwords."""

    async def count_attempt(self, account: str, client: Address | None) -> None:
        """Count one attempt at an account. Raises `RateLimited` when it exceeds the limit."""
        ...

    def check(self, account: str, client: Address | None) -> None:
        """Raise `RateLimited` if `count_attempt` did so recently; count nothing."""
        ...


class BasicAuthenticator:
    """Authenticates users of a password file.

    - `groups`: the users of each group.
    - `key`: a secret of this process.
    - `run_in_thread`: runs a slow function off the event loop.
    """

    def __init__(
        self,
        users: PasswordFile,
        *,
        realm: str,
        groups: Mapping[str, tuple[str, ...]],
        limiter: AttemptLimiter,
        key: bytes,
        run_in_thread: Callable[[Callable[[str, bytes], bool], str, bytes], Awaitable[bool]],
    ) -> None:
        self._users = users
        self._realm = realm
        self._groups = groups
        self._limiter = limiter
        self._hash = KeyedHash(key)
        self._run_in_thread = run_in_thread
        self._verified_sessions: dict[bytes, Session] = {}
        self._pending: dict[bytes, asyncio.Task[Session | None]] = {}
        self._hash_slots = asyncio.Semaphore(MAX_CONCURRENT_HASHES)
        self._tasks = BackgroundTasks()

    def schemes(self, route: Route) -> frozenset[str]:
        """Return `basic` for routes that accept it."""
        return frozenset({"basic"} if route.basic_auth else ())

    def challenges(self, _request: CheckRequest, _route: Route) -> tuple[str, ...]:
        """Return the challenge of RFC 7617 section 2."""
        # RFC 7617 section 2.1: the only value of `charset` is UTF-8.
        return (f'Basic realm="{self._realm}", charset="UTF-8"',)

    async def authenticate(
        self, credentials: Credentials, request: CheckRequest, route: Route
    ) -> Session | None:
        """Return the user's session.

        Raises `CredentialsRefused` for malformed or wrong credentials, and `RateLimited`.
        """
        user_and_password = parse_basic_credentials(credentials.value)
        if user_and_password is None:
            raise self._unauthorized("basic credentials that cannot be read", request, route)
        user, password = user_and_password
        session = await self._verified_session(user, password, request)
        if session is None:
            raise self._unauthorized("user and password do not match", request, route)
        return session

    def _build_session(self, user: str, cache_key: bytes) -> Session:
        identity = Identity(
            provider=PROVIDER,
            issuer="",
            subject=f"{PROVIDER}/{user}",
            name=user,
            groups=tuple(group for group, users in self._groups.items() if user in users),
            is_service=True,
        )
        return Session(
            # Only an id for logs; the key of the hash ends with the process.
            public_id=base64url_encode(cache_key[:16]),
            kind=SessionKind.PASSWORD,
            scope=PROVIDER,
            identity=identity,
            created_at=0.0,
            expires_at=_FOREVER,
        )

    def _unauthorized(self, reason: str, request: CheckRequest, route: Route) -> CredentialsRefused:
        challenges = self.challenges(request, route)
        return CredentialsRefused(
            reason,
            kind=CREDENTIAL_KIND,
            code="invalid-credentials",
            headers=tuple(("www-authenticate", challenge) for challenge in challenges),
        )

    async def _verified_session(
        self, user: str, password: bytes, request: CheckRequest
    ) -> Session | None:
        # Includes the stored hash, so that a changed password is verified again.
        stored_hash = self._users.stored_hash(user)
        cache_key = self._hash(b"\0".join((user.encode(), stored_hash.encode(), password)))
        if (session := self._verified_sessions.get(cache_key)) is not None:
            return session
        if request.is_challenge_phase:  # only repeats a refusal
            self._limiter.check(user, request.client)
            return None
        task = self._pending.get(cache_key)
        if task is None:
            if len(self._pending) >= MAX_PENDING_VERIFICATIONS:
                raise RateLimited("too many passwords wait to be verified", retry_after=1)
            task = self._tasks.start(
                self._verify(cache_key, user, password, request.client),
                name="verification of a password",
                expected=(AuthzError,),
            )
            self._pending[cache_key] = task
            task.add_done_callback(lambda _: self._pending.pop(cache_key, None))
        # Cancelling one waiter must not cancel the shared task.
        return await asyncio.shield(task)

    async def _verify(
        self, cache_key: bytes, user: str, password: bytes, client: Address | None
    ) -> Session | None:
        await self._limiter.count_attempt(user, client)
        async with self._hash_slots:
            matches = await self._run_in_thread(self._users.matches, user, password)
        if not matches:
            return None
        if len(self._verified_sessions) >= MAX_CACHED_SESSIONS:
            del self._verified_sessions[next(iter(self._verified_sessions))]
        session = self._verified_sessions[cache_key] = self._build_session(user, cache_key)
        return session


def parse_basic_credentials(text: str) -> tuple[str, bytes] | None:
    """Return user and password (RFC 7617 section 2); None for malformed credentials."""
    if len(text) > _MAX_CREDENTIALS_LENGTH:
        return None
    try:
        pair = base64.b64decode(text, validate=True).decode("utf-8")
    except (binascii.Error, ValueError):
        return None
    user, colon, password = pair.partition(":")
    if not colon or not user or _CONTROL.search(pair):
        return None
    return user, password.encode()


ACCOUNT_BUCKETS = 16
"""Counters per network; few accounts share one, and clients cannot tell which."""
NETWORK_FACTOR = 4


@dataclass(frozen=True, slots=True)
class PasswordRateLimiter:
    """Limits guesses per account and network, and per network.

    - `rate_limiter`: has the limit of one account.
    - `bucket_hash`: a hash with the same key in all replicas.
    - `on_rate_limited`: called for each attempt above the limit.
    """

    rate_limiter: RateLimiter
    bucket_hash: KeyedHash
    on_rate_limited: Callable[[], None]

    async def count_attempt(self, account: str, client: Address | None) -> None:
        """Count one attempt. Raises `RateLimited` when it exceeds a limit."""
        account_counter, network_counter, factor = self._counters(account, client)
        try:
            await self.rate_limiter.limit(account_counter, factor=factor)
            await self.rate_limiter.limit(network_counter, factor=factor * NETWORK_FACTOR)
        except RateLimited:
            self.on_rate_limited()
            raise

    def check(self, account: str, client: Address | None) -> None:
        """Raise `RateLimited` if `count_attempt` did so in this window; count nothing."""
        for counter in self._counters(account, client)[:2]:
            self.rate_limiter.check(counter)

    def _counters(self, account: str, client: Address | None) -> tuple[str, str, int]:
        network, factor = rate_limit_key(client)
        bucket = self.bucket_hash(account.encode())[0] % ACCOUNT_BUCKETS
        return f"guesses {bucket} of {network}", f"guesses of {network}", factor
