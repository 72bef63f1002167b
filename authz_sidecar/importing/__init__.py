"""A Pomerium Core configuration as ours. Pure: text is read and written elsewhere."""

from __future__ import annotations

from authz_sidecar.importing.told import report
from authz_sidecar.importing.translate import Imported, import_pomerium
from authz_sidecar.importing.write import written

__all__ = ["Imported", "import_pomerium", "report", "written"]
