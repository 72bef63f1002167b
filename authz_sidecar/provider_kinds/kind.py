"""The shape of a description, and nothing of any provider."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

AboutUser = Literal["openid", "graph", "github"]
"""Who says more of a user than the ID token: userinfo alone, Microsoft Graph too where the token
leaves groups out, or GitHub's API instead of both."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlainOAuth:
    """Where a provider without discovery is asked, as paths below its issuer. `issuer` is what it
    calls itself in answers (RFC 9207). `hosted` is the one whose API has a host of its own; those
    that people run themselves have it at `api_path`."""

    issuer: str
    authorization: str
    token: str
    hosted: str
    hosted_api: str
    api_path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SignOut:
    """Sign-out by other words than RP-Initiated Logout: `path` is on the host of the authorization
    endpoint, `parameter` says where to return. `instead` of what discovery offers, or without it."""

    path: str
    parameter: str
    instead: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """`defaults` are in the configuration's own words. Where they have no `issuer`, the operator
    must, and `example` shows how it looks."""

    name: str
    defaults: Mapping[str, object] = field(default_factory=dict)
    example: str = "https://idp.example.com"
    verified_by: str = "email_verified"
    """The claim by which the provider vouches for the first of the e-mail claims."""
    tenant_words: tuple[str, ...] = ()
    """What stands in the issuer where tokens have the id of their user's own tenant instead."""
    about_user: AboutUser = "openid"
    plain_oauth: PlainOAuth | None = None
    sign_out: SignOut | None = None
    signs_its_secret: bool = False
    """Whether the client's secret is a token that we sign with `client_key`."""
    posts_user: bool = False
    """Whether a name comes with the answer that the browser posts, at the first sign-in only."""
    groups_by_anybody: bool = False
    """Whether anybody with an account there can make a group of any name that is free."""
    assertion_audience: Literal["issuer", "token_endpoint"] = "issuer"

    def tenant_template(self, issuer: str) -> str | None:
        """The issuer with `{tenantid}` where each tenant has its id; None where it is one for all."""
        for word in self.tenant_words:
            before, found, after = issuer.partition(f"/{word}/")
            if found:
                return f"{before}/{{tenantid}}/{after}"
        return None
