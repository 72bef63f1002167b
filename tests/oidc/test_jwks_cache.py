"""The key cache: what it asks the provider, and how often."""

from __future__ import annotations

import pytest

from authz_sidecar.errors import LoginRefused, ProviderUnavailable
from authz_sidecar.oidc.jwks_cache import (
    FRESH_SECONDS,
    MAX_KEYS,
    REFETCHES_PER_MINUTE,
    JWKSCache,
    parse_jwks,
)
from authz_sidecar.oidc.jws import BadSignature, Jwk, TokenHeader


class Provider:
    """Publishes `keys`, counts who asks, and can be down."""

    def __init__(self, *key_ids: str | None) -> None:
        self.keys = [key(key_id) for key_id in key_ids]
        self.asked = 0
        self.down = False
        self.now = 1000.0
        self.cache = JWKSCache(self.fetch, clock=lambda: self.now)

    async def fetch(self) -> list[Jwk]:
        self.asked += 1
        if self.down:
            raise ProviderUnavailable("down")
        return list(self.keys)

    async def find(self, key_id: str | None) -> object:
        return (await self.cache.key_for(header(key_id))).get("kid")


def key(key_id: str | None) -> Jwk:
    return {"kty": "RSA"} | ({"kid": key_id} if key_id else {})


def header(key_id: str | None) -> TokenHeader:
    return TokenHeader(algorithm="RS256", key_id=key_id)


async def test_known_keys_are_asked_for_once() -> None:
    provider = Provider("a", "b")
    assert [await provider.find("a"), await provider.find("b")] == ["a", "b"]
    assert provider.asked == 1


async def test_a_rotated_key_is_fetched_once() -> None:
    provider = Provider("a")
    await provider.find("a")
    provider.keys = [key("b")]
    assert [await provider.find("b"), await provider.find("b")] == ["b", "b"]
    assert provider.asked == 2


async def test_an_unknown_key_is_asked_for_once_a_minute() -> None:
    provider = Provider("a")
    await provider.find("a")
    for _ in range(3):
        with pytest.raises(LoginRefused):
            await provider.find("x")
    assert provider.asked == 2
    provider.now += 61
    with pytest.raises(LoginRefused):
        await provider.find("x")
    assert provider.asked == 3


async def test_many_unknown_keys_do_not_flood_the_provider() -> None:
    provider = Provider("a")
    for number in range(50):
        with pytest.raises(LoginRefused):
            await provider.find(f"x{number}")
    assert provider.asked == 1 + REFETCHES_PER_MINUTE


async def test_no_name_means_the_only_key() -> None:
    assert await Provider("a").find(None) == "a"
    assert await Provider(None).find(None) is None


@pytest.mark.parametrize("key_ids", [("a", "b"), (None, None), ()])
async def test_no_name_among_several_is_refused(key_ids: tuple[str | None, ...]) -> None:
    with pytest.raises(LoginRefused):
        await Provider(*key_ids).find(None)


async def test_two_keys_of_one_name_are_refused() -> None:
    with pytest.raises(LoginRefused):
        await Provider("a", "a").find("a")


async def test_keys_are_renewed_and_outlive_a_provider_that_is_down() -> None:
    provider = Provider("a")
    await provider.find("a")
    provider.now += FRESH_SECONDS
    provider.down = True
    assert await provider.find("a") == "a"
    provider.down = False
    provider.keys = []
    with pytest.raises(LoginRefused):
        await provider.find("a")


async def test_without_any_keys_a_provider_that_is_down_is_said_to_be_down() -> None:
    provider = Provider("a")
    provider.down = True
    with pytest.raises(ProviderUnavailable):
        await provider.find("a")


async def test_a_key_replaced_under_its_name_can_be_renewed_within_limits() -> None:
    provider = Provider(None)
    await provider.find(None)
    for _ in range(20):
        await provider.cache.refresh()
    assert provider.asked == 1 + REFETCHES_PER_MINUTE


@pytest.mark.parametrize(
    ("key_id", "reused", "found"),
    [
        pytest.param(None, False, True, id="no name"),
        pytest.param(None, True, True, id="no name, names reused"),
        pytest.param("a", True, True, id="a name that is reused"),
        pytest.param("a", False, False, id="a name that is kept"),
    ],
)
async def test_a_wrong_signature_is_looked_at_with_the_key_that_took_the_place(
    key_id: str | None, *, reused: bool, found: bool
) -> None:
    provider = Provider(key_id)
    await provider.find(key_id)
    provider.keys = [new := {**key(key_id), "n": "new"}]

    def judged(by: Jwk) -> str:
        if by != new:
            raise BadSignature("wrong")
        return "good"

    async def judge() -> str:
        return await provider.cache.verify_with_key(
            header(key_id), judged, kid_may_be_reused=reused
        )

    if found:
        assert await judge() == "good"
    else:
        with pytest.raises(BadSignature):
            await judge()
    assert provider.asked == (2 if found else 1)


async def test_a_wrong_signature_of_the_same_key_is_wrong_and_asked_about_within_limits() -> None:
    provider, seen = Provider("a"), []

    def judged(by: Jwk) -> None:
        seen.append(by)
        raise BadSignature("wrong")

    for _ in range(20):
        with pytest.raises(BadSignature):
            await provider.cache.verify_with_key(header("a"), judged, kid_may_be_reused=True)
    assert len(seen) == 20, "the same key is not tried twice"
    assert provider.asked == 1 + REFETCHES_PER_MINUTE


@pytest.mark.parametrize(
    ("document", "keys"),
    [
        pytest.param({"keys": [{"kty": "EC"}]}, 1, id="a key"),
        pytest.param({"keys": []}, 0, id="none"),
        pytest.param({"keys": ["x", 7, None, [], {"kty": "EC"}]}, 1, id="what is no key"),
        pytest.param({"keys": [{}] * (MAX_KEYS + 1)}, MAX_KEYS, id="too many"),
    ],
)
def test_a_key_set_is_the_keys_of_its_document(document: object, keys: int) -> None:
    assert len(parse_jwks(document, url="https://idp.example/jwks")) == keys


@pytest.mark.parametrize("document", [None, [], "keys", {}, {"keys": {}}, {"keys": "x"}])
def test_what_is_no_key_set_is_an_answer_that_did_not_come(document: object) -> None:
    with pytest.raises(ProviderUnavailable, match=": not a key set"):
        parse_jwks(document, url="https://idp.example/jwks")
