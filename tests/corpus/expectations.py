"""What the words of a vector's `assert` promise of sign-in, sessions, tokens and the log."""

from __future__ import annotations

import json
import re
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, quote, urlsplit

import jwt

from authz_sidecar.oidc.jwks_cache import REFETCHES_PER_MINUTE
from tests.corpus.client import Walker, keep, send
from tests.corpus.deployment import ADMIN, APP, AUTH, COOKIE, HOSTS

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.corpus.assertions import Scene
    from tests.corpus.runner import House
    from tests.servers.wire import Message

LONGEST_ASSERTION_SECONDS = 300
ROUNDS = 50
"""Fewer than a vector asks for: each is two sign-ins."""


def _told(scene: Scene, path: str, *, token: str, host: str = AUTH) -> Message:
    headers = (("Host", host), ("Accept", "application/json"), ("Cookie", f"{COOKIE}={token}"))
    return send(scene.house.sidecar.web, method="GET", target=f"/.auth/{path}", headers=headers)


def _brought(scene: Scene) -> str:
    """The session that came with the vector."""
    [line] = scene.vector.values("cookie")
    return line.partition("=")[2]


# Where a sign-in leads


def ends_at_home(scene: Scene) -> None:
    """A sign-in that was begun with a return address of somebody else's ends with us."""
    if scene.answer.status == 400:
        return
    [host] = scene.vector.values("host")
    walker = Walker(sidecar=scene.house.sidecar)
    keep(walker.jars.setdefault(host, {}), scene.answer)
    last = walker.follow(scene.answer, to="/.auth/sign_out")
    while urlsplit(last.one("location") or "").hostname == "localhost":
        asked = {
            name: values[0]
            for name, values in parse_qs(urlsplit(last.one("location") or "").query).items()
        }
        challenge, nonce = asked["code_challenge"], asked["nonce"]
        code = scene.house.idp.code("ok", nonce=nonce, challenge=challenge)
        back = f"{asked['redirect_uri']}?code={code}&state={quote(asked['state'])}"
        last = walker.follow(walker.get(back), to="/.auth/sign_out")
    location = urlsplit(last.one("location") or f"https://{AUTH}/")
    assert location.scheme == "https", location
    assert location.netloc in HOSTS, location
    assert location.path not in {"/.auth/sign_out", "/.auth/start"}, location


def is_the_default_page(scene: Scene) -> None:
    assert scene.answer.one("location") == f"https://{AUTH}/.auth/"


def is_bounded(scene: Scene) -> None:
    jar: dict[str, str] = {}
    for line in scene.vector.values("cookie"):
        jar |= dict(pair.strip().split("=", 1) for pair in line.split(";"))
    keep(jar, scene.answer)
    assert sum(len(name) + len(value) + 3 for name, value in jar.items()) < 4096


def stays_with_us(scene: Scene) -> None:
    """Nothing of where a person was going reaches the provider."""
    walker = Walker(sidecar=scene.house.sidecar)
    first = walker.get(scene.answer.one("location") or "")
    assert first.one("referrer-policy") == "no-referrer"
    asked = walker.follow(first, to="").one("location") or ""
    assert urlsplit(asked).hostname == "localhost", asked
    assert "s3cret" not in asked
    assert "reset" not in asked


# Callbacks


def no_code_was_redeemed(scene: Scene) -> None:
    assert scene.filling.codes
    assert not set(scene.filling.codes) & set(scene.house.idp.redeemed)


def begins_again(scene: Scene) -> None:
    assert quote(f"https://{APP}/landing", safe="") in scene.answer.text


def nobody_is_swapped(scene: Scene) -> None:
    """Many pairs of sign-ins, each pair at the same time."""
    with ThreadPoolExecutor(2) as pool:
        for _ in range(ROUNDS):
            found = tuple(pool.map(_signed_in(scene), ("alice", "bob")))
            assert found == ("alice", "bob")


def _signed_in(scene: Scene) -> Callable[[str], str]:
    def signed_in(person: str) -> str:
        token = scene.house.people.signed_in(person).jars[AUTH][COOKIE]
        user: str = json.loads(_told(scene, "userinfo", token=token).text)["sub"]
        return user

    return signed_in


def ticket_is_the_browsers(scene: Scene) -> None:
    """Only the browser that began may use it, and once."""
    [(offered, walker)] = scene.filling.tickets
    thief = Walker(sidecar=scene.house.sidecar)
    assert COOKIE not in _jar_after(thief, offered)
    assert COOKIE in _jar_after(walker, offered)
    begun = Walker(sidecar=scene.house.sidecar)
    begun.get(f"https://{APP}/.auth/start?rd=/")
    assert COOKIE not in _jar_after(begun, offered), "it is good once"
    scene.filling.ticket("for-app")
    another, rightful = scene.filling.tickets[-1]
    elsewhere = another.replace(APP, ADMIN, 1)
    rightful.get(f"https://{ADMIN}/.auth/start?rd=/")
    assert COOKIE not in _jar_after(rightful, elsewhere, host=ADMIN), "another host"


