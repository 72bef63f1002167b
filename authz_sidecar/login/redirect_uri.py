"""The redirect URIs of the providers, and which authorization responses may arrive at them.

The defence against mix-up attacks (RFC 9700 section 4.4.2): a response is accepted only at the
redirect URI of its transaction. That URI belongs to one provider, or several providers share it and
each has to name itself in the response (`iss`, RFC 9207).
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
    """The login cannot begin before the operator has registered a redirect URI."""

    status = 503


class TransactionPredatesUpdate(TransactionLost):
    """The transaction was begun by an earlier release and does not name its redirect URI."""


def callback_path(provider: str, callback: CallbackMode) -> str:
    """Return the path of a redirect URI, relative to the base path."""
    return _SHARED_PATH if callback == "shared" else f"{_SHARED_PATH}/{provider}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RedirectUris:
    """The redirect URIs of this configuration.

    `providers`: the ids of all configured providers.
    """

    providers: Collection[str]
    base_path: str

    def for_transaction(self, origin: Origin, transaction: LoginTransaction) -> str:
        """Return the redirect URI of a transaction."""
        return f"{origin}{self.base_path}/{_callback_path_of(transaction)}"

    def requires_iss(
        self, transaction: LoginTransaction, settings: ProviderSettings, metadata: ProviderMetadata
    ) -> bool:
        """Whether the authorization response has to carry `iss`: where the provider announces it,
        and at a redirect URI that several providers share.

        That holds even if only one of several providers is configured for the shared URI: another
        one may still have it registered.
        """
        shared = _callback_path_of(transaction) == _SHARED_PATH and len(self.providers) > 1
        return shared or _guarantees_iss(settings, metadata)

    def check_registration(self, settings: ProviderSettings, *, origin: Origin) -> None:
        """Check that the configuration says which redirect URI is registered. Raises
        `RedirectUriNotReady`."""
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
        """Check that a provider on a shared redirect URI announces `iss` in its responses (RFC 9207
        section 3). Raises `RedirectUriNotReady`."""
        needs_no_iss = settings.callback != "shared" or len(self.providers) == 1
        if needs_no_iss or _guarantees_iss(settings, metadata):
            return
        uri = self._own_uri(settings, origin)
        raise RedirectUriNotReady(
            f"`identity_providers.{settings.name}.callback: shared` among several providers is for"
            f" those that announce `iss` in their responses: register `{uri}` and say `own`",
            public_message=f"Sign-in with {_display_name(settings)} could be taken for that with another provider."
            f" {_operator_instructions(settings, uri)}",
        )

    def check_response_path(self, transaction: LoginTransaction, *, path: str) -> None:
        """Check that a response arrived at the redirect URI of its transaction.

        Raises `LoginRefused`, and `TransactionPredatesUpdate` for a transaction of an earlier
        release. Those used `<base_path>/callback` for every provider, which is safe only with a
        single one.
        """
        if not transaction.callback and not self._is_only_provider(transaction.provider):
            raise TransactionPredatesUpdate("the transaction was begun before an update")
        expected = f"{self.base_path}/{_callback_path_of(transaction)}"
        if path != expected:
            raise LoginRefused(
                f"the response to a transaction with `{transaction.provider}` came to `{path:.200}`, its"
                f" redirect URI is `{expected}`",
                public_message="The response to this sign-in came to the address of another provider.",
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
