"""Every page, with ordinary and with hostile values."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz_sidecar.core.browser_headers import ISOLATION_HEADERS
from authz_sidecar.core.types import Identity
from authz_sidecar.login.interfaces import SessionRow
from authz_sidecar.login.loop_detection import LoopCause
from authz_sidecar.policy.reasons import CODES
from authz_sidecar.web.assets import load_assets
from authz_sidecar.web.pages import Pages
from authz_sidecar.web.reason_texts import explain_reasons

PAGES = Pages(base_path="/.auth")
HOSTILE = """"'><script>alert(1)</script><img src=x onerror=alert(2)>{{ 7*7 }}&amp;"""
HOSTILE_URL = f"https://app.example.com/{HOSTILE}"


def identity(text: str) -> Identity:
    return Identity(
        provider=text, issuer=text, subject=text, email=text, name=text, groups=(text, "eng")
    )


# Every page with one text in every field, and one address in every link.
Render = Callable[[str, str], str]
EVERY_PAGE: dict[str, Render] = {
    "denied": lambda text, url: PAGES.denied(
        identity=identity(text),
        url=url,
        reasons=frozenset({"email-unauthorized", "groups-unauthorized", text}),
        request_id=text,
        switch_account_url=url,
    ),
    "denied-stranger": lambda text, url: PAGES.denied(
        identity=None,
        url=url,
        reasons=frozenset(),
        request_id=text,
        switch_account_url=None,
    ),
    "trouble": lambda text, url: PAGES.error(
        title=text, message=text, request_id=text, retry_url=url, hints=(text, "another")
    ),
    "provider-down": lambda text, url: PAGES.provider_down(
        provider=text, retry_url=url, request_id=text
    ),
    "too-many-redirects": lambda text, url: PAGES.too_many_redirects(
        host=text, request_id=text, cause=LoopCause.STILL_ASKED
    ),
    "other-account": lambda text, url: PAGES.other_account(
        identity=identity(text), continue_url=url, back_url=url, request_id=text
    ),
    "choose-provider": lambda text, url: PAGES.choose_provider(
        options=((text, url), ("Other", "/.auth/start")), host=text
    ),
    "sign-out": lambda text, url: PAGES.sign_out(
        identity=identity(text), action_url=url, csrf=text, everywhere=True
    ),
    "sign-out-here": lambda text, url: PAGES.sign_out(
        identity=None, action_url=url, csrf=text, everywhere=False
    ),
    "signed-out": lambda text, url: PAGES.signed_out(home_url=url),
    "who": lambda text, url: PAGES.who_am_i(
        identity=identity(text), provider=text, expires_at=1_800_000_000.0, sign_out_url=url
    ),
    "sessions": lambda text, url: PAGES.sessions(
        identity=identity(text),
        lines=(
            SessionRow(
                handle=text,
                provider=text,
                device=text,
                address=text,
                signed_in_at=1_800_000_000.0,
                last_used_at=1_800_000_000.0,
                sites=(text, "wiki.example.com"),
                current=True,
            ),
        ),
        action_url=url,
        csrf=text,
    ),
    "allow-tool": lambda text, url: PAGES.allow_tool(
        identity=identity(text),
        site=text,
        tool=text,
        ends_at=1_800_000_000.0,
        action_url=url,
        csrf=text,
        fields=(("state", text), ("redirect_uri", text)),
    ),
    "continue": lambda text, url: PAGES.continue_to(url=url),
}
every_page = pytest.mark.parametrize("render", EVERY_PAGE.values(), ids=EVERY_PAGE.keys())