def _jar_after(walker: Walker, url: str, *, host: str = APP) -> dict[str, str]:
    walker.get(url)
    return walker.jars[host]


# Sessions


def still_signed_in(scene: Scene) -> None:
    [host] = scene.vector.values("host")
    assert _told(scene, "userinfo", token=_brought(scene), host=host).status == 200


def signed_out_or_refused(scene: Scene) -> None:
    status = _told(scene, "userinfo", token=_brought(scene)).status
    assert status == (200 if scene.answer.status == 400 else 401)


def store_is_untouched(scene: Scene) -> None:
    assert scene.house.names_in_store() == scene.before.names


def both_orders_are_equal(scene: Scene) -> None:
    [line] = scene.vector.values("cookie")
    turned = "; ".join(reversed(line.split("; ")))
    headers = tuple(
        (name, turned if name == "Cookie" else value) for name, value in scene.vector.headers
    )
    assert scene.again(headers=headers).status == scene.answer.status


def refreshed_once(scene: Scene) -> None:
    assert scene.asked_since("/token") == 1
    assert {answer.one("x-auth-user") for answer in scene.answers} == {"alice"}


def refreshed_when_the_lock_is_gone(scene: Scene) -> None:
    assert scene.asked_since("/token") == 0, "the lock is another's"
    deadline = time.monotonic() + 10
    while not scene.asked_since("/token") and time.monotonic() < deadline:
        assert scene.again().status == 200
        time.sleep(0.2)
    assert scene.asked_since("/token") == 1


def types_are_checked(scene: Scene) -> None:
    """Each claim that is not what it should be, alone."""
    people = scene.house.people
    for claims, path in (
        ({"sub": 7}, "/"),
        ({"sub": ["alice"]}, "/"),
        ({"email": ["alice@example.com"]}, "/"),
        ({"groups": {"admins": True}}, "/admin"),
        ({"groups": "not-admins"}, "/admin"),
        ({"groups": [["admins"]]}, "/admin"),
    ):
        token = people.token_of(people.signed_in(**claims), APP)
        assert scene.house.asks(APP, path, token=token).status in {302, 303, 403}, claims


# Tokens


def says_invalid_token(scene: Scene) -> None:
    said = ", ".join(scene.answer.all("www-authenticate"))
    assert said.startswith("Bearer "), said
    assert 'error="invalid_token"' in said, said
    detail = r"(?i)expired|signature|audience|issuer|algorithm|\bkid\b|\baud\b|\biss\b"
    assert not re.search(detail, said + scene.answer.text)


def nobody_goes_where_a_token_points(scene: Scene) -> None:
    assert scene.house.idp.asked_for_evil() == 0


def keys_are_not_fetched_each_time(scene: Scene) -> None:
    for _ in range(20):
        token = scene.house.idp.mint.made("kid=random", scene.house.idp.mint.good())
        changed = tuple(
            (name, f"Bearer {token}" if name == "Authorization" else value)
            for name, value in scene.vector.headers
        )
        assert scene.again(headers=changed).status == 401
    assert scene.asked_since("/jwks") <= REFETCHES_PER_MINUTE + 1


def one_identity_only(scene: Scene) -> None:
    if scene.answer.status == 200:
        assert scene.answer.one("x-auth-user") == "alice"
        assert scene.answer.one("x-auth-groups") == "staff"


def tokens_are_not_logged(scene: Scene) -> None:
    scene.logged(lambda line: "check" in line)
    log = scene.house.sidecar.log()
    assert scene.filling.tokens
    assert not [token for token in scene.filling.tokens if token in log]


def assertion_is_for_this_host(scene: Scene) -> None:
    assertion = scene.answer.one("x-auth-assertion") or ""
    published = json.loads(_told(scene, "jwks.json", token="").text)
    header = jwt.get_unverified_header(assertion)
    [key] = [each for each in published["keys"] if each["kid"] == header["kid"]]
    verified = jwt.PyJWK(key)
    claims = jwt.decode(assertion, verified, algorithms=["ES256"], audience=APP)
    assert claims["exp"] - claims["iat"] <= LONGEST_ASSERTION_SECONDS
    assert claims["jti"]
    for audience in (ADMIN, f"https://{ADMIN}", "example.com"):
        try:
            jwt.decode(assertion, verified, algorithms=["ES256"], audience=audience)
        except jwt.InvalidAudienceError:
            continue
        raise AssertionError(f"good for `{audience}` too")


# What is said, and to whom


