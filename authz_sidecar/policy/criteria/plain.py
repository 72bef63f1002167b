"""`accept` and `reject`: always and never, whatever their data says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from authz_sidecar.policy.reasons import fails, holds

if TYPE_CHECKING:
    from authz_sidecar.policy.criteria.base import Criterion, Site


def accept(_data: object, site: Site) -> Criterion:
    return site.constant(holds("accept"))


def reject(_data: object, site: Site) -> Criterion:
    return site.constant(fails("reject"))
