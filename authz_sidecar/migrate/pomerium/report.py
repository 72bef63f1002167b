"""Records what became of every key of an imported configuration, so that none is lost silently.

Decides nothing about any key; the tables and converters do.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from authz_sidecar.core.source_locations import PathStep, SourceLocation, SourceMap

DocumentPath = tuple["PathStep", ...]


class ConversionOutcome(StrEnum):
    """What became of a key of the input."""

    TRANSLATED = "translated"
    PROXY_WORK = "proxy work"
    NOT_NEEDED = "not needed"
    UNSUPPORTED = "not supported"


class ProxyFeature(StrEnum):
    """The part of a proxy's configuration that a key belongs into."""

    UPSTREAM = "upstream"
    REWRITE = "rewrite"
    RESPONSE = "answer"
    REQUEST_HEADERS = "request headers"
    RESPONSE_HEADERS = "response headers"
    TIMEOUTS = "timeouts"
    UPGRADES = "upgrades"
    UPSTREAM_TLS = "upstream tls"
    LISTENER = "listener"
    CLIENT_CERTIFICATES = "client certificates"
    CLIENT_ADDRESS = "client address"
    LOGS = "logs"


@dataclass(frozen=True, slots=True, kw_only=True)
class Disposition:
    """What becomes of a key, and why.

    `text`: where it went, why it is not needed, or what to do instead.
    `decisive`: whether access depends on the operator doing something about it.
    `secret`: whether its value must never be shown.
    """

    outcome: ConversionOutcome
    text: str
    proxy_feature: ProxyFeature | None = None
    decisive: bool = False
    secret: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportEntry:
    """One key of the input. `value` is what may be shown of it."""

    path: DocumentPath
    location: SourceLocation
    disposition: Disposition
    value: object = None


BEARER_ADVICE = (
    "name the issuers whose tokens count in `token_issuers`, and on the route those it takes"
)
"""What to do instead of whatever of Pomerium's is about bearer tokens."""


def translated(text: str, *, secret: bool = False, decisive: bool = False) -> Disposition:
    """Return the disposition of a key that was translated into `text`."""
    return Disposition(
        outcome=ConversionOutcome.TRANSLATED, text=text, secret=secret, decisive=decisive
    )


def left_to_proxy(
    feature: ProxyFeature, text: str, *, secret: bool = False, decisive: bool = False
) -> Disposition:
    """Return the disposition of a key that belongs into the proxy's configuration."""
    return Disposition(
        outcome=ConversionOutcome.PROXY_WORK,
        text=text,
        proxy_feature=feature,
        secret=secret,
        decisive=decisive,
    )


def not_needed(reason: str, *, secret: bool = False) -> Disposition:
    """Return the disposition of a key that is not needed, with the reason."""
    return Disposition(outcome=ConversionOutcome.NOT_NEEDED, text=reason, secret=secret)


def unsupported(advice: str, *, decisive: bool = False, secret: bool = False) -> Disposition:
    """Return the disposition of a key that is not supported, with what to do instead."""
    return Disposition(
        outcome=ConversionOutcome.UNSUPPORTED, text=advice, decisive=decisive, secret=secret
    )


def for_options(names: str, disposition: Disposition) -> dict[str, Disposition]:
    """Return the same disposition for several keys, whose names are separated by spaces."""
    return dict.fromkeys(names.split(), disposition)


@dataclass(slots=True)
class ConversionReport:
    """The dispositions of all keys by path. `remarks` are about no single key."""

    source_map: SourceMap
    entries: dict[DocumentPath, ReportEntry] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)

    def record(self, path: DocumentPath, disposition: Disposition, value: object = None) -> None:
        """Record the disposition of a key. A later one replaces an earlier one: the tables come
        first, the converters correct them."""
        shown = "(not shown)" if disposition.secret and value else value
        self.entries[path] = ReportEntry(
            path=path,
            location=self.source_map.location_of(*path),
            disposition=disposition,
            value=shown,
        )

    def add_remark(self, text: str) -> None:
        """Add a remark once."""
        if text not in self.remarks:
            self.remarks.append(text)

    def with_outcome(self, outcome: ConversionOutcome) -> Iterator[ReportEntry]:
        """Return the entries with one outcome, in the order they were recorded."""
        return (entry for entry in self.entries.values() if entry.disposition.outcome is outcome)

    @property
    def decisive(self) -> tuple[ReportEntry, ...]:
        """The entries that the operator has to act on because access depends on it."""
        return tuple(entry for entry in self.entries.values() if entry.disposition.decisive)
