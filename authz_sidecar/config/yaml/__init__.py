"""Parses YAML into documents with source locations, typed by YAML 1.2's core schema, and bounded.

The parser underneath speaks YAML 1.1; only its events are used, so that `no` stays text, dates stay
text, duplicate keys are refused, and neither depth nor aliases can make the result explode.
"""

from authz_sidecar.config.yaml.composer import MAX_DEPTH, MAX_FINDINGS, MAX_KEYS, MAX_VALUES
from authz_sidecar.config.yaml.reader import parse_yaml
from authz_sidecar.config.yaml.scalars import resolve_plain_scalar

__all__ = [
    "MAX_DEPTH",
    "MAX_FINDINGS",
    "MAX_KEYS",
    "MAX_VALUES",
    "parse_yaml",
    "resolve_plain_scalar",
]
