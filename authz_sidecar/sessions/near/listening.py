"""What follows from news of the store: whatever looks at a changed key is dropped or spoilt."""

from __future__ import annotations

from typing import TYPE_CHECKING

from authz_sidecar.sessions.keys import name_of
from authz_sidecar.sessions.near.entries import NearEntry

if TYPE_CHECKING:
    from collections.abc import Iterable

    from authz_sidecar.sessions.near.coherence import Coherence
    from authz_sidecar.sessions.near.counts import NearCounts
    from authz_sidecar.sessions.near.entries import Entries


class NewsOfChanges:
    """A `Listener` of the store."""

    def __init__(self, *, entries: Entries, coherence: Coherence, counts: NearCounts) -> None:
        self._entries = entries
        self._coherence = coherence
        self._counts = counts

    def begun(self, at: float) -> None:
        self._coherence.begun(at)

    def answered(self, at: float) -> None:
        self._coherence.answered(at)

    def lost(self) -> None:
        self._counts.losses += self._coherence.tracked
        self._coherence.lost()

    def refused(self) -> None:
        self._coherence.lost()
        self._coherence.refused = True
        self._entries.clear()

    def changed(self, keys: Iterable[str]) -> None:
        for key in keys:
            self._changed(name_of(key))

    def all_changed(self) -> None:
        for name in self._entries.names():
            self._changed(name)

    def _changed(self, name: str) -> None:
        for concerned in self._entries.concerned(name):
            if isinstance(concerned, NearEntry):
                self._entries.drop(concerned)
                self._counts.invalidations += 1
            else:
                concerned.spoilt = True
