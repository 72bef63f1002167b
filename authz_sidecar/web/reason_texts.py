"""The texts for reason codes on the page of a denied request.

Decides which codes have a text, and for which of them another account may help. A code without a text
is shown as a code.
"""

from __future__ import annotations

_CLOSED = "This page is closed to everybody."
_UNKNOWN_VALUE = "A rule for this page depends on something that could not be determined."

_TEXTS = {
    "user-unauthenticated": "You are not signed in.",
    "user-unauthorized": "Your account is not among those that may open this page.",
    "email-unauthorized": "Your email address is not among those that may open this page.",
    "domain-unauthorized": "The domain of your email address may not open this page.",
    "groups-unauthorized": "You are not in a group that this page requires.",
    "claim-unauthorized": "Your account lacks a property that this page requires.",
    "http-method-unauthorized": "This page does not accept this kind of request.",
    "http-path-unauthorized": "This part of the site is not open to you.",
    "source-ip-unauthorized": "This page cannot be opened from the network you are on.",
    "client-certificate-required": "This page requires a client certificate and received none.",
    "client-certificate-unauthorized": "Your client certificate may not open this page.",
    "invalid-client-certificate": "Your client certificate is not valid.",
    "device-unauthenticated": "This page requires a registered device.",
    "device-unauthorized": "This device may not open the page.",
    "http-header-unauthorized": "This page requires another value of a request header.",
    "query-unauthorized": "This page requires other parameters in its address.",
    "record-unauthorized": "Your record does not allow this page.",
    "mcp-tool-no-match": "You may not use this tool.",
    "mcp-not-a-tool-call": "This page accepts tool calls only.",
    "authentication-acr": "This page requires a stronger sign-in.",
    "authentication-amr": "This page requires another way of signing in.",
    "authentication-too-old": "This page requires a more recent sign-in.",
    "date-unauthorized": "This page is not open on this date.",
    "day-of-week-unauthorized": "This page is not open on this day of the week.",
    "time-of-day-unauthorized": "This page is not open at this time of day.",
    "non-cors-request": "This page accepts requests from other sites only.",
    "reject": _CLOSED,
    "route-not-found": "Nothing is set up at this address.",
    "route-misconfigured": "This page is not set up properly.",
    "ambiguous-header": "The request has a header that can be mistaken for another one.",
    "headers-too-large": "Your account or cookies have more data than the application can receive.",
    "origin-not-allowed": "Another site opened this connection.",
    "upgrade-not-allowed": "The connection asks for a protocol that is not allowed here.",
}

# A denial with the code of a condition that held comes from a `deny` rule, or from a `not`.
_TEXTS_OF_MATCHES = {
    "authentication-ok": "A rule for this page refuses the way you signed in.",
    "claim-ok": "A rule for this page refuses a property of your account.",
    "client-certificate-ok": "A rule for this page refuses your client certificate.",
    "valid-client-certificate": "A rule for this page refuses client certificates.",
    "cors-request": "This page does not accept requests from other sites.",
    "date-ok": "This page is closed on this date.",
    "day-of-week-ok": "This page is closed on this day of the week.",
    "device-ok": "A rule for this page refuses this device.",
    "domain-ok": "A rule for this page refuses the domain of your email address.",
    "email-ok": "A rule for this page refuses your email address.",
    "groups-ok": "A rule for this page refuses accounts with your groups.",
    "http-header-ok": "A rule for this page refuses a header of this request.",
    "http-method-ok": "This page does not accept this kind of request.",
    "mcp-tool-match": "You may not use this tool.",
    "record-ok": "A rule for this page refuses your record.",
    "source-ip-ok": "A rule for this page refuses the network you are on.",
    "time-of-day-ok": "This page is closed at this time of day.",
    "user-ok": "A rule for this page refuses your account.",
}
# Conditions that alone hold for every caller of an address.
_ADDRESS_MATCHES = frozenset({"accept", "http-path-ok", "query-ok"})

# Codes that are the same for every account.
_ACCOUNT_INDEPENDENT = _ADDRESS_MATCHES | {
    "ambiguous-header",
    "cors-request",
    "cors-request-unknown",
    "date-ok",
    "date-unauthorized",
    "day-of-week-ok",
    "day-of-week-unauthorized",
    "http-header-ok",
    "http-header-unauthorized",
    "http-header-unknown",
    "http-method-ok",
    "http-method-unauthorized",
    "http-method-unknown",
    "http-path-unauthorized",
    "http-path-unknown",
    "mcp-not-a-tool-call",
    "mcp-tool-match",
    "mcp-tool-no-match",
    "mcp-tool-unknown",
    "non-cors-request",
    "origin-not-allowed",
    "query-unauthorized",
    "query-unknown",
    "reject",
    "route-misconfigured",
    "route-not-found",
    "source-ip-ok",
    "source-ip-unauthorized",
    "source-ip-unknown",
    "time-of-day-ok",
    "time-of-day-unauthorized",
    "upgrade-not-allowed",
}


def explain_reasons(reasons: frozenset[str]) -> tuple[str, ...]:
    """Return the texts for a denial, each once and in a stable order.

    A condition that failed says more than one that held, whose text is shown only without the other.
    """
    texts = [_TEXTS[code] for code in sorted(reasons) if code in _TEXTS]
    if any(code.endswith("-unknown") for code in reasons):
        texts.append(_UNKNOWN_VALUE)
    if not texts:
        texts = [_TEXTS_OF_MATCHES[code] for code in sorted(reasons) if code in _TEXTS_OF_MATCHES]
    if not texts and reasons & _ADDRESS_MATCHES:
        texts = [_CLOSED]
    return tuple(dict.fromkeys(texts))


def shown_codes(reasons: frozenset[str]) -> tuple[str, ...]:
    """Return the codes that the page shows: those of conditions that held would look like a bug."""
    held = _ADDRESS_MATCHES.union(_TEXTS_OF_MATCHES)
    return tuple(sorted(code for code in reasons if code not in held))


def another_account_may_help(reasons: frozenset[str]) -> bool:
    """Whether the denial depends on the account; True when its reasons are not known."""
    return not reasons or not reasons <= _ACCOUNT_INDEPENDENT
