"""The protocol over httptools, a compiled parser: the one that is meant to serve."""

from __future__ import annotations

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from authz_sidecar.server.protocol import HardenedHttpProtocol


class LimitedProtocol(HardenedHttpProtocol, HttpToolsProtocol):
    """uvicorn's, within our limits and without its leniencies."""

    parser_errors = (httptools.HttpParserError,)
    upgrade_errors = (httptools.HttpParserUpgrade,)
