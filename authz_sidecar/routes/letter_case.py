"""Routes that do not tell letter case apart ask about the lower-case path as well, so a rule about
a path has to be written in lower case there: with a capital in it, it would never see `/ADMIN`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from authz_sidecar.core.positions import Positions
    from authz_sidecar.errors import Problem
    from authz_sidecar.policy.model import Operator


def capitals(operators: Iterable[Operator], *, where: Positions) -> Iterator[Problem]:
    for operator in operators:
        for criterion in operator.criteria:
            if criterion.name == "http_path" and any(map(_has_capital, _texts(criterion.data))):
                yield where.problem(
                    "a route with `paths: ignore_case` compares in lower case: "
                    "write the path in lower case",
                    *criterion.path,
                )


def _has_capital(text: str) -> bool:
    return text != text.lower()


def _texts(data: object) -> Iterator[str]:
    match data:
        case str():
            yield data
        case dict():
            for value in data.values():
                yield from _texts(value)
        case list() | tuple():
            for value in data:
                yield from _texts(value)
        case _:
            pass  # nothing that could have a letter
