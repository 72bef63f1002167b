"""Redirect URIs in a configuration: what has to be stated, what does not go together, and what is
said about URIs that have moved."""

from __future__ import annotations

from typing import Any

import pytest

from authz_sidecar.config.checks import cross_section
from authz_sidecar.config.checks.callbacks import find_missing_callbacks
from authz_sidecar.config.checks.warnings import find_warnings
from authz_sidecar.config.schema import Config

AUTH = {"server": {"auth_host": "https://auth.example.com"}}
CORP = {"issuer": "https://idp.example.com", "client_id": "authz"}
OTHER = {"issuer": "https://partner.example.net", "client_id": "authz"}
SAME = {**CORP, "client_id": "another"}
GITHUB = {"type": "github", "client_id": "authz"}
OWN, SHARED = {"callback": "own"}, {"callback": "shared"}
REQUIRED = {"callback": "shared", "authorization_response_iss": "required"}
ALL = {"allow_any_authenticated_user": True}


def route(origin: str, **more: object) -> dict[str, object]:
    return {"from": origin, **ALL, **more}


def config(providers: dict[str, Any], **sections: Any) -> Config:
    return Config.model_validate(
        {
            "secret_keys": ["Vq0xG7m2Zt5yLs9kNc4bRf8hJd3wPa6e"],
            "sessions": {"store": "redis://127.0.0.1:6379/0"},
            "identity_providers": providers,
            "default_identity_provider": next(iter(providers)),
            "routes": [route("https://a.example.com")],
            **sections,
        }
    )


def unstated(providers: dict[str, Any], **sections: Any) -> dict[str, str]:
    found = find_missing_callbacks(config(providers, **sections))
    return {name: problem.message for name, problem in found.items()}


def problems(providers: dict[str, Any], **sections: Any) -> list[str]:
    return [
        problem.message for problem in cross_section.find_problems(config(providers, **sections))
    ]


def warnings(providers: dict[str, Any], **sections: Any) -> list[str]:
    return [problem.message for problem in find_warnings(config(providers, **sections))]


def test_one_provider_need_not_state_its_uri() -> None:
    assert unstated({"corp": CORP}) == {}
    assert problems({"corp": CORP}) == []


def test_several_providers_that_say_nothing_are_named_with_both_uris() -> None:
    found = unstated({"corp": CORP, "other": OTHER}, **AUTH)
    assert found.keys() == {"corp", "other"}
    for name, message in found.items():
        assert message == (
            f"identity_providers.{name}.callback: must be `own` or `shared`: if several providers share one"
            " redirect URI, a hostile one can obtain the authorization codes of the others (mix-up,"
            " RFC 9700 section 4.4);"
            f" the redirect URI was `https://auth.example.com/.auth/callback` and is now"
            f" `https://auth.example.com/.auth/callback/{name}`: register the new one at the provider,"
            " remove the old one there and set `callback: own`; `callback: shared` keeps the old one,"
            " for a provider that sends `iss` in its authorization responses (RFC 9207)"
        )


@pytest.mark.parametrize(
    ("corp", "other", "named"),
    [
        pytest.param({}, {}, ["corp", "other"], id="both"),
        pytest.param(OWN, {}, ["other"], id="the second"),
        pytest.param({}, SHARED, ["corp"], id="the first"),
        pytest.param(OWN, OWN, [], id="own"),
        pytest.param(SHARED, OWN, [], id="one shares"),
        pytest.param(SHARED, SHARED, [], id="both share"),
    ],
)
def test_each_of_several_has_to_say(
    corp: dict[str, str], other: dict[str, str], named: list[str]
) -> None:
    providers = {"corp": CORP | corp, "other": OTHER | other}
    assert list(unstated(providers)) == named
    assert problems(providers) == [], "nothing that keeps a server from starting"


