"""From a User-Agent to words that its owner recognises. Only ever shown: whoever wants to can send
any text, so nothing depends on it."""

from __future__ import annotations

import re

# The first that is found counts: nearly all of them claim to be several others as well.
_BROWSERS = (
    ("Edg", "Edge"),
    ("OPR", "Opera"),
    ("SamsungBrowser", "Samsung Internet"),
    ("Firefox", "Firefox"),
    ("FxiOS", "Firefox"),
    ("CriOS", "Chrome"),
    ("Chrom", "Chrome"),
    ("Safari", "Safari"),
)
_SYSTEMS = (
    ("Android", "Android"),
    ("iPhone", "an iPhone"),
    ("iPad", "an iPad"),
    ("CrOS", "ChromeOS"),
    ("Windows", "Windows"),
    ("Mac OS X", "a Mac"),
    ("Linux", "Linux"),
)
_PRODUCT = re.compile(r"[A-Za-z][\w.-]{0,30}")


def device(user_agent: str) -> str:
    browser = next((name for sign, name in _BROWSERS if sign in user_agent), None)
    system = next((name for sign, name in _SYSTEMS if sign in user_agent), None)
    if browser is None:
        product = product_of(user_agent)
        browser = product if product and product != "Mozilla" else "Unknown browser"
    return browser if system is None else f"{browser} on {system}"


def product_of(user_agent: str) -> str | None:
    """The name that a program calls itself by."""
    product = _PRODUCT.match(user_agent)
    return None if product is None else product[0]
