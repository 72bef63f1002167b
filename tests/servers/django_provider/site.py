"""The provider's own part: a form that asks who somebody is and believes it, and what is told of
them. Imported by Django, once its settings are there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from django.contrib.auth import get_user_model, login
from django.http import HttpResponse, HttpResponseRedirect
from django.urls import include, path
from oauth2_provider.oauth2_validators import OAuth2Validator

from tests.servers.providers import USERS

if TYPE_CHECKING:
    from django.http import HttpRequest


class Validator(OAuth2Validator):  # type: ignore[misc]
    oidc_claim_scope = OAuth2Validator.oidc_claim_scope | {"groups": "groups"}

    def get_additional_claims(self, request: Any) -> dict[str, object]:
        name = request.user.get_username()
        return {"sub": name, **USERS.get(name, {})}


def sign_in(request: HttpRequest) -> HttpResponse:
    """Whoever the form names is signed in."""
    onward = request.GET.get("next", "/")
    if name := request.POST.get("user"):
        user, _ = get_user_model().objects.get_or_create(username=name)
        login(request, user, backend="django.contrib.auth.backends.ModelBackend")
        return HttpResponseRedirect(onward)
    action = f"?next={quote(onward, safe='')}"
    return HttpResponse(
        f'<!doctype html><title>Sign in</title><form method="post" action="{action}">'
        '<label>User <input name="user" autofocus></label> <button>Sign in</button></form>'
    )


urlpatterns = [path("login", sign_in), path("", include("oauth2_provider.urls"))]
