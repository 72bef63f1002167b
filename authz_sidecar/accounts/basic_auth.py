"""HTTP Basic (RFC 7617) against a password file: never on the event loop, never twice for the same
credentials, and never so often that guessing pays.

A failed guess is counted for one account from one network: nobody locks out anybody but himself. What
was verified is remembered by a keyed hash, so that a client that sends its password with every
request is hashed once.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from authz_sidecar.background_tasks import BackgroundTasks
from authz_sidecar.core.encoding import base64url
from authz_sidecar.core.types import Identity, Session, SessionKind
from authz_sidecar.errors import AuthzError, CredentialsRefused, Throttled
from authz_sidecar.rate_limit import network_name
from authz_sidecar.routes.model import PASSWORD_FILE as PROVIDER
from authz_sidecar.sealing import KeyedHash

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from authz_sidecar.accounts.htpasswd import PasswordFile
    from authz_sidecar.core.types import Address, CheckRequest
    from authz_sidecar.rate_limit import Throttle
    from authz_sidecar.routes.model import Route
    from authz_sidecar.tokens import Presented

KIND = SessionKind.PASSWORD.value
AT_ONCE = 2
"""Hashes at a time: more would take the processor from everybody else's checks."""
MOST_WAITING = 32
MOST_REMEMBERED = 1024
_LONGEST = 1024
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_FOREVER = float(1 << 40)


class Limiting(Protocol):
    async def guess(self, account: str, client: Address | None) -> None:
        """Count one guess at an account; raises `Throttled` when it is one too many."""
        ...

    def check(self, account: str, client: Address | None) -> None:
        """Raises `Throttled` where `guess` did lately; counts nothing."""
        ...


class Passwords:
    """`groups` of users by name; `key` is a secret of this process, `run` runs a slow function
    elsewhere."""

    def __init__(
        self,
        users: PasswordFile,
        *,
        realm: str,
        groups: Mapping[str, tuple[str, ...]],
        limits: Limiting,
        key: bytes,
        run: Callable[[Callable[[str, bytes], bool], str, bytes], Awaitable[bool]],
    ) -> None:
        self._users = users
        self._realm = realm
        self._groups = groups
        self._limits = limits
        self._hash = KeyedHash(key)
        self._run = run
        self._known: dict[bytes, Session] = {}
        self._asked: dict[bytes, asyncio.Task[Session | None]] = {}
        self._places = asyncio.Semaphore(AT_ONCE)
        self._tasks = BackgroundTasks()

    def schemes(self, route: Route) -> frozenset[str]:
        return frozenset({"basic"} if route.basic_auth else ())

    def challenges(self, _request: CheckRequest, _route: Route) -> tuple[str, ...]:
        # RFC 7617 section 2.1: the only value of `charset` is UTF-8.
        return (f'Basic realm="{self._realm}", charset="UTF-8"',)

    async def identify(
        self, given: Presented, request: CheckRequest, route: Route
    ) -> Session | None:
        read = credentials(given.text)
        if read is None:
            raise self._refused("basic credentials that cannot be read", request, route)
        user, password = read
        session = await self._verified(user, password, request)
        if session is None:
            raise self._refused("user and password do not match", request, route)
        return session

    def _session(self, user: str, place: bytes) -> Session:
        identity = Identity(
            provider=PROVIDER,
            issuer="",
            subject=f"{PROVIDER}/{user}",
            name=user,
            groups=tuple(group for group, users in self._groups.items() if user in users),
            machine=True,
        )
        return Session(
            # Names it in logs, and opens nothing: the key dies with the process.
            handle=base64url(place[:16]),
            kind=SessionKind.PASSWORD,
            scope=PROVIDER,
            identity=identity,
            created_at=0.0,
            expires_at=_FOREVER,
        )

    def _refused(self, why: str, request: CheckRequest, route: Route) -> CredentialsRefused:
        challenges = self.challenges(request, route)
        return CredentialsRefused(
            why,
            kind=KIND,
            code="invalid-credentials",
            headers=tuple(("www-authenticate", challenge) for challenge in challenges),
        )

    async def _verified(self, user: str, password: bytes, request: CheckRequest) -> Session | None:
        # With the stored hash in it: a changed password is not the one that was verified.
        stored = self._users.stored(user)
        place = self._hash(b"\0".join((user.encode(), stored.encode(), password)))
        if (known := self._known.get(place)) is not None:
            return known
        if request.repeated:  # it was refused a moment ago, and only the words are asked for
            self._limits.check(user, request.client)
            return None
        task = self._asked.get(place)
        if task is None:
            if len(self._asked) >= MOST_WAITING:
                raise Throttled("too many passwords wait to be verified", retry_after=1)
            task = self._tasks.start(
                self._verify(place, user, password, request.client),
                name="verification of a password",
                expected=(AuthzError,),
            )
            self._asked[place] = task
            task.add_done_callback(lambda _: self._asked.pop(place, None))
        # Whoever goes away takes only himself away.
        return await asyncio.shield(task)

    async def _verify(
        self, place: bytes, user: str, password: bytes, client: Address | None
    ) -> Session | None:
        await self._limits.guess(user, client)
        async with self._places:
            right = await self._run(self._users.matches, user, password)
        if not right:
            return None
        if len(self._known) >= MOST_REMEMBERED:
            del self._known[next(iter(self._known))]
        session = self._known[place] = self._session(user, place)
        return session


def credentials(text: str) -> tuple[str, bytes] | None:
    """User and password, as RFC 7617 section 2 writes them; None for anything else."""
    if len(text) > _LONGEST:
        return None
    try:
        pair = base64.b64decode(text, validate=True).decode("utf-8")
    except (binascii.Error, ValueError):
        return None
    user, colon, password = pair.partition(":")
    if not colon or not user or _CONTROL.search(pair):
        return None
    return user, password.encode()


BUCKETS = 16
"""Accounts of one network that share a counter are few, and nobody knows which they are."""
TIMES_ALL = 4


@dataclass(frozen=True, slots=True)
class Guesses:
    """`throttle` has the limit of one account. `key` is the same for all replicas; `throttled` hears
    of every guess that was one too many."""

    throttle: Throttle
    key: KeyedHash
    throttled: Callable[[], None]

    async def guess(self, account: str, client: Address | None) -> None:
        one, everybody, times = self._subjects(account, client)
        try:
            await self.throttle.limit(one, times=times)
            await self.throttle.limit(everybody, times=times * TIMES_ALL)
        except Throttled:
            self.throttled()
            raise

    def check(self, account: str, client: Address | None) -> None:
        for subject in self._subjects(account, client)[:2]:
            self.throttle.check(subject)

    def _subjects(self, account: str, client: Address | None) -> tuple[str, str, int]:
        network, times = network_name(client)
        bucket = self.key(account.encode())[0] % BUCKETS
        return f"guesses {bucket} of {network}", f"guesses of {network}", times
