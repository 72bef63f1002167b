"""The pages in a real browser, under their own policy: nothing is refused, nothing is out of view,
and what goes on by itself does."""

from __future__ import annotations

import shutil
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from authz_sidecar.core.types import Identity
from authz_sidecar.login.interfaces import SessionRow
from authz_sidecar.login.loop_detection import LoopCause
from authz_sidecar.web.assets import load_assets
from authz_sidecar.web.pages import Pages

if TYPE_CHECKING:
    from collections.abc import Iterator

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="NOT TESTED: pages in a browser (no chromium)"),
    pytest.mark.xdist_group("pages in a browser"),
]

PAGES = Pages(base_path="/.auth")
LONG = "unbreakable" * 12
SOMEBODY = Identity(
    provider="corp",
    issuer="https://idp.example.com",
    subject=LONG,
    email=f"{LONG}@example.com",
    name="Alice Adams",
    groups=tuple(f"group-{n}" for n in range(40)),
)
SHOWN = {
    "denied": PAGES.denied(
        identity=SOMEBODY,
        url=f"https://admin.example.com/{LONG}?q={LONG}",
        reasons=frozenset({"groups-unauthorized", "email-unauthorized"}),
        request_id=LONG,
        switch_account_url="/.auth/start",
    ),
    "trouble": PAGES.error(
        title="This sign-in has expired",
        message="Please start again.",
        request_id="r",
        retry_url="/denied",
        hints=("Use one tab.",),
    ),
    "provider-down": PAGES.provider_down(provider=LONG, retry_url="/denied", request_id="r"),
    "too-many-redirects": PAGES.too_many_redirects(
        host=f"{LONG}.example.com", request_id="r", cause=LoopCause.COOKIE_LOST
    ),
    "other-account": PAGES.other_account(
        identity=SOMEBODY, continue_url="/a", back_url="/b", request_id="r"
    ),
    "choose": PAGES.choose_provider(options=(("Corp", "/a"), (LONG, "/b")), host="a.example.com"),
    "sign-out": PAGES.sign_out(
        identity=SOMEBODY, action_url="/posted", csrf="token", everywhere=True
    ),
    "allow-tool": PAGES.allow_tool(
        identity=SOMEBODY,
        site=f"{LONG}.example.com",
        tool=f"http://127.0.0.1:49152/{LONG}",
        ends_at=1_800_000_000.0,
        action_url="/posted",
        csrf="token",
        fields=(("state", "s"),),
    ),
    "signed-out": PAGES.signed_out(home_url="/"),
    "who": PAGES.who_am_i(
        identity=SOMEBODY,
        provider="Corporate login",
        expires_at=1_800_000_000.0,
        sign_out_url="/sign-out",
        sessions_url="/sessions",
    ),
    "sessions": PAGES.sessions(
        identity=SOMEBODY,
        lines=tuple(
            SessionRow(
                handle=handle,
                provider="Corporate login",
                device=device,
                address="2001:db8:1234:5678:9abc:def0:1234:5678",
                signed_in_at=1_790_000_000.0,
                last_used_at=1_790_000_100.0,
                sites=("app.example.com", f"{LONG}.example.com"),
                current=handle == "a",
            )
            for handle, device in (("a", "Firefox on Linux"), ("b", LONG))
        ),
        action_url="/posted",
        csrf="token",
    ),
}


# What falls short, as `[text, contrast]`.
CONTRASTS = """() => {
  const rgb = (css) => css.match(/[\\d.]+/g).map(Number);
  const light = (css) => rgb(css).slice(0, 3).map((v) => v / 255)
    .map((v) => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, at) => sum + v * [0.2126, 0.7152, 0.0722][at], 0);
  const ground = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = rgb(getComputedStyle(at).backgroundColor);
      if (colour.length < 4 || colour[3] > 0) return getComputedStyle(at).backgroundColor;
    }
    return "rgb(255, 255, 255)";
  };
  const short = [];
  for (const element of document.querySelectorAll("main *")) {
    if (![...element.childNodes].some((n) => n.nodeType === 3 && n.data.trim())) continue;
    const pair = [light(getComputedStyle(element).color), light(ground(element))];
    const contrast = (Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05);
    if (contrast < 4.5) short.push([element.textContent.slice(0, 30), contrast]);
  }
  return short;
}"""


@dataclass(frozen=True)
class Site:
    origin: str
    posts: list[tuple[str, bytes]]


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """Serves the pages, and their assets, with the headers that the product sends."""
    posts: list[tuple[str, bytes]] = []
    assets = load_assets()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *arguments: Any) -> None:
            pass

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if path.startswith("/.auth/static/"):
                asset = assets[path.rpartition("/")[2]]
                self.answer(asset.headers(), asset.body)
            elif path == "/continue":
                origin = f"http://{self.headers['Host']}"
                page = PAGES.continue_to(url=f"{origin}/trouble?a=1&b=%27;c")
                self.answer(PAGES.headers(), page.encode())
            else:
                self.answer(PAGES.headers(), SHOWN.get(path[1:], SHOWN["signed-out"]).encode())

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            posts.append((self.headers["Origin"], body))
            # Another origin, as a provider's is: a redirect would be refused by `form-action`.
            port = self.headers["Host"].partition(":")[2]
            page = PAGES.continue_to(url=f"http://localhost:{port}/signed-out")
            self.answer(PAGES.headers(), page.encode())

        def answer(self, headers: tuple[tuple[str, str], ...], body: bytes) -> None:
            self.send_response(200)
            for name, value in headers:
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield Site(origin=f"http://127.0.0.1:{server.server_port}", posts=posts)
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        yield browser
        browser.close()


@pytest.fixture(params=["light", "dark"])
def phone(request: pytest.FixtureRequest, browser: Browser) -> Iterator[Page]:
    context = browser.new_context(
        color_scheme=request.param, viewport={"width": 360, "height": 740}
    )
    yield context.new_page()
    context.close()


@pytest.mark.parametrize("name", SHOWN)
def test_a_page_on_a_phone_breaks_no_rule_and_fits(name: str, site: Site, phone: Page) -> None:
    said: list[str] = []
    phone.on("console", lambda message: said.append(message.text))
    phone.goto(f"{site.origin}/{name}")
    assert said == [], "the browser refused something"
    assert phone.evaluate("document.styleSheets.length") == 1
    assert phone.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    sheet = phone.evaluate("getComputedStyle(document.querySelector('main')).backgroundColor")
    dark = phone.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")
    assert (sheet == "rgb(255, 255, 255)") is not dark


@pytest.mark.parametrize("name", SHOWN)
def test_text_stands_out_from_its_ground(name: str, site: Site, phone: Page) -> None:
    """WCAG 2.2, 1.4.3: a contrast of at least 4.5 to 1 for every piece of text."""
    phone.goto(f"{site.origin}/{name}")
    assert phone.evaluate(CONTRASTS) == []


def test_the_page_that_goes_on_does_so_by_itself(site: Site, phone: Page) -> None:
    phone.goto(f"{site.origin}/continue")
    phone.wait_for_url(f"{site.origin}/trouble?a=1&b=%27;c")


def test_a_sign_out_posts_its_token_and_may_end_at_another_origin(site: Site, phone: Page) -> None:
    site.posts.clear()
    phone.goto(f"{site.origin}/sign-out")
    phone.get_by_role("button", name="This site only").click()
    phone.wait_for_url("http://localhost:*/signed-out")
    # The page's own origin, not `null`: the server compares it.
    assert site.posts == [(site.origin, b"csrf=token&scope=site")]
