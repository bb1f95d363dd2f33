"""Content Credentials made while the tests run: a certificate chain of our own, and files signed with it."""

from __future__ import annotations

import datetime
import io
from pathlib import Path
from typing import Any

import pytest

ORGANISATION = "Test Newsroom"
GENERATOR = "test_camera"
AI = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
CAMERA = "http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture"
FORMATS = {".jpg": "image/jpeg", ".png": "image/png", ".mp4": "video/mp4"}


def certificates() -> tuple[bytes, bytes, bytes]:
    """A leaf's chain and its private key in PEM, and the authority's certificate (Ed25519)."""
    x509 = pytest.importorskip("cryptography.x509")
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ed25519
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    def name(common: str) -> Any:
        parts = [(NameOID.ORGANIZATION_NAME, ORGANISATION), (NameOID.COMMON_NAME, common)]
        return x509.Name([x509.NameAttribute(oid, text) for oid, text in parts])

    now = datetime.datetime.now(datetime.timezone.utc)
    root_key, leaf_key = ed25519.Ed25519PrivateKey.generate(), ed25519.Ed25519PrivateKey.generate()

    def made(subject: str, key: Any, authority: bool) -> Any:
        usage = dict.fromkeys(
            (
                "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
                "encipher_only", "decipher_only",
            ),
            False,
        )  # fmt: skip
        builder = (
            x509.CertificateBuilder()
            .subject_name(name(subject))
            .issuer_name(name("Test Authority"))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=30))
            .add_extension(x509.BasicConstraints(authority, None), True)
            .add_extension(
                x509.KeyUsage(
                    digital_signature=not authority, key_cert_sign=authority, crl_sign=authority, **usage
                ),
                True,
            )
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key()), False)
        )
        if not authority:
            purpose = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION])
            builder = builder.add_extension(purpose, False)
        return builder.sign(root_key, None)

    pem = serialization.Encoding.PEM
    root = made("Test Authority", root_key, True).public_bytes(pem)
    leaf = made("Test Signer", leaf_key, False).public_bytes(pem)
    key = leaf_key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return leaf + root, key, root


def sign(
    source: Path,
    target: Path,
    chain: tuple[bytes, bytes],
    *,
    action: str = "c2pa.created",
    source_type: str = CAMERA,
    remote: str | None = None,
) -> Path:
    """``target``: ``source`` with a manifest, or with only the address of one where ``remote`` is given."""
    c2pa = pytest.importorskip("c2pa")
    manifest = {
        "claim_generator_info": [{"name": GENERATOR, "version": "1.0"}],
        "assertions": [
            {
                "label": "c2pa.actions.v2",
                "data": {"actions": [{"action": action, "digitalSourceType": source_type}]},
            }
        ],
    }
    signer = c2pa.Signer.from_info(c2pa.C2paSignerInfo(c2pa.C2paSigningAlg.ED25519, *chain, None))
    context = c2pa.Context.from_dict({"verify": {"verify_after_sign": False}})
    with c2pa.Builder(manifest, context=context) as builder, source.open("rb") as data:
        if remote is not None:
            builder.set_no_embed()
            builder.set_remote_url(remote)
        out = io.BytesIO()
        builder.sign(signer, FORMATS[source.suffix], data, out)
    target.write_bytes(out.getvalue())
    return target
