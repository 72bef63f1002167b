"""Who the caller of a vector is."""

from __future__ import annotations

from collections.abc import Mapping

from authz_sidecar.policy.subject import Device, Subject
from authz_sidecar.policy.vectors.values import (
    InputError,
    Object,
    array_in,
    instant,
    known,
    object_in,
    objects_in,
    strings,
    text_in,
)


class People:
    """The caller is a service account, else the session or whom it impersonates."""

    def __init__(self, given: Object, now: float) -> None:
        self._given = given
        self._now = now
        self._sessions = self._by_id("session", "other_sessions")
        self._users = self._by_id("user", "other_users")

    def subject(self) -> Subject | None:
        account = object_in(self._given, "service_account")
        presented = text_in(self._given, "presented_session_id") or next(
            (
                found
                for name in ("service_account", "session")
                if (found := text_in(object_in(self._given, name), "id"))
            ),
            None,
        )
        if account and account.get("id") == presented and self._alive(account):
            return self._subject(account)
        session = self._session(presented)
        if session is None:
            return None
        impersonated = text_in(session, "impersonate_session_id")
        if impersonated:
            session = self._session(impersonated)
        return None if session is None else self._subject(session)

    def _by_id(self, one: str, others: str) -> dict[str | None, Object]:
        records = [object_in(self._given, one)] if one in self._given else []
        for other in array_in(self._given, others):
            if not isinstance(other, Mapping):
                raise InputError(f"`{others}` takes objects")
            known(other, one)
            records.append(other)
        return {text_in(record, "id"): record for record in records}

    def _session(self, name: str | None) -> Object | None:
        session = self._sessions.get(name) if name else None
        return session if session is not None and self._alive(session) else None

    def _alive(self, record: Object) -> bool:
        return "expires_at" not in record or instant(record["expires_at"]) > self._now

    def _subject(self, session: Object) -> Subject:
        user_id = text_in(session, "user_id")
        user = self._users.get(user_id, {}) if user_id else {}
        directory = object_in(self._given, "directory_user")
        in_directory = bool(user_id) and directory.get("id") == user_id
        email = (in_directory and text_in(directory, "email")) or text_in(user, "email") or ""
        groups = directory.get("group_ids") or () if in_directory else self._given.get("groups")
        return Subject(
            user_id,
            email,
            None if groups is None else tuple(strings(groups)),
            {**object_in(session, "claims"), **object_in(user, "claims")},
            devices=tuple(self._devices(session)),
        )

    def _devices(self, session: Object) -> list[Device]:
        records = object_in(self._given, "devices")
        credentials = {each["id"]: each for each in objects_in(records, "credentials")}
        enrollments = {each["id"]: each for each in objects_in(records, "enrollments")}
        found = []
        for each in objects_in(session, "device_credentials"):
            credential = credentials.get(each["id"])
            enrollment = credential and enrollments.get(credential.get("enrollment_id"))
            approved = bool(enrollment and enrollment.get("approved_by"))
            found.append(
                Device(str(each.get("type_id")), str(each["id"]), enrollment is not None, approved)
            )
        return found
