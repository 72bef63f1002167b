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
from tests.corpus.client import CookieBrowser, send, update_cookies
from tests.corpus.deployment import ADMIN, APP, AUTH, COOKIE, HOSTS

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.corpus.assertions import VectorRun
    from tests.corpus.runner import CorpusDeployment
    from tests.servers.wire import Message

MAX_ASSERTION_SECONDS = 300
CONCURRENT_ROUNDS = 50
"""Fewer than a vector asks for: each is two sign-ins."""


def _get_auth_path(scene: VectorRun, path: str, *, token: str, host: str = AUTH) -> Message:
    headers = (("Host", host), ("Accept", "application/json"), ("Cookie", f"{COOKIE}={token}"))
    return send(
        scene.deployment.sidecar.web, method="GET", target=f"/.auth/{path}", headers=headers
    )


def _session_cookie(scene: VectorRun) -> str:
    """The session that came with the vector."""
    [line] = scene.vector.values("cookie")
    return line.partition("=")[2]


# Where a sign-in leads


def assert_ends_on_own_origin(scene: VectorRun) -> None:
    """A sign-in that was begun with a return address of somebody else's ends with us."""
    if scene.response.status == 400:
        return
    [host] = scene.vector.values("host")
    walker = CookieBrowser(sidecar=scene.deployment.sidecar)
    update_cookies(walker.jars.setdefault(host, {}), scene.response)
    response = walker.follow(scene.response, last_path="/.auth/sign_out")
    while urlsplit(response.one("location") or "").hostname == "localhost":
        authorization_request = {
            name: values[0]
            for name, values in parse_qs(urlsplit(response.one("location") or "").query).items()
        }
        challenge, nonce = authorization_request["code_challenge"], authorization_request["nonce"]
        code = scene.deployment.provider.issue_code("ok", nonce=nonce, challenge=challenge)
        callback_url = f"{authorization_request['redirect_uri']}?code={code}&state={quote(authorization_request['state'])}"
        response = walker.follow(walker.get(callback_url), last_path="/.auth/sign_out")
    location = urlsplit(response.one("location") or f"https://{AUTH}/")
    assert location.scheme == "https", location
    assert location.netloc in HOSTS, location
    assert location.path not in {"/.auth/sign_out", "/.auth/start"}, location


def assert_default_page(scene: VectorRun) -> None:
    assert scene.response.one("location") == f"https://{AUTH}/.auth/"


def assert_cookies_bounded(scene: VectorRun) -> None:
    jar: dict[str, str] = {}
    for line in scene.vector.values("cookie"):
        jar |= dict(pair.strip().split("=", 1) for pair in line.split(";"))
    update_cookies(jar, scene.response)
    assert sum(len(name) + len(value) + 3 for name, value in jar.items()) < 4096


def assert_return_url_not_sent_to_provider(scene: VectorRun) -> None:
    """Nothing of where a person was going reaches the provider."""
    walker = CookieBrowser(sidecar=scene.deployment.sidecar)
    first = walker.get(scene.response.one("location") or "")
    assert first.one("referrer-policy") == "no-referrer"
    authorization_url = walker.follow(first, last_path="").one("location") or ""
    assert urlsplit(authorization_url).hostname == "localhost", authorization_url
    assert "s3cret" not in authorization_url
    assert "reset" not in authorization_url


# Callbacks


def assert_no_code_redeemed(scene: VectorRun) -> None:
    assert scene.placeholders.codes
    assert not set(scene.placeholders.codes) & set(scene.deployment.provider.redeemed_codes)


def assert_restart_link(scene: VectorRun) -> None:
    assert quote(f"https://{APP}/landing", safe="") in scene.response.text


def assert_concurrent_sign_ins_not_mixed(scene: VectorRun) -> None:
    """Many pairs of sign-ins, each pair at the same time."""
    with ThreadPoolExecutor(2) as pool:
        for _ in range(CONCURRENT_ROUNDS):
            subjects = tuple(pool.map(_sign_in_and_read_subject(scene), ("alice", "bob")))
            assert subjects == ("alice", "bob")


