"""The keys of an input and the kinds of values they take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

Object = Mapping[str, object]

_KEYS = {
    "": (
        "client_certificate",
        "devices",
        "directory_user",
        "groups",
        "http",
        "mcp",
        "now",
        "other_sessions",
        "other_users",
        "presented_session_id",
        "service_account",
        "session",
        "source_ip",
        "user",
    ),
    "client_certificate": (
        "fingerprint",
        "pem",
        "presented",
        "san_dns",
        "san_email",
        "san_uri",
        "spki_hash",
        "valid",
    ),
    "devices": ("credentials", "enrollments"),
    "directory_user": ("email", "group_ids", "id"),
    "http": ("headers", "host", "method", "path", "query"),
    "mcp": ("method", "tool"),
    "service_account": ("expires_at", "id", "user_id"),
    "session": (
        "claims",
        "device_credentials",
        "expires_at",
        "id",
        "impersonate_session_id",
        "user_id",
    ),
    "user": ("claims", "email", "id"),
}


class InputError(ValueError):
    """The input of a vector cannot be interpreted."""


def require_known_keys(record: Object, kind: str) -> None:
    if strange := sorted(record.keys() - _KEYS[kind]):
        raise InputError(f"unknown input `{strange[0]}`{f' in `{kind}`' if kind else ''}")


def optional_object(record: Object, key: str) -> Object:
    value = record.get(key)
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise InputError(f"`{key}` takes an object")
    if key in _KEYS:
        require_known_keys(value, key)
    return value


def optional_array(record: Object, key: str) -> Sequence[object]:
    value = record.get(key, ())
    if not isinstance(value, list | tuple):
        raise InputError(f"`{key}` takes an array")
    return value


def list_of_objects(record: Object, key: str) -> list[Object]:
    found = []
    for value in optional_array(record, key):
        if not isinstance(value, Mapping) or not isinstance(value.get("id"), str):
            raise InputError(f"`{key}` takes objects with an `id`")
        found.append(value)
    return found


def optional_text(record: Object, key: str) -> str | None:
    value = record.get(key)
    if value is None or isinstance(value, str):
        return value
    raise InputError(f"`{key}` takes a string")


def string_list(value: object) -> list[str]:
    values = value if isinstance(value, list | tuple) else [value]
    if all(isinstance(each, str) for each in values):
        return [str(each) for each in values]
    raise InputError("takes a string or an array of strings")


def parse_timestamp(value: object) -> float:
    try:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return datetime.fromtimestamp(value, UTC).timestamp()
        parsed = datetime.fromisoformat(str(value))
        return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError, OSError):
        raise InputError(f"`{str(value)[:100]}` is not a time") from None
