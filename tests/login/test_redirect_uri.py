"""Which redirect URI a sign-in is begun with, and which answers may arrive at it: the whole product
of what a provider is configured to have, promises, and is alone with."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING, Any, Literal

import pytest

from authz_sidecar.core.urls import parse_origin
from authz_sidecar.errors import AuthzError, LoginRefused
from authz_sidecar.login.providers import ProviderMetadata, ProviderSettings
from authz_sidecar.login.redirect_uri import (
    CallbackMode,
    RedirectUriNotReady,
    RedirectUris,
    TransactionPredatesUpdate,
    callback_path,
)
from authz_sidecar.login.transactions import LoginTransaction, transaction_id

if TYPE_CHECKING:
    from collections.abc import Callable

HOST = parse_origin("https://auth.example.com")
ALONE = RedirectUris(providers={"corp"}, base_path="/.auth")
SEVERAL = RedirectUris(providers={"corp", "other"}, base_path="/.auth")
BOTH = [pytest.param(ALONE, id="alone"), pytest.param(SEVERAL, id="several")]

OWN_URI = "https://auth.example.com/.auth/callback/corp"
SHARED_URI = "https://auth.example.com/.auth/callback"

Promise = Literal["nothing", "discovery", "setting"]
PROMISES: tuple[Promise, ...] = ("nothing", "discovery", "setting")
CALLBACKS: tuple[CallbackMode | None, ...] = (None, "own", "shared")


def settings(
    callback: CallbackMode | None = "own", promise: Promise = "nothing"
) -> ProviderSettings:
    return ProviderSettings(
        name="corp",
        issuer="https://idp.example.com",
        client_id="authz",
        callback=callback,
        authorization_response_iss="required" if promise == "setting" else "auto",
    )


def metadata(promise: Promise) -> ProviderMetadata:
    return ProviderMetadata(
        issuer="https://idp.example.com",
        authorization_endpoint="https://idp.example.com/authorize",
        token_endpoint="https://idp.example.com/token",
        jwks_uri=None,
        promises_iss=promise == "discovery",
    )


def attempt(
    callback: CallbackMode | None = "own", provider: str | None = "corp"
) -> LoginTransaction:
    return LoginTransaction(
        id=transaction_id(1.0, b"123456"),
        secret=b"s" * 32,
        return_to="https://app.example.com/",
        started_at=1.0,
        provider=provider,
        callback=callback,
    )


def refusal(act: Callable[[], object]) -> AuthzError | None:
    try:
        act()
    except AuthzError as error:
        return error
    return None


@pytest.mark.parametrize("uris", BOTH)
def test_the_uri_does_not_depend_on_how_many_providers_there_are(uris: RedirectUris) -> None:
    assert uris.for_transaction(HOST, attempt("own")) == OWN_URI
    assert uris.for_transaction(HOST, attempt("shared")) == SHARED_URI


def test_the_base_path_is_that_of_the_configuration() -> None:
    uris = RedirectUris(providers={"corp"}, base_path="/sign/in")
    assert (
        uris.for_transaction(HOST, attempt("own"))
        == "https://auth.example.com/sign/in/callback/corp"
    )
    uris.check_response_path(attempt("own"), path="/sign/in/callback/corp")
    assert refusal(lambda: uris.check_response_path(attempt("own"), path="/.auth/callback/corp"))


# Beginning


@pytest.mark.parametrize("uris", BOTH)
@pytest.mark.parametrize("callback", CALLBACKS)
def test_several_providers_wait_until_their_uri_is_stated(
    uris: RedirectUris, callback: CallbackMode | None
) -> None:
    error = refusal(lambda: uris.check_registration(settings(callback), origin=HOST))
    if uris is SEVERAL and callback is None:
        assert isinstance(error, RedirectUriNotReady)
        assert f"{OWN_URI} " in error.public_message
        assert "callback: own" in error.public_message
    else:
        assert error is None


@pytest.mark.parametrize("uris", BOTH)
@pytest.mark.parametrize(("callback", "promise"), list(product(CALLBACKS, PROMISES)))
def test_a_uri_is_shared_among_several_only_by_those_that_name_themselves(
    uris: RedirectUris, callback: CallbackMode | None, promise: Promise
) -> None:
    error = refusal(
        lambda: uris.check_iss_support(settings(callback, promise), metadata(promise), origin=HOST)
    )
    if uris is SEVERAL and callback == "shared" and promise == "nothing":
        assert isinstance(error, RedirectUriNotReady)
        assert f"{OWN_URI} " in error.public_message
    else:
        assert error is None


def test_the_page_calls_a_provider_what_people_call_it() -> None:
    labelled = replace(settings(None), label="Company account")
    with pytest.raises(RedirectUriNotReady) as caught:
        SEVERAL.check_registration(labelled, origin=HOST)
    assert caught.value.public_message.startswith("Sign-in with Company account is not set up yet.")


# Arriving


@pytest.mark.parametrize("uris", BOTH)
@pytest.mark.parametrize(("callback", "promise"), list(product(CALLBACKS, PROMISES)))
def test_who_has_to_name_themselves_in_the_answer(
    uris: RedirectUris, callback: CallbackMode | None, promise: Promise
) -> None:
    needed = uris.requires_iss(attempt(callback), settings(callback, promise), metadata(promise))
    at_a_shared_uri = callback != "own" and uris is SEVERAL
    assert needed == (promise != "nothing" or at_a_shared_uri)


def test_a_shared_uri_asks_for_iss_whatever_the_provider_is_configured_to_have_by_now() -> None:
    assert SEVERAL.requires_iss(attempt("shared"), settings("own"), metadata("nothing"))


ARRIVALS: dict[str, str] = {
    "its own": "/.auth/callback/corp",
    "another's": "/.auth/callback/other",
    "the shared": "/.auth/callback",
    "below its own": "/.auth/callback/corp/x",
    "with a slash": "/.auth/callback/",
    "in capitals": "/.auth/callback/CORP",
    "of another base path": "/auth/callback/corp",
}


@pytest.mark.parametrize("uris", BOTH)
@pytest.mark.parametrize("where", ARRIVALS)
@pytest.mark.parametrize("callback", ["own", "shared"])
def test_an_answer_counts_only_at_the_uri_of_its_attempt(
    uris: RedirectUris, where: str, callback: CallbackMode
) -> None:
    error = refusal(lambda: uris.check_response_path(attempt(callback), path=ARRIVALS[where]))
    if where == {"own": "its own", "shared": "the shared"}[callback]:
        assert error is None
    else:
        assert type(error) is LoginRefused
        assert "/.auth" not in error.public_message


@pytest.mark.parametrize(
    ("providers", "provider", "path", "refused"),
    [
        pytest.param({"corp"}, "corp", "/.auth/callback", None, id="the only provider"),
        pytest.param({"corp"}, "corp", "/.auth/callback/corp", LoginRefused, id="at its new URI"),
        pytest.param(
            {"corp"}, "gone", "/.auth/callback", TransactionPredatesUpdate, id="another is left"
        ),
        pytest.param(
            {"corp"}, None, "/.auth/callback", TransactionPredatesUpdate, id="awaits a ticket"
        ),
        pytest.param(
            {"corp", "other"},
            "corp",
            "/.auth/callback",
            TransactionPredatesUpdate,
            id="one of several",
        ),
        pytest.param(
            {"corp", "other"},
            "corp",
            "/.auth/callback/corp",
            TransactionPredatesUpdate,
            id="new, several",
        ),
        pytest.param(
            set(), "corp", "/.auth/callback", TransactionPredatesUpdate, id="none is left"
        ),
    ],
)
def test_attempts_of_the_release_before(
    providers: set[str], provider: str | None, path: str, refused: type[AuthzError] | None
) -> None:
    uris = RedirectUris(providers=providers, base_path="/.auth")
    earlier: dict[str, Any] = {"callback": None, "provider": provider}
    error = refusal(lambda: uris.check_response_path(attempt(**earlier), path=path))
    assert (type(error) if error else None) is refused


def test_an_attempt_of_the_release_before_is_redeemed_with_the_uri_it_had() -> None:
    assert ALONE.for_transaction(HOST, attempt(None)) == SHARED_URI


def test_the_path_of_a_uri() -> None:
    assert callback_path("corp", "own") == "callback/corp"
    assert callback_path("corp", "shared") == "callback"