def _sign_in_and_read_subject(scene: VectorRun) -> Callable[[str], str]:
    def sign_in(person: str) -> str:
        token = scene.deployment.users.sign_in(person).jars[AUTH][COOKIE]
        user: str = json.loads(_get_auth_path(scene, "userinfo", token=token).text)["sub"]
        return user

    return sign_in


def assert_ticket_bound_to_browser(scene: VectorRun) -> None:
    """Only the browser that began may use it, and once."""
    [(ticket_url, browser)] = scene.placeholders.tickets
    thief = CookieBrowser(sidecar=scene.deployment.sidecar)
    assert COOKIE not in _cookies_after(thief, ticket_url)
    assert COOKIE in _cookies_after(browser, ticket_url)
    other_browser = CookieBrowser(sidecar=scene.deployment.sidecar)
    other_browser.get(f"https://{APP}/.auth/start?rd=/")
    assert COOKIE not in _cookies_after(other_browser, ticket_url), "it is good once"
    scene.placeholders.create_ticket("for-app")
    second_ticket_url, owner = scene.placeholders.tickets[-1]
    elsewhere = second_ticket_url.replace(APP, ADMIN, 1)
    owner.get(f"https://{ADMIN}/.auth/start?rd=/")
    assert COOKIE not in _cookies_after(owner, elsewhere, host=ADMIN), "another host"


def _cookies_after(browser: CookieBrowser, url: str, *, host: str = APP) -> dict[str, str]:
    browser.get(url)
    return browser.jars[host]


# Sessions


def assert_still_signed_in(scene: VectorRun) -> None:
    [host] = scene.vector.values("host")
    assert _get_auth_path(scene, "userinfo", token=_session_cookie(scene), host=host).status == 200


def assert_signed_out_or_refused(scene: VectorRun) -> None:
    status = _get_auth_path(scene, "userinfo", token=_session_cookie(scene)).status
    assert status == (200 if scene.response.status == 400 else 401)


def assert_store_unchanged(scene: VectorRun) -> None:
    assert scene.deployment.list_store_keys() == scene.snapshot.store_keys


def assert_cookie_order_irrelevant(scene: VectorRun) -> None:
    [line] = scene.vector.values("cookie")
    reversed_cookies = "; ".join(reversed(line.split("; ")))
    headers = tuple(
        (name, reversed_cookies if name == "Cookie" else value)
        for name, value in scene.vector.headers
    )
    assert scene.resend(headers=headers).status == scene.response.status


def assert_refreshed_once(scene: VectorRun) -> None:
    assert scene.count_provider_requests("/token") == 1
    assert {answer.one("x-auth-user") for answer in scene.responses} == {"alice"}


def assert_refreshed_after_lock_expiry(scene: VectorRun) -> None:
    assert scene.count_provider_requests("/token") == 0, "the lock is another's"
    deadline = time.monotonic() + 10
    while not scene.count_provider_requests("/token") and time.monotonic() < deadline:
        assert scene.resend().status == 200
        time.sleep(0.2)
    assert scene.count_provider_requests("/token") == 1


def assert_claim_types_checked(scene: VectorRun) -> None:
    """Each claim that is not what it should be, alone."""
    users = scene.deployment.users
    for claims, path in (
        ({"sub": 7}, "/"),
        ({"sub": ["alice"]}, "/"),
        ({"email": ["alice@example.com"]}, "/"),
        ({"groups": {"admins": True}}, "/admin"),
        ({"groups": "not-admins"}, "/admin"),
        ({"groups": [["admins"]]}, "/admin"),
    ):
        token = users.browser_cookie(users.sign_in(**claims), APP)
        assert scene.deployment.check(APP, path, token=token).status in {302, 303, 403}, claims