def tokens_are_not_shown(scene: Scene) -> None:
    for name in ("access_token", "refresh_token", "id_token", "alice.0", "eyJ"):
        assert name not in scene.answer.text


def groups_are_their_own(scene: Scene) -> None:
    assert scene.answer.all("x-auth-groups") == ("staff",)


def name_is_visible_ascii(scene: Scene) -> None:
    name = scene.answer.one("x-auth-name") or ""
    assert re.fullmatch(r"[\x20-\x7e]+", name), name


def a_large_answer_is_explained(scene: Scene) -> None:
    if scene.answer.status == 403:
        scene.logged(lambda line: "headers-too-large" in line.get("reasons", ""))


def reason_is_logged(scene: Scene) -> None:
    scene.logged(lambda line: line.get("route-id") == "admin" and bool(line.get("reasons")))


def not_stored(scene: Scene) -> None:
    assert scene.answer.one("cache-control") == "no-store"


def no_frame_and_no_script(scene: Scene) -> None:
    if scene.answer.status == 200:
        assert "frame-ancestors 'none'" in (scene.answer.one("content-security-policy") or "")
        assert not re.search(r"(?i)<script(?![^>]*\bsrc=)|\son\w+=|javascript:", scene.answer.text)


def nothing_from_elsewhere(scene: Scene) -> None:
    links = re.findall(r"""(?:src|href|action)=["']?([^"'\s>]+)""", scene.answer.text)
    outside = [link for link in links if not link.startswith(("/", "#", f"https://{AUTH}/"))]
    assert not outside, outside
    assert "default-src 'none'" in (scene.answer.one("content-security-policy") or "")


def is_bare(scene: Scene) -> None:
    assert len(scene.answer.body) < 200, scene.answer


def log_is_one_line_an_event(scene: Scene) -> None:
    scene.logged(bool)
    written = scene.house.sidecar.log_path.read_bytes()[scene.before.log_size :].decode()
    for line in written.splitlines():
        json.loads(line)
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", written)


def strangers_are_answered_alike(scene: Scene) -> None:
    answers = [scene.answer]
    for host, path in ((APP, "/"), (APP, "/public/x"), ("nowhere.example", "/")):
        told = {"x-forwarded-host": host, "x-forwarded-uri": path}
        headers = tuple(
            (name, told.get(name.lower(), value)) for name, value in scene.vector.headers
        )
        answers.append(scene.again(headers=headers))
    assert len({(each.status, _without_ids(each.text), each.names) for each in answers}) == 1


def _without_ids(text: str) -> str:
    return re.sub(r"[A-Za-z0-9_-]{10,}", "id", text)


def back_channel_left_it(house: House, token: str) -> None:
    """The session that no logout token here is good for."""
    assert house.asks(APP, token=token).status == 200


PROMISES: tuple[tuple[re.Pattern[str], Callable[[Scene], None]], ...] = tuple(
    (re.compile(pattern), holds)
    for pattern, holds in (
        (
            r"final Location is on an allowed origin|own routes replaced|^bounded; kept",
            ends_at_home,
        ),
        (r"Location is the default page", is_the_default_page),
        (r"^bounded; kept|flow cookies are capped", is_bounded),
        (r"return address stays server-side", stays_with_us),
        (
            r"before the code is redeemed|no silent fallback|empty never|RFC 9207",
            no_code_was_redeemed,
        ),
        (r"friendly restart", begins_again),
        (r"no crossed identity", nobody_is_swapped),
        (r"ticket is single-use", ticket_is_the_browsers),
        (r"plus form token|same-origin only", still_signed_in),
        (r"^signed out;", signed_out_or_refused),
        (r"store untouched", store_is_untouched),
        (r"equal for both orders", both_orders_are_equal),
        (r"one refresh call in all", refreshed_once),
        (r"lock expires", refreshed_when_the_lock_is_gone),
        (r"schema check when the session is made", types_are_checked),
        (r"invalid_token", says_invalid_token),
        (r"no outbound request", nobody_goes_where_a_token_points),
        (r"refetch is rate-limited", keys_are_not_fetched_each_time),
        (r"never the union", one_identity_only),
        (r"redacted in the log", tokens_are_not_logged),
        (r"assertion has aud = this host", assertion_is_for_this_host),
        (r"no token of the provider is shown", tokens_are_not_shown),
        (r"exactly one X-Auth-Groups", groups_are_their_own),
        (r"documented encoding", name_is_visible_ascii),
        (r"header bounded", a_large_answer_is_explained),
        (r"with a reason in the log", reason_is_logged),
        (r"no-store", not_stored),
        (r"frame-ancestors 'none'", no_frame_and_no_script),
        (r"no external images", nothing_from_elsewhere),
        (r"bare 404", is_bare),
        (r"one JSON line per event", log_is_one_line_an_event),
        (r"same status, body", strangers_are_answered_alike),
    )
)
