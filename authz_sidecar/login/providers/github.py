"""Who a GitHub user is, by GitHub's own API: it speaks OAuth 2.0 and has neither ID token nor
userinfo. The claims come out as an OpenID provider would have them.

Nothing is guessed: an answer that is missing or of another shape ends the sign-in, because a group
that is not known could be one that is denied.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Final

from authz_sidecar.errors import LoginRefused, ProviderUnavailable
from authz_sidecar.oidc.id_token import VerifiedClaims

Fetch = Callable[[str], Awaitable[object]]

MAX_PAGES: Final = 20
_PAGE_SIZE: Final = 100
_FOR_GROUPS = frozenset({"read:org", "write:org", "admin:org", "user"})
_FOR_EMAILS = frozenset({"user:email", "user"})
_PASSED_ON = ("name", "company", "html_url")


async def github_claims(
    fetch: Fetch, *, api: str, issuer: str, scopes: tuple[str, ...]
) -> VerifiedClaims:
    """`sub` is the number of the account, which it keeps whatever it is called (`login`). Groups are
    `org` and `org/team`, e-mail is the primary address where GitHub verified it; each is asked for
    where the scopes allow it."""
    base = api.removesuffix("/")
    user = await fetch(f"{base}/user")
    number = user.get("id") if isinstance(user, Mapping) else None
    if not isinstance(user, Mapping) or not isinstance(number, int) or isinstance(number, bool):
        raise ProviderUnavailable("GitHub does not say who the user is")
    claims: dict[str, object] = {"iss": issuer, "sub": str(number)}
    claims["preferred_username"] = _text(user, "login")
    claims |= {name: user[name] for name in _PASSED_ON if isinstance(user.get(name), str)}
    claims.setdefault("name", claims["preferred_username"])
    if _FOR_EMAILS & set(scopes):
        emails = await _all(fetch, f"{base}/user/emails")
        claims |= _primary(emails)
    if _FOR_GROUPS & set(scopes):
        orgs = await _all(fetch, f"{base}/user/orgs")
        teams = await _all(fetch, f"{base}/user/teams")
        claims["groups"] = list(dict.fromkeys((*_orgs(orgs), *_teams(teams))))
    return VerifiedClaims(claims)


async def _all(fetch: Fetch, url: str) -> list[Mapping[str, object]]:
    """Every page, counted by us: an address in an answer is not followed."""
    found: list[Mapping[str, object]] = []
    for page in range(1, MAX_PAGES + 1):
        values = await fetch(f"{url}?per_page={_PAGE_SIZE}&page={page}")
        if not isinstance(values, list) or not all(isinstance(it, Mapping) for it in values):
            raise ProviderUnavailable(f"`{url}`: not a list of objects")
        found += values
        if len(values) < _PAGE_SIZE:
            return found
    raise LoginRefused(f"`{url}` has more than {MAX_PAGES * _PAGE_SIZE} entries")


def _primary(emails: list[Mapping[str, object]]) -> dict[str, object]:
    primary = next((email for email in emails if email.get("primary") is True), None)
    if primary is None:
        return {}
    return {
        "email": _text(primary, "email"),
        "email_verified": primary.get("verified") is True,
    }


def _orgs(orgs: list[Mapping[str, object]]) -> Iterator[str]:
    return (_text(org, "login") for org in orgs)


def _teams(teams: list[Mapping[str, object]]) -> Iterator[str]:
    for team in teams:
        organisation = team.get("organization")
        if not isinstance(organisation, Mapping):
            raise ProviderUnavailable("GitHub does not say whose team it is")
        yield f"{_text(organisation, 'login')}/{_text(team, 'slug')}"


def _text(source: Mapping[str, object], name: str) -> str:
    value = source.get(name)
    if not isinstance(value, str) or not value:
        raise ProviderUnavailable(f"GitHub leaves out `{name}`")
    return value