# Tokens


def assert_invalid_token_error(scene: VectorRun) -> None:
    challenges = ", ".join(scene.response.all("www-authenticate"))
    assert challenges.startswith("Bearer "), challenges
    assert 'error="invalid_token"' in challenges, challenges
    detail = r"(?i)expired|signature|audience|issuer|algorithm|\bkid\b|\baud\b|\biss\b"
    assert not re.search(detail, challenges + scene.response.text)


def assert_no_request_to_token_urls(scene: VectorRun) -> None:
    assert scene.deployment.provider.count_attacker_requests() == 0


def assert_jwks_refetch_limited(scene: VectorRun) -> None:
    for _ in range(20):
        token = scene.deployment.provider.token_factory.make_token(
            "kid=random", scene.deployment.provider.token_factory.good_claims()
        )
        changed = tuple(
            (name, f"Bearer {token}" if name == "Authorization" else value)
            for name, value in scene.vector.headers
        )
        assert scene.resend(headers=changed).status == 401
    assert scene.count_provider_requests("/jwks") <= REFETCHES_PER_MINUTE + 1


def assert_single_identity(scene: VectorRun) -> None:
    if scene.response.status == 200:
        assert scene.response.one("x-auth-user") == "alice"
        assert scene.response.one("x-auth-groups") == "staff"


def assert_tokens_not_logged(scene: VectorRun) -> None:
    scene.wait_for_log_line(lambda line: "check" in line)
    log = scene.deployment.sidecar.log()
    assert scene.placeholders.tokens
    assert not [token for token in scene.placeholders.tokens if token in log]


def assert_assertion_audience(scene: VectorRun) -> None:
    assertion = scene.response.one("x-auth-assertion") or ""
    published = json.loads(_get_auth_path(scene, "jwks.json", token="").text)
    header = jwt.get_unverified_header(assertion)
    [key] = [each for each in published["keys"] if each["kid"] == header["kid"]]
    verified = jwt.PyJWK(key)
    claims = jwt.decode(assertion, verified, algorithms=["ES256"], audience=APP)
    assert claims["exp"] - claims["iat"] <= MAX_ASSERTION_SECONDS
    assert claims["jti"]
    for audience in (ADMIN, f"https://{ADMIN}", "example.com"):
        try:
            jwt.decode(assertion, verified, algorithms=["ES256"], audience=audience)
        except jwt.InvalidAudienceError:
            continue
        raise AssertionError(f"good for `{audience}` too")


# What is said, and to whom


def assert_tokens_not_shown(scene: VectorRun) -> None:
    for name in ("access_token", "refresh_token", "id_token", "alice.0", "eyJ"):
        assert name not in scene.response.text


def assert_own_groups_only(scene: VectorRun) -> None:
    assert scene.response.all("x-auth-groups") == ("staff",)


def assert_name_is_ascii(scene: VectorRun) -> None:
    name = scene.response.one("x-auth-name") or ""
    assert re.fullmatch(r"[\x20-\x7e]+", name), name


def assert_large_headers_logged(scene: VectorRun) -> None:
    if scene.response.status == 403:
        scene.wait_for_log_line(lambda line: "headers-too-large" in line.get("reasons", ""))


def assert_reason_logged(scene: VectorRun) -> None:
    scene.wait_for_log_line(
        lambda line: line.get("route-id") == "admin" and bool(line.get("reasons"))
    )


def assert_no_store(scene: VectorRun) -> None:
    assert scene.response.one("cache-control") == "no-store"


def assert_no_framing_or_script(scene: VectorRun) -> None:
    if scene.response.status == 200:
        assert "frame-ancestors 'none'" in (scene.response.one("content-security-policy") or "")
        assert not re.search(
            r"(?i)<script(?![^>]*\bsrc=)|\son\w+=|javascript:", scene.response.text
        )


