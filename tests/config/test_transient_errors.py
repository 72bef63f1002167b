"""What cannot be read for want of descriptors is not called wrong."""

from __future__ import annotations

import contextlib
import os
import resource
from typing import TYPE_CHECKING

import pytest

from authz_sidecar.config.load import load_config
from authz_sidecar.errors import TemporaryError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

TEXT = """
sessions: {store: "memory://"}
secret_keys: [%s]
routes: [{from: https://a.example.com, allow_public_unauthenticated_access: true}]
"""
SOUND = TEXT % ("k" * 40)


@contextlib.contextmanager
def no_descriptor() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    os.close(lowest := os.open(os.devnull, os.O_RDONLY))
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def file(directory: Path) -> Path:
    (path := directory / "a.yaml").write_text(SOUND)
    return path


def folder(directory: Path) -> Path:
    file(directory)
    return directory


def on_top(directory: Path) -> Path:
    file(directory)
    (path := directory / "b.yaml").write_text("extends: a.yaml\n")
    return path


def with_secret(directory: Path) -> Path:
    (directory / "key").write_text("k" * 40)
    (path := directory / "a.yaml").write_text(TEXT % "{file: key}")
    return path


@pytest.mark.parametrize("written", [file, folder, on_top])
def test_no_descriptor_is_no_mistake(tmp_path: Path, written: Callable[[Path], Path]) -> None:
    path = written(tmp_path)
    load_config(path, env={})
    with no_descriptor(), pytest.raises(TemporaryError, match="cannot be read now: too many"):
        load_config(path, env={})
    load_config(path, env={})


def test_a_secret_that_cannot_be_read_now_is_no_mistake(tmp_path: Path) -> None:
    path = with_secret(tmp_path)
    load_config(path, env={})
    (tmp_path / "key").unlink()
    (tmp_path / "key").symlink_to(f"/proc/{os.getpid()}/mem")
    with pytest.raises(TemporaryError, match="cannot be read now: input/output error"):
        load_config(path, env={})
