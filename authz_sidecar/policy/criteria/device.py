"""`device`: a device credential of the session (WebAuthn). For evaluation until it has a transport."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from authz_sidecar.core.suggest import unknown
from authz_sidecar.policy.criteria.base import About, Criterion, Site
from authz_sidecar.policy.reasons import ABOUT_DEVICE, UNAUTHENTICATED, fails, holds

if TYPE_CHECKING:
    from authz_sidecar.policy.subject import Subject

_KEYS = ("approved", "is", "type")


def device(data: object, site: Site) -> Criterion | None:
    if not isinstance(data, Mapping):
        site.problem("takes an object with `type`, `is` or `approved`")
        return None
    if not _sound(data, site):
        return None
    kind = str(data.get("type", "any"))
    credential = data.get("is")
    approved = _truthy(data["approved"]) if "approved" in data else None
    nobody = UNAUTHENTICATED | ABOUT_DEVICE
    missing = fails("device-unauthenticated") | ABOUT_DEVICE
    passing = holds("device-ok") | ABOUT_DEVICE
    failing = fails("device-unauthorized") | ABOUT_DEVICE

    def test(_request: object, subject: Subject | None, _now: float, _evidence: object) -> int:
        if subject is None:
            return nobody
        found = next((each for each in subject.devices if each.kind == kind), None)
        if found is None or not found.enrolled:
            return missing
        if credential is not None and found.credential != credential:
            return failing
        return failing if approved not in (None, found.approved) else passing

    return replace(site.criterion(test, About.SUBJECT), device_type=kind)


def _sound(data: Mapping[object, object], site: Site) -> bool:
    before = len(site.problems)
    for key in data:
        if key not in _KEYS:
            site.problem(unknown("device condition", key, _KEYS), str(key))
    for key in ("is", "type"):
        if key in data and not isinstance(data[key], str):
            site.problem("takes a string", key)
    return len(site.problems) == before


def _truthy(value: object) -> bool:
    """As upstream, which borrows it from JavaScript: empty arrays and objects are true."""
    return bool(value) or isinstance(value, list | tuple | Mapping)