def assert_no_external_resources(scene: VectorRun) -> None:
    links = re.findall(r"""(?:src|href|action)=["']?([^"'\s>]+)""", scene.response.text)
    outside = [link for link in links if not link.startswith(("/", "#", f"https://{AUTH}/"))]
    assert not outside, outside
    assert "default-src 'none'" in (scene.response.one("content-security-policy") or "")


def assert_short_body(scene: VectorRun) -> None:
    assert len(scene.response.body) < 200, scene.response


def assert_one_log_line_per_event(scene: VectorRun) -> None:
    scene.wait_for_log_line(bool)
    written = scene.deployment.sidecar.log_path.read_bytes()[scene.snapshot.log_size :].decode()
    for line in written.splitlines():
        json.loads(line)
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", written)


def assert_uniform_response_to_untrusted_peers(scene: VectorRun) -> None:
    responses = [scene.response]
    for host, path in ((APP, "/"), (APP, "/public/x"), ("nowhere.example", "/")):
        replacements = {"x-forwarded-host": host, "x-forwarded-uri": path}
        headers = tuple(
            (name, replacements.get(name.lower(), value)) for name, value in scene.vector.headers
        )
        responses.append(scene.resend(headers=headers))
    assert len({(each.status, _without_ids(each.text), each.names) for each in responses}) == 1


def _without_ids(text: str) -> str:
    return re.sub(r"[A-Za-z0-9_-]{10,}", "id", text)


def assert_session_survived_logout(deployment: CorpusDeployment, token: str) -> None:
    """The session that no logout token here is good for."""
    assert deployment.check(APP, token=token).status == 200


SIGN_IN_EXPECTATIONS: tuple[tuple[re.Pattern[str], Callable[[VectorRun], None]], ...] = tuple(
    (re.compile(pattern), holds)
    for pattern, holds in (
        (
            r"final Location is on an allowed origin|own routes replaced|^bounded; kept",
            assert_ends_on_own_origin,
        ),
        (r"Location is the default page", assert_default_page),
        (r"^bounded; kept|flow cookies are capped", assert_cookies_bounded),
        (r"return address stays server-side", assert_return_url_not_sent_to_provider),
        (
            r"before the code is redeemed|no silent fallback|empty never|RFC 9207",
            assert_no_code_redeemed,
        ),
        (r"friendly restart", assert_restart_link),
        (r"no crossed identity", assert_concurrent_sign_ins_not_mixed),
        (r"ticket is single-use", assert_ticket_bound_to_browser),
        (r"plus form token|same-origin only", assert_still_signed_in),
        (r"^signed out;", assert_signed_out_or_refused),
        (r"store untouched", assert_store_unchanged),
        (r"equal for both orders", assert_cookie_order_irrelevant),
        (r"one refresh call in all", assert_refreshed_once),
        (r"lock expires", assert_refreshed_after_lock_expiry),
        (r"schema check when the session is made", assert_claim_types_checked),
        (r"invalid_token", assert_invalid_token_error),
        (r"no outbound request", assert_no_request_to_token_urls),
        (r"refetch is rate-limited", assert_jwks_refetch_limited),
        (r"never the union", assert_single_identity),
        (r"redacted in the log", assert_tokens_not_logged),
        (r"assertion has aud = this host", assert_assertion_audience),
        (r"no token of the provider is shown", assert_tokens_not_shown),
        (r"exactly one X-Auth-Groups", assert_own_groups_only),
        (r"documented encoding", assert_name_is_ascii),
        (r"header bounded", assert_large_headers_logged),
        (r"with a reason in the log", assert_reason_logged),
        (r"no-store", assert_no_store),
        (r"frame-ancestors 'none'", assert_no_framing_or_script),
        (r"no external images", assert_no_external_resources),
        (r"bare 404", assert_short_body),
        (r"one JSON line per event", assert_one_log_line_per_event),
        (r"same status, body", assert_uniform_response_to_untrusted_peers),
    )
)
