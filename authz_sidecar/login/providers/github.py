"""The claims of a GitHub user, read from GitHub's API: GitHub speaks OAuth 2.0 and has no ID token
or userinfo.

A missing or malformed response ends the login: an unknown group could be one that a policy denies.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Final

from authz_sidecar.errors import LoginRefused, ProviderUnavailable
from authz_sidecar.oidc.id_token import VerifiedClaims

Fetch = Callable[[str], Awaitable[object]]

MAX_PAGES: Final = 20
_PAGE_SIZE: Final = 100
_GROUP_SCOPES = frozenset({"read:org", "write:org", "admin:org", "user"})
_EMAIL_SCOPES = frozenset({"user:email", "user"})
_COPIED_CLAIMS = ("name", "company", "html_url")


async def github_claims(
    fetch: Fetch, *, api: str, issuer: str, scopes: tuple[str, ...]
) -> VerifiedClaims:
    """Return the user's claims as an OpenID provider would send them.

    `sub`: the account's number, which survives a change of `login`.
    `groups`: `org` and `org/team`, where the scopes allow it.
    `email`: the primary address, where the scopes allow it; `email_verified` is GitHub's word.

    Raises `ProviderUnavailable` for a response that is malformed, and `LoginRefused` when a list
    has more than `MAX_PAGES` pages.
    """
    base = api.removesuffix("/")
    user = await fetch(f"{base}/user")
    number = user.get("id") if isinstance(user, Mapping) else None
    if not isinstance(user, Mapping) or not isinstance(number, int) or isinstance(number, bool):
        raise ProviderUnavailable("GitHub does not say who the user is")
    claims: dict[str, object] = {"iss": issuer, "sub": str(number)}
    claims["preferred_username"] = _text(user, "login")
    claims |= {name: user[name] for name in _COPIED_CLAIMS if isinstance(user.get(name), str)}
    claims.setdefault("name", claims["preferred_username"])
    if _EMAIL_SCOPES & set(scopes):
        emails = await _fetch_all(fetch, f"{base}/user/emails")
        claims |= _primary_email(emails)
    if _GROUP_SCOPES & set(scopes):
        orgs = await _fetch_all(fetch, f"{base}/user/orgs")
        teams = await _fetch_all(fetch, f"{base}/user/teams")
        claims["groups"] = list(dict.fromkeys((*_orgs(orgs), *_teams(teams))))
    return VerifiedClaims(claims)


async def _fetch_all(fetch: Fetch, url: str) -> list[Mapping[str, object]]:
    """Return the entries of every page. Pages are counted here; URLs in responses are not followed."""
    entries: list[Mapping[str, object]] = []
    for page in range(1, MAX_PAGES + 1):
        values = await fetch(f"{url}?per_page={_PAGE_SIZE}&page={page}")
        if not isinstance(values, list) or not all(isinstance(value, Mapping) for value in values):
            raise ProviderUnavailable(f"`{url}`: not a list of objects")
        entries += values
        if len(values) < _PAGE_SIZE:
            return entries
    raise LoginRefused(f"`{url}` has more than {MAX_PAGES * _PAGE_SIZE} entries")


def _primary_email(emails: list[Mapping[str, object]]) -> dict[str, object]:
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
