"""The keys of a vector's input and the types of their values."""

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
    """Checks the keys of a record of this kind. Raises `InputError` for an unknown one."""
    if strange := sorted(record.keys() - _KEYS[kind]):
        raise InputError(f"unknown input `{strange[0]}`{f' in `{kind}`' if kind else ''}")


def optional_object(record: Object, key: str) -> Object:
    """Returns an object, or an empty one where the key is absent. Raises `InputError`."""
    value = record.get(key)
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise InputError(f"`{key}` takes an object")
    if key in _KEYS:
        require_known_keys(value, key)
    return value


def optional_array(record: Object, key: str) -> Sequence[object]:
    """Returns an array, or an empty one where the key is absent. Raises `InputError`."""
    value = record.get(key, ())
    if not isinstance(value, list | tuple):
        raise InputError(f"`{key}` takes an array")
    return value


def list_of_objects(record: Object, key: str) -> list[Object]:
    """Returns an array of objects that have an `id`. Raises `InputError`."""
    objects = []
    for value in optional_array(record, key):
        if not isinstance(value, Mapping) or not isinstance(value.get("id"), str):
            raise InputError(f"`{key}` takes objects with an `id`")
        objects.append(value)
    return objects


def optional_text(record: Object, key: str) -> str | None:
    """Returns a string, or None where the key is absent. Raises `InputError`."""
    value = record.get(key)
    if value is None or isinstance(value, str):
        return value
    raise InputError(f"`{key}` takes a string")


def string_list(value: object) -> list[str]:
    """Returns the strings of an array, or a single string as a list of one. Raises `InputError`."""
    values = value if isinstance(value, list | tuple) else [value]
    if all(isinstance(item, str) for item in values):
        return [str(item) for item in values]
    raise InputError("takes a string or an array of strings")


def parse_timestamp(value: object) -> float:
    """Returns the Unix seconds of a number or an ISO 8601 date. Raises `InputError`."""
    try:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return datetime.fromtimestamp(value, UTC).timestamp()
        parsed = datetime.fromisoformat(str(value))
        return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError, OSError):
        raise InputError(f"`{str(value)[:100]}` is not a time") from None