@pytest.mark.parametrize(
    ("routes", "elsewhere"),
    [
        pytest.param([route("https://a.example.com")], "", id="one host"),
        pytest.param(
            [route("https://a.example.com"), route("https://a.example.com", prefix="/x")],
            "",
            id="two routes of a host",
        ),
        pytest.param(
            [route("https://a.example.com"), route("https://*.b.example.com:8443")],
            " (likewise on https://*.b.example.com:8443)",
            id="a wildcard",
        ),
        pytest.param(
            [
                route("https://a.example.com"),
                *(route(f"https://{name}.example.com") for name in "bcdef"),
            ],
            " (likewise on https://b.example.com, https://c.example.com and 3 more)",
            id="many",
        ),
        pytest.param(
            [
                route("https://a.example.com"),
                route("https://other.example.com", identity_provider="other"),
                {
                    "from": "https://docs.example.com",
                    "allow_public_unauthenticated_access": True,
                },
            ],
            "",
            id="hosts of another provider, and of none",
        ),
        pytest.param(
            [route("https://a.example.com"), route("https://a.example.com/path/")],
            "",
            id="a host that cannot be read",
        ),
    ],
)
def test_the_hosts_without_a_central_one(routes: list[object], elsewhere: str) -> None:
    message = unstated({"corp": CORP, "other": OTHER | OWN}, routes=routes)["corp"]
    expected = (
        "was `https://a.example.com/.auth/callback` and is now"
        f" `https://a.example.com/.auth/callback/corp`{elsewhere}: register"
    )
    assert expected in message


def test_the_base_path_is_in_the_uris() -> None:
    server = {"auth_host": "https://auth.example.com", "base_path": "/sign/in"}
    message = unstated({"corp": CORP, "other": OTHER}, server=server)["corp"]
    assert "`https://auth.example.com/sign/in/callback/corp`" in message


def test_a_provider_that_no_route_has_is_named_too() -> None:
    message = unstated({"corp": CORP, "other": OTHER})["other"]
    assert "`https://HOST/.auth/callback/other`" in message


@pytest.mark.parametrize(
    ("providers", "problem"),
    [
        pytest.param(
            {"corp": CORP | SHARED, "same": SAME | SHARED},
            "identity_providers.same.callback: `corp` has the same redirect URI and the same issuer",
            id="one issuer",
        ),
        pytest.param(
            {"corp": CORP | REQUIRED, "gh": GITHUB | SHARED},
            "identity_providers.gh.callback: `github` does not promise to send `iss`",
            id="no discovery",
        ),
        pytest.param(
            {"corp": CORP | OWN, "gh": GITHUB | SHARED},
            "identity_providers.gh.callback: `github` does not promise to send `iss`",
            id="no discovery, and alone in sharing",
        ),
    ],
)
def test_what_cannot_share(providers: dict[str, Any], problem: str) -> None:
    [found] = problems(providers)
    assert found.startswith(problem)


@pytest.mark.parametrize(
    "providers",
    [
        pytest.param({"corp": CORP | OWN, "same": SAME | OWN}, id="one issuer, own"),
        pytest.param({"corp": CORP | REQUIRED, "same": SAME | OWN}, id="one issuer, one shares"),
        pytest.param({"corp": CORP | REQUIRED, "other": OTHER | REQUIRED}, id="two issuers"),
        pytest.param({"gh": GITHUB | SHARED}, id="alone"),
        pytest.param({"corp": CORP | OWN, "gh": GITHUB | REQUIRED}, id="known to send it"),
        pytest.param({"corp": CORP | OWN, "gh": GITHUB | OWN}, id="own"),
    ],
)
def test_what_can(providers: dict[str, Any]) -> None:
    assert problems(providers) == []
    assert warnings(providers) == []
    assert unstated(providers) == {}


def test_a_single_provider_is_told_that_its_uri_has_moved() -> None:
    [found] = warnings({"corp": CORP}, **AUTH)
    assert found == (
        "identity_providers.corp: the redirect URI was `https://auth.example.com/.auth/callback` and"
        " is now `https://auth.example.com/.auth/callback/corp`: register the new one at the provider"
        " and set `callback: own`, or keep the old one with `callback: shared`"
    )
    assert warnings({"corp": CORP | OWN}) == []
    assert warnings({"corp": CORP | SHARED}) == []


def test_what_cannot_be_seen_from_here_is_a_warning() -> None:
    providers = {"corp": CORP | SHARED, "other": OTHER | OWN}
    [found] = warnings(providers)
    assert found.startswith(
        "identity_providers.corp.callback: sign-in is refused unless the provider promises"
    )
    assert "authorization_response_iss_parameter_supported" in found


@pytest.mark.parametrize("callback", ["Own", "both", "", True, ["own"]])
def test_a_kind_that_there_is_not(callback: object) -> None:
    with pytest.raises(ValueError, match="callback"):
        config({"corp": CORP | {"callback": callback}})
