"""What stands in a configuration instead of a value: `{env: NAME}` and `{file: PATH}`.

Decides where the text comes from; what it means is the schema's business.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

# Keys, certificates and passwords; whoever points at more has pointed at the wrong file.
MAX_FILE_BYTES = 1 << 20


class FromOutside(str):
    """Text that came from a variable or a file: it has no YAML type, whoever needs a number reads
    one from it."""

    __slots__ = ()


class UnreadableError(ValueError):
    """The message says which variable or file, never what is in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """Where references lead: the variables, and the directory that relative paths start from."""

    env: Mapping[str, str]
    directory: Path

    def look_up(self, kind: str, name: object) -> FromOutside:
        """The text behind `{kind: name}`; raises `UnreadableError`."""
        if not isinstance(name, str) or not name:
            wanted = "a variable" if kind == "env" else "a file"
            raise UnreadableError(f"`{kind}` wants the name of {wanted}, as text")
        return self._variable(name) if kind == "env" else self._file(name)

    def _variable(self, name: str) -> FromOutside:
        if name not in self.env:
            raise UnreadableError(f"the environment variable `{name}` is not set")
        return FromOutside(self.env[name])

    def _file(self, name: str) -> FromOutside:
        path = self.directory / name
        try:
            with path.open("rb") as file:
                content = file.read(MAX_FILE_BYTES + 1)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else None
            raise UnreadableError(
                f"cannot read the file `{path}`: {reason or error}".lower()
            ) from None
        if len(content) > MAX_FILE_BYTES:
            raise UnreadableError(f"the file `{path}` is larger than {MAX_FILE_BYTES >> 20} MiB")
        try:
            text = content.decode()
        except UnicodeDecodeError:
            raise UnreadableError(f"the file `{path}` is not text in UTF-8") from None
        return FromOutside(text.removesuffix("\n").removesuffix("\r"))


KINDS = frozenset({"env", "file"})


def reference_kind(data: Mapping[str, object]) -> str | None:
    """`env` or `file` when the map is a reference: that key alone, with a scalar behind it."""
    if len(data) != 1:
        return None
    [(kind, name)] = data.items()
    return kind if kind in KINDS and not isinstance(name, dict | list) else None
