"""Converts a Pomerium Core configuration. Pure: files are read and written elsewhere."""

from __future__ import annotations

from authz_sidecar.migrate.pomerium.convert import ConversionResult, import_pomerium
from authz_sidecar.migrate.pomerium.report_text import format_report
from authz_sidecar.migrate.pomerium.yaml_writer import to_yaml

__all__ = ["ConversionResult", "format_report", "import_pomerium", "to_yaml"]
