"""The sidecar as it is, log lines for checks left out as nginx leaves out its access log here.
`python -m benchmarks.serve CONFIG`."""

from __future__ import annotations

import sys
from pathlib import Path

from authz_sidecar.server.runner import serve

sys.exit(serve(Path(sys.argv[1]), log_level="WARNING"))
