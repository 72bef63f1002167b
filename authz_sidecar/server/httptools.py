"""The protocol over httptools, a compiled parser: the one that is meant to serve."""

from __future__ import annotations

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from authz_sidecar.server.protocol import Limited


class LimitedProtocol(Limited, HttpToolsProtocol):
    """uvicorn's, within our limits and without its leniencies."""

    malformed = (httptools.HttpParserError,)
    upgraded = (httptools.HttpParserUpgrade,)
