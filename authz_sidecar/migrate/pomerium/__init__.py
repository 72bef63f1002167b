"""A Pomerium Core configuration as ours. Pure: text is read and written elsewhere."""

from __future__ import annotations

from authz_sidecar.migrate.pomerium.convert import Imported, import_pomerium
from authz_sidecar.migrate.pomerium.report_text import report
from authz_sidecar.migrate.pomerium.yaml_writer import written

__all__ = ["Imported", "import_pomerium", "report", "written"]