class Outline(HTMLParser):
    """The tags of a page with their attributes, and its visible text."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.tags if name == tag]

    def links(self) -> list[str]:
        return [attributes["href"] for attributes in self.all("a")]


@every_page
def test_a_page_is_a_whole_document_with_one_heading(render: Render) -> None:
    html = render("Alice", "https://app.example.com/a?b=c")
    outline = Outline(html)
    assert html.startswith("<!doctype html>")
    assert [attributes.get("lang") for attributes in outline.all("html")] == ["en"]
    assert len(outline.all("h1")) == len(outline.all("main")) == len(outline.all("title")) == 1
    assert any(meta.get("name") == "viewport" for meta in outline.all("meta"))


@every_page
@pytest.mark.parametrize("url", [HOSTILE_URL, f"javascript:{HOSTILE}"])
def test_hostile_values_stay_text(render: Render, url: str) -> None:
    harmless, hostile = (
        Outline(render("Alice", "https://a.example/")),
        Outline(render(HOSTILE, url)),
    )
    assert {tag for tag, _ in hostile.tags} <= {tag for tag, _ in harmless.tags}
    assert not hostile.all("script")
    for _, attributes in hostile.tags:
        assert not any(name.startswith("on") for name in attributes)


@every_page
def test_template_syntax_in_a_value_is_not_evaluated(render: Render) -> None:
    assert "49" not in Outline(render("{{ 7*7 }}", "/{{ 7*7 }}")).text.replace("1800000000", "")


@every_page
def test_the_policy_fits_the_page(render: Render) -> None:
    """Styles, images and forms of this host only; nothing inline; no script; no frame."""
    outline = Outline(render("Alice", "/next"))
    assert not {"script", "style", "iframe", "object", "embed", "base"} & {
        t for t, _ in outline.tags
    }
    for _, attributes in outline.tags:
        assert "style" not in attributes
    assert all(link["href"].startswith("/.auth/static/") for link in outline.all("link"))
    assert all(image["src"].startswith("/.auth/static/") for image in outline.all("img"))
    assert all(form["action"].startswith("/") for form in outline.all("form"))


@every_page
@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "data:text/html,hi",
        "//evil.example",
        "/\\evil.example",
        "https:/\\evil.example",
        "https:evil.example",
        " https://evil.example",
        "",
    ],
)
def test_only_web_addresses_become_links(render: Render, url: str) -> None:
    outline = Outline(render("Alice", url))
    assert all(re.match(r"https?://[a-z]|/(?![/\\])", link) for link in outline.links())
    assert not [meta for meta in outline.all("meta") if meta.get("http-equiv") == "refresh"]
    assert not [form for form in outline.all("form") if form["action"] == url]


@every_page
@given(text=st.text(st.characters(), max_size=40))
def test_whatever_the_text_the_page_can_be_sent(render: Render, text: str) -> None:
    """Claims come as JSON, and JSON can spell lone surrogates that no encoder takes."""
    render(text, f"https://a.example/{text}").encode()


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("ali\x00ce", id="control byte"),
        pytest.param("ali\u202ece", id="text direction override"),
        pytest.param("ali\ud800ce", id="lone surrogate"),
    ],
)
def test_characters_that_mislead_are_shown_as_such(text: str) -> None:
    assert "ali\ufffdce" in PAGES.provider_down(provider=text, retry_url=None, request_id="r")


def test_names_in_any_script_are_shown_as_they_are() -> None:
    for name in ("Zoë Müller", "山田太郎", "علی‌رضا", "O'Brien"):
        page = PAGES.provider_down(provider=name, retry_url=None, request_id="r")
        assert name in Outline(page).text


def test_a_denial_says_who_you_are_why_and_what_to_do() -> None:
    page = Outline(
        PAGES.denied(
            identity=identity("alice@example.com"),
            url="https://admin.example.com/reports",
            reasons=frozenset({"groups-unauthorized"}),
            request_id="req-1",
            switch_account_url="https://admin.example.com/.auth/start?rd=x",
        )
    )
    for text in ("alice@example.com", "group", "https://admin.example.com/reports", "req-1"):
        assert text in page.text
    assert page.links() == [
        "https://admin.example.com/.auth/start?rd=x",
        "/.auth/sign_out",
    ]


@pytest.mark.parametrize(
    ("reasons", "codes", "offers_another_account"),
    [
        pytest.param({"http-path-ok"}, (), False, id="closed path"),
        pytest.param({"http-path-ok", "user-ok"}, (), True, id="closed path for an account"),
        pytest.param({"reject"}, ("reject",), False, id="closed to everybody"),
        pytest.param({"groups-unauthorized"}, ("groups-unauthorized",), True, id="group"),
        pytest.param(set(), (), True, id="nothing known"),
    ],
)
def test_a_denial_shows_failed_conditions_and_accounts_that_may_help(
    reasons: set[str], codes: tuple[str, ...], *, offers_another_account: bool
) -> None:
    page = PAGES.denied(
        identity=identity("alice@example.com"),
        url="https://admin.example.com/",
        reasons=frozenset(reasons),
        request_id="req-1",
        switch_account_url="/.auth/start?switch=1",
    )
    assert re.findall("<code>(.*?)</code>", page) == ["req-1", *codes]
    assert ("/.auth/start?switch=1" in Outline(page).links()) is offers_another_account
    assert ("another account" in page) is offers_another_account


def test_a_denied_user_without_groups_learns_that_none_were_reported() -> None:
    page = PAGES.denied(
        identity=replace(identity("alice@example.com"), groups=()),
        url="https://admin.example.com/",
        reasons=frozenset({"groups-unauthorized"}),
        request_id="req-1",
        switch_account_url=None,
    )
    assert "The identity provider reported none." in page


def test_a_denied_stranger_is_offered_no_sign_out() -> None:
    page = PAGES.denied(
        identity=None,
        url="https://a.example/",
        reasons=frozenset({"route-not-found"}),
        request_id="r",
        switch_account_url=None,
    )
    assert Outline(page).links() == []


def test_signing_out_is_a_post_with_the_token_and_a_choice_of_scope() -> None:
    page = Outline(
        PAGES.sign_out(
            identity=identity("alice"), action_url="/.auth/sign_out", csrf="tok", everywhere=True
        )
    )
    assert page.all("form") == [{"method": "post", "action": "/.auth/sign_out"}]
    assert {"type": "hidden", "name": "csrf", "value": "tok"} in page.all("input")
    assert [(b["name"], b["value"]) for b in page.all("button")] == [
        ("scope", "everywhere"),
        ("scope", "site"),
    ]


def test_a_sign_in_of_one_site_has_one_way_to_end_it() -> None:
    page = PAGES.sign_out(identity=None, action_url="/x", csrf="tok", everywhere=False)
    assert len(Outline(page).all("button")) == 1


def test_the_page_that_goes_on_keeps_the_whole_address() -> None:
    url = "https://app.example.com/a;b?x=1&y='2'&z=%22"
    page = Outline(PAGES.continue_to(url=url))
    assert [m["content"] for m in page.all("meta") if "http-equiv" in m] == [f"0; url={url}"]
    assert page.links() == [url]


def test_the_expiry_is_a_date_that_machines_read_too() -> None:
    page = PAGES.who_am_i(
        identity=identity("a"), provider="Corp", expires_at=1_800_000_000.0, sign_out_url="/s"
    )
    assert Outline(page).all("time") == [{"datetime": "2027-01-15T08:00:00+00:00"}]
    assert "15 January 2027, 08:00 UTC" in page


def test_very_long_addresses_are_cut() -> None:
    page = PAGES.denied(
        identity=None,
        url="https://a.example/" + "x" * 5000,
        reasons=frozenset(),
        request_id="r",
        switch_account_url=None,
    )
    assert len(page) < 3000


def test_every_response_carries_the_fixed_headers() -> None:
    headers = dict(PAGES.headers())
    assert headers["content-security-policy"] == Pages.CONTENT_SECURITY_POLICY
    assert headers["x-frame-options"] == "DENY"
    assert headers.items() >= {**dict(ISOLATION_HEADERS), "referrer-policy": "same-origin"}.items()
    assert headers["referrer-policy"] == "same-origin"
    assert headers["cache-control"] == "no-store"


def test_pages_name_assets_that_exist_and_load_nothing_else() -> None:
    assets = load_assets()
    assert set(assets) == {"style.css", "favicon.svg"}
    page = Outline(PAGES.signed_out(home_url=None))
    for link in page.all("link"):
        name, _, digest = link["href"].removeprefix("/.auth/static/").partition("?v=")
        assert assets[name].digest == digest
    for asset in assets.values():
        text = asset.body.decode()
        assert "url(" not in text
        assert "@import" not in text
        assert "<script" not in text
        assert " style=" not in text


def test_every_reason_of_a_policy_has_words() -> None:
    assert {code for code in CODES if not explain_reasons(frozenset({code}))} == set()


@pytest.mark.parametrize(
    ("reasons", "expected"),
    [
        pytest.param(frozenset(), (), id="nothing known"),
        pytest.param({"no-such-code"}, (), id="a code without words"),
        pytest.param({"reject"}, ("This page is closed to everybody.",), id="one"),
        pytest.param(
            {"email-ok"},
            ("A rule for this page refuses your email address.",),
            id="a deny rule about the account held",
        ),
        pytest.param(
            {"http-path-ok"},
            ("This page is closed to everybody.",),
            id="a deny rule about the path held",
        ),
        pytest.param(
            {"groups-ok", "http-path-ok"},
            ("A rule for this page refuses accounts with your groups.",),
            id="a deny rule about path and account held",
        ),
        pytest.param(
            {"groups-unauthorized", "http-path-ok"},
            ("You are not in a group that this page requires.",),
            id="the missing group is named",
        ),
        pytest.param(
            {"email-ok", "source-ip-unauthorized"},
            ("This page cannot be opened from the network you are on.",),
            id="a failure says more than a match",
        ),
    ],
)
def test_reasons_in_words(reasons: set[str], expected: tuple[str, ...]) -> None:
    assert explain_reasons(frozenset(reasons)) == expected
