"""The sidecar as it is, log lines for checks left out as nginx leaves out its access log here.
`python -m benchmarks.serve CONFIG NEAR_ENTRIES`, with 0 for the near cache's own size."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

from authz_sidecar import app
from authz_sidecar.server.runner import serve
from authz_sidecar.sessions.near import NearCache, NearLimits

entries = int(sys.argv[2])
if entries:
    limits = NearLimits(entries=entries)
    app.__dict__["NearCache"] = partial(NearCache, limits=limits)
sys.exit(serve(Path(sys.argv[1]), log_level="WARNING"))
