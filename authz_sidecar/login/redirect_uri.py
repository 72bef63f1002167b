"""Redirect URIs of the providers, and which answers may arrive at them.

The defence against mix-up (RFC 9700 section 4.4.2): an answer counts only at the redirect URI that
its attempt was begun with. That is a URI of the one provider, or one that several share; there the
provider has to name itself in the answer (RFC 9207).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from authz_sidecar.errors import LoginRefused, TransactionLost

if TYPE_CHECKING:
    from collections.abc import Collection

    from authz_sidecar.core.urls import Origin
    from authz_sidecar.login.providers import ProviderMetadata, ProviderSettings
    from authz_sidecar.login.transactions import LoginTransaction

CallbackMode = Literal["own", "shared"]

_SHARED_PATH: Final = "callback"


class RedirectUriNotReady(LoginRefused):
    """A sign-in that cannot begin before the operator has registered a redirect URI."""

    status = 503


class TransactionPredatesUpdate(TransactionLost):
    """An attempt of an earlier release, which does not say what its redirect URI was."""


def callback_path(provider: str, callback: CallbackMode) -> str:
    """The path of a redirect URI below the base path."""
    return _SHARED_PATH if callback == "shared" else f"{_SHARED_PATH}/{provider}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RedirectUris:
    """The redirect URIs of `providers`, which are all that are configured."""

    providers: Collection[str]
    base_path: str

    def for_transaction(self, origin: Origin, transaction: LoginTransaction) -> str:
        """The redirect URI that the attempt was begun with."""
        return f"{origin}{self.base_path}/{_callback_path_of(transaction)}"

    def requires_iss(
        self, transaction: LoginTransaction, settings: ProviderSettings, metadata: ProviderMetadata
    ) -> bool:
        """Whether an answer to the attempt has to carry `iss`: where that is promised, and at a URI
        that is shared among several providers.

        Where one provider alone shares it, another may still have it registered from before.
        """
        shared = _callback_path_of(transaction) == _SHARED_PATH and len(self.providers) > 1
        return shared or _guarantees_iss(settings, metadata)

    def check_registration(self, settings: ProviderSettings, *, origin: Origin) -> None:
        """Raises `RedirectUriNotReady` where nothing says that the redirect URI is registered."""
        if settings.callback is None and len(self.providers) > 1:
            uri = self._own_uri(settings, origin)
            raise RedirectUriNotReady(
                f"`identity_providers.{settings.name}.callback` is not stated: register `{uri}`"
                " at the provider and say `own`",
                public_message=f"Sign-in with {_display_name(settings)} is not set up yet. {_operator_instructions(settings, uri)}",
            )

    def check_iss_support(
        self, settings: ProviderSettings, metadata: ProviderMetadata, *, origin: Origin
    ) -> None:
        """Raises `RedirectUriNotReady` where the provider would have to name itself in its answer
        and does not promise to (RFC 9207 section 3)."""
        needs_no_iss = settings.callback != "shared" or len(self.providers) == 1
        if needs_no_iss or _guarantees_iss(settings, metadata):
            return
        uri = self._own_uri(settings, origin)
        raise RedirectUriNotReady(
            f"`identity_providers.{settings.name}.callback: shared` among several providers is for"
            f" those that promise `iss` in their answers: register `{uri}` and say `own`",
            public_message=f"Sign-in with {_display_name(settings)} could be taken for that with another provider."
            f" {_operator_instructions(settings, uri)}",
        )

    def check_response_path(self, transaction: LoginTransaction, *, path: str) -> None:
        """Refuse an answer that arrived at `path`, where that is not of the attempt's redirect URI.

        Raises `LoginRefused`, and `TransactionPredatesUpdate` for an attempt of an earlier
        release. Those had `<base_path>/callback` whatever the provider, which is safe where there
        is one only.
        """
        if not transaction.callback and not self._is_only_provider(transaction.provider):
            raise TransactionPredatesUpdate("the attempt was begun before an update")
        expected = f"{self.base_path}/{_callback_path_of(transaction)}"
        if path != expected:
            raise LoginRefused(
                f"the answer to an attempt with `{transaction.provider}` came to `{path:.200}`, its"
                f" redirect URI is `{expected}`",
                public_message="The answer to this sign-in came to the address of another provider.",
            )

    def _is_only_provider(self, provider: str | None) -> bool:
        return len(self.providers) == 1 and provider in self.providers

    def _own_uri(self, settings: ProviderSettings, origin: Origin) -> str:
        return f"{origin}{self.base_path}/{callback_path(settings.name, 'own')}"


def _callback_path_of(transaction: LoginTransaction) -> str:
    return callback_path(transaction.provider or "", transaction.callback or "shared")


def _guarantees_iss(settings: ProviderSettings, metadata: ProviderMetadata) -> bool:
    return metadata.promises_iss or settings.authorization_response_iss == "required"


def _operator_instructions(settings: ProviderSettings, uri: str) -> str:
    return (
        f"The operator of this site has to register {uri} as a redirect URI there, and then to say"
        f" “callback: own” for “{settings.name}” in the configuration."
    )


def _display_name(settings: ProviderSettings) -> str:
    return settings.label or settings.name
