"""Reason codes in words for the person who was refused. Codes without words are shown as codes."""

from __future__ import annotations

_TEXTS = {
    "user-unauthenticated": "You are not signed in.",
    "user-unauthorized": "Your account is not among those that may open this page.",
    "email-unauthorized": "Your email address is not among those that may open this page.",
    "domain-unauthorized": "The domain of your email address may not open this page.",
    "groups-unauthorized": "You are not a member of a group that may open this page.",
    "claim-unauthorized": "Your account lacks a property that this page asks for.",
    "http-method-unauthorized": "You may not do this here: the page allows other actions only.",
    "http-path-unauthorized": "This part of the site is not open to you.",
    "source-ip-unauthorized": "This page cannot be opened from the network you are on.",
    "client-certificate-required": "This page asks for a client certificate and received none.",
    "client-certificate-unauthorized": "Your client certificate may not open this page.",
    "invalid-client-certificate": "Your client certificate is not valid.",
    "device-unauthenticated": "This page asks for a registered device.",
    "device-unauthorized": "This device may not open the page.",
    "http-header-unauthorized": "A request like this one is not allowed here.",
    "query-unauthorized": "This part of the site is not open to you.",
    "record-unauthorized": "Your record does not allow this page.",
    "mcp-tool-no-match": "You may not use this tool.",
    "mcp-not-a-tool-call": "Only calls of tools are allowed here.",
    "authentication-acr": "This page asks for a stronger sign-in.",
    "authentication-amr": "This page asks for another way of signing in.",
    "authentication-too-old": "This page asks for a more recent sign-in.",
    "date-unauthorized": "This page is not open on this date.",
    "day-of-week-unauthorized": "This page is not open on this day of the week.",
    "time-of-day-unauthorized": "This page is not open at this time of day.",
    "non-cors-request": "This address is for requests of other sites only.",
    "reject": "This page is closed to everybody.",
    "route-not-found": "Nothing is set up at this address.",
    "route-misconfigured": "This page is not set up properly.",
    "ambiguous-header": "The request has a header that could be taken for another one.",
    "headers-too-large": "Your account carries more data than the application can be sent.",
    "origin-not-allowed": "The connection was opened by another site.",
    "upgrade-not-allowed": "The connection asks for a protocol that is not allowed here.",
}
_DENIED_BY_RULE = "A rule for this page shuts your account out."
_UNKNOWN_VALUE = "What a rule for this page asks about could not be found out."


def explain_reasons(reasons: frozenset[str]) -> tuple[str, ...]:
    """What can be said in words about a refusal, in a stable order, each thing once.

    A denial that names a criterion which held (`email-ok`) comes from a rule that shuts out.
    """
    texts = [_TEXTS[code] for code in sorted(reasons) if code in _TEXTS]
    if any(code.endswith("-unknown") for code in reasons):
        texts.append(_UNKNOWN_VALUE)
    if not texts and any(code.endswith("-ok") for code in reasons):
        texts.append(_DENIED_BY_RULE)
    return tuple(dict.fromkeys(texts))
