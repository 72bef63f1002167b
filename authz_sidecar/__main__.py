"""`python -m authz_sidecar` is `authz-sidecar`."""

from __future__ import annotations

from authz_sidecar.cli import main

raise SystemExit(main())
