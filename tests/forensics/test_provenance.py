"""Content Credentials: signed, untrusted, tampered with, broken, stripped and absent, told apart."""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from samples.clips import make_clip
from tests.forensics.credentials import AI, CAMERA, GENERATOR, ORGANISATION, certificates, sign
from vidscan.errors import SetupError
from vidscan.forensics.provenance import ABSENCE, ANCHORS, read_provenance

pytest.importorskip("c2pa")
pytest.importorskip("cryptography")


@pytest.fixture(scope="module")
def chain() -> tuple[bytes, bytes, bytes]:
    return certificates()


@pytest.fixture
def plain(tmp_path: Path, photo: NDArray[np.uint8]) -> Path:
    path = tmp_path / "plain.jpg"
    cv2.imwrite(str(path), photo[..., ::-1])
    return path


@pytest.fixture
def trusted(tmp_path: Path, chain: tuple[bytes, bytes, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    anchors = tmp_path / "anchors.pem"
    anchors.write_bytes(chain[2])
    monkeypatch.setenv(ANCHORS, str(anchors))


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".mp4"])
def test_a_signed_file_says_who_and_how(
    tmp_path: Path, photo: NDArray[np.uint8], chain: tuple[bytes, bytes, bytes], suffix: str
) -> None:
    path = tmp_path / f"a{suffix}"
    if suffix == ".mp4":
        make_clip(path)
    else:
        cv2.imwrite(str(path), photo[..., ::-1])
    found = read_provenance(sign(path, tmp_path / f"signed{suffix}", chain[:2]))
    assert (found.present, found.valid, found.state) == (True, True, "untrusted")
    assert found.issuer == ORGANISATION and found.generator == f"{GENERATOR} 1.0"
    assert found.actions == ("c2pa.created",) and found.ai_generated is False
    assert "no trust list" in found.message


@pytest.mark.usefixtures("trusted")
def test_a_signer_on_the_trust_list(tmp_path: Path, plain: Path, chain: tuple[bytes, bytes, bytes]) -> None:
    found = read_provenance(sign(plain, tmp_path / "signed.jpg", chain[:2]))
    assert (found.valid, found.state) == (True, "valid")
    other = certificates()
    found = read_provenance(sign(plain, tmp_path / "other.jpg", other[:2]))
    assert (found.valid, found.state) == (True, "untrusted")
    assert "not on the trust list" in found.message


@pytest.mark.usefixtures("trusted")
def test_pixels_changed_after_signing(tmp_path: Path, plain: Path, chain: tuple[bytes, bytes, bytes]) -> None:
    signed = sign(plain, tmp_path / "signed.jpg", chain[:2])
    data = bytearray(signed.read_bytes())
    data[-200] ^= 0x55
    signed.write_bytes(data)
    found = read_provenance(signed)
    assert (found.present, found.valid, found.state) == (True, False, "tampered")
    assert found.issuer == ORGANISATION


@pytest.mark.usefixtures("trusted")
def test_a_claim_changed_after_signing(
    tmp_path: Path, plain: Path, chain: tuple[bytes, bytes, bytes]
) -> None:
    signed = sign(plain, tmp_path / "signed.jpg", chain[:2])
    data = signed.read_bytes()
    assert GENERATOR.encode() in data
    signed.write_bytes(data.replace(GENERATOR.encode(), b"TEST_camera"))
    found = read_provenance(signed)
    assert (found.present, found.valid, found.state) == (True, False, "invalid")
    assert "claimSignature.mismatch" in found.message


def test_a_manifest_cut_to_pieces(tmp_path: Path, plain: Path, chain: tuple[bytes, bytes, bytes]) -> None:
    signed = sign(plain, tmp_path / "signed.jpg", chain[:2])
    data = bytearray(signed.read_bytes())
    start = data.index(b"jumb")
    data[start : start + 4] = b"junk"
    signed.write_bytes(data)
    found = read_provenance(signed)
    assert (found.present, found.valid, found.state) == (False, None, "unreadable")


def test_a_reference_without_a_manifest(
    tmp_path: Path, plain: Path, chain: tuple[bytes, bytes, bytes]
) -> None:
    bare = sign(plain, tmp_path / "bare.jpg", chain[:2], remote="http://localhost:9/a.c2pa")
    found = read_provenance(bare)
    assert (found.present, found.valid, found.state) == (False, None, "stripped")
    assert ABSENCE in found.message


def test_saving_again_strips_and_absence_proves_nothing(
    tmp_path: Path, plain: Path, chain: tuple[bytes, bytes, bytes]
) -> None:
    signed = sign(plain, tmp_path / "signed.jpg", chain[:2])
    cv2.imwrite(str(tmp_path / "again.jpg"), cv2.imread(str(signed)))
    for path in (plain, tmp_path / "again.jpg"):
        found = read_provenance(path)
        assert (found.present, found.valid, found.state) == (False, None, "none")
        assert found.message.endswith("proves nothing.")


def test_what_ai_made_is_declared(tmp_path: Path, plain: Path, chain: tuple[bytes, bytes, bytes]) -> None:
    found = read_provenance(sign(plain, tmp_path / "signed.jpg", chain[:2], source_type=AI))
    assert found.ai_generated is True and "AI model" in found.message
    found = read_provenance(sign(plain, tmp_path / "camera.jpg", chain[:2], source_type=CAMERA))
    assert found.ai_generated is False and "AI model" not in found.message


def test_without_the_extra_only_presence_is_told(
    tmp_path: Path, plain: Path, chain: tuple[bytes, bytes, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    signed = sign(plain, tmp_path / "signed.jpg", chain[:2])
    monkeypatch.setitem(sys.modules, "c2pa", None)
    found = read_provenance(signed)
    assert (found.present, found.valid, found.state) == (True, None, "unreadable")
    assert "extra c2pa" in found.message
    assert read_provenance(plain).state == "none"


def test_a_trust_list_that_cannot_be_read_stops_the_run(
    tmp_path: Path, plain: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ANCHORS, str(tmp_path / "gone.pem"))
    with pytest.raises(SetupError, match=ANCHORS):
        read_provenance(plain)
