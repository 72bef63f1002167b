"""Reason codes in words for the person who was refused. Codes without words are shown as codes."""

from __future__ import annotations

_WORDS = {
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
    "reject": "This page is closed to everybody.",
    "route-not-found": "Nothing is set up at this address.",
    "ambiguous-path": "The address can be read in more than one way, so it was refused.",
    "headers-too-large": "Your account carries more data than the application can be sent.",
    "origin-unauthorized": "The connection was opened by another site.",
}
_SHUT_OUT = "A rule for this page shuts your account out."


def explanations(reasons: frozenset[str]) -> tuple[str, ...]:
    """What can be said in words about a refusal, in a stable order, each thing once.

    A denial that names a criterion which held (`email-ok`) comes from a rule that shuts out.
    """
    words = [_WORDS[code] for code in sorted(reasons) if code in _WORDS]
    if not words and any(code.endswith("-ok") for code in reasons):
        words.append(_SHUT_OUT)
    return tuple(dict.fromkeys(words))
