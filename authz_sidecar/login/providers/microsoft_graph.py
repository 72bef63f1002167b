"""The groups of a Microsoft user who has too many for the ID token ("groups overage"), from Graph.

The URL is fixed here and never taken from a token.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from authz_sidecar.errors import LoginRefused, ProviderUnavailable

GRAPH: Final = "https://graph.microsoft.com/v1.0"
MAX_PAGES: Final = 20
_GROUP = "#microsoft.graph.group"
_MEMBERSHIPS = "me/transitiveMemberOf"


def has_groups_overage(claims: Mapping[str, object]) -> bool:
    """Whether the token says that it leaves out the groups ("groups overage claim")."""
    distributed_claims = claims.get("_claim_names")
    is_distributed = isinstance(distributed_claims, Mapping) and "groups" in distributed_claims
    return is_distributed or claims.get("hasgroups") in (True, "true")


async def graph_groups(fetch: Callable[[str], Awaitable[object]], *, api: str) -> list[str]:
    """Return the ids of the groups that the user is in, directly or through other groups.

    Raises `ProviderUnavailable` for a malformed response, and `LoginRefused` when there are more
    than `MAX_PAGES` pages.
    """
    members = f"{api.removesuffix('/')}/{_MEMBERSHIPS}?"
    url: object = f"{members}$select=id&$top=999"
    groups: list[str] = []
    for _ in range(MAX_PAGES):
        # The next URL comes from the response, and is requested with the user's access token.
        if not isinstance(url, str) or not url.startswith(members):
            raise ProviderUnavailable("Microsoft Graph names a next page elsewhere")
        page = await fetch(url)
        values = page.get("value") if isinstance(page, Mapping) else None
        if not isinstance(page, Mapping) or not isinstance(values, list):
            raise ProviderUnavailable("Microsoft Graph answers with something else than groups")
        groups += [
            value["id"]
            for value in values
            if isinstance(value, Mapping)
            and value.get("@odata.type") == _GROUP
            and isinstance(value.get("id"), str)
        ]
        url = page.get("@odata.nextLink")
        if url is None:
            return groups
    raise LoginRefused(f"the user is in more groups than {MAX_PAGES} pages of Graph hold")
