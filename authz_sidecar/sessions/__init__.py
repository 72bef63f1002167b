"""Sessions: the records, the stores that hold them, and the cookies that open them."""

from authz_sidecar.sessions.cookie import SessionCookies
from authz_sidecar.sessions.memory_store import MemoryStore
from authz_sidecar.sessions.records import ProviderTokens, SessionSummary
from authz_sidecar.sessions.service import SessionService
from authz_sidecar.sessions.store import SessionStore

__all__ = [
    "MemoryStore",
    "ProviderTokens",
    "SessionCookies",
    "SessionService",
    "SessionStore",
    "SessionSummary",
]
