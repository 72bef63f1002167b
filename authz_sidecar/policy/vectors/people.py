"""The subject of a vector."""

from __future__ import annotations

from collections.abc import Mapping

from authz_sidecar.policy.subject import Device, Subject
from authz_sidecar.policy.vectors.values import (
    InputError,
    Object,
    list_of_objects,
    optional_array,
    optional_object,
    optional_text,
    parse_timestamp,
    require_known_keys,
    string_list,
)


class Principals:
    """The service accounts, sessions and users of a vector.

    The subject is the service account, else the session, or the session that it impersonates.
    """

    def __init__(self, given: Object, now: float) -> None:
        self._given = given
        self._now = now
        self._sessions = self._by_id("session", "other_sessions")
        self._users = self._by_id("user", "other_users")

    def subject(self) -> Subject | None:
        """Returns the subject of the vector's caller, or None when it is not authenticated. Raises
        `InputError`."""
        account = optional_object(self._given, "service_account")
        presented = optional_text(self._given, "presented_session_id") or next(
            (
                record_id
                for name in ("service_account", "session")
                if (record_id := optional_text(optional_object(self._given, name), "id"))
            ),
            None,
        )
        if account and account.get("id") == presented and self._alive(account):
            return self._subject(account)
        session = self._session(presented)
        if session is None:
            return None
        impersonated = optional_text(session, "impersonate_session_id")
        if impersonated:
            session = self._session(impersonated)
        return None if session is None else self._subject(session)

    def _by_id(self, one: str, others: str) -> dict[str | None, Object]:
        records = [optional_object(self._given, one)] if one in self._given else []
        for other in optional_array(self._given, others):
            if not isinstance(other, Mapping):
                raise InputError(f"`{others}` takes objects")
            require_known_keys(other, one)
            records.append(other)
        return {optional_text(record, "id"): record for record in records}

    def _session(self, name: str | None) -> Object | None:
        session = self._sessions.get(name) if name else None
        return session if session is not None and self._alive(session) else None

    def _alive(self, record: Object) -> bool:
        return "expires_at" not in record or parse_timestamp(record["expires_at"]) > self._now

    def _subject(self, session: Object) -> Subject:
        user_id = optional_text(session, "user_id")
        user = self._users.get(user_id, {}) if user_id else {}
        directory = optional_object(self._given, "directory_user")
        in_directory = bool(user_id) and directory.get("id") == user_id
        email = (
            (in_directory and optional_text(directory, "email"))
            or optional_text(user, "email")
            or ""
        )
        groups = directory.get("group_ids") or () if in_directory else self._given.get("groups")
        return Subject(
            user_id,
            email,
            None if groups is None else tuple(string_list(groups)),
            {**optional_object(session, "claims"), **optional_object(user, "claims")},
            devices=tuple(self._devices(session)),
        )

    def _devices(self, session: Object) -> list[Device]:
        records = optional_object(self._given, "devices")
        credentials = {record["id"]: record for record in list_of_objects(records, "credentials")}
        enrollments = {record["id"]: record for record in list_of_objects(records, "enrollments")}
        devices = []
        for record in list_of_objects(session, "device_credentials"):
            credential = credentials.get(record["id"])
            enrollment = credential and enrollments.get(credential.get("enrollment_id"))
            approved = bool(enrollment and enrollment.get("approved_by"))
            devices.append(
                Device(
                    str(record.get("type_id")), str(record["id"]), enrollment is not None, approved
                )
            )
        return devices
