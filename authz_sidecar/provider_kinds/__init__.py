"""What is particular about each kind of identity provider, as data: what its configuration need not
say, and what no configuration can say. Knows nothing of tokens, HTTP or the configuration's shape."""

from authz_sidecar.provider_kinds.catalogue import KINDS, OPENID
from authz_sidecar.provider_kinds.kind import AboutUser, Kind, PlainOAuth, SignOut

__all__ = ["KINDS", "OPENID", "AboutUser", "Kind", "PlainOAuth", "SignOut"]
