"""How often passwords may be guessed: few times for an account from one network, and somewhat more
for all accounts together from it.

Never for an account alone: that would let anybody lock anybody out. An account that does not exist
is counted like any other, or the count would tell; and a network has a fixed number of counters,
whatever names it comes up with.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from authz_sidecar.errors import Throttled
from authz_sidecar.login.throttle import network_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from authz_sidecar.core.types import Address
    from authz_sidecar.login.throttle import Throttle
    from authz_sidecar.sealing import KeyedHash

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
