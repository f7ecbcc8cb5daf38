"""The files that every embedded AWS needs: several processes may be the first to want them."""

from __future__ import annotations

import ssl
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from local import LocalError, mirror, tls

if TYPE_CHECKING:
    from pathlib import Path

FIRST = range(8)


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "build"
    monkeypatch.setattr(tls, "BUILD", folder)
    monkeypatch.setattr(tls, "FOLDER", folder / "tls")
    for name in ("AUTHORITY", "CERTIFICATE", "KEY"):
        monkeypatch.setattr(tls, name, folder / "tls" / getattr(tls, name).name)
    return folder


def test_a_certificate_and_its_key_belong_together_whoever_was_first(build: Path) -> None:
    with ThreadPoolExecutor(len(FIRST)) as pool:
        list(pool.map(lambda _: tls.make_certificate(), FIRST))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    # Raises an error where the key is another certificate's.
    context.load_cert_chain(tls.CERTIFICATE, tls.KEY)
    assert tls.KEY.stat().st_mode & 0o077 == 0
    assert [file.name for file in build.iterdir()] == ["tls"]


def test_a_folder_that_lacks_a_file_is_told(build: Path) -> None:
    tls.make_certificate()
    tls.KEY.unlink()
    with pytest.raises(LocalError, match="lacks some of its files"):
        tls.make_certificate()


def test_the_archive_provider_can_be_run_at_any_moment(tmp_path: Path) -> None:
    def install(_: int) -> str:
        placed = mirror.install_archive_provider(tmp_path / "mirror")
        (executable,) = placed.rglob("terraform-provider-archive*")
        assert executable.stat().st_mode & 0o111
        return executable.read_text()

    with ThreadPoolExecutor(len(FIRST)) as pool:
        (script,) = set(pool.map(install, FIRST))
    assert script.startswith("#!/bin/sh\n")
    assert script.endswith("\n")
