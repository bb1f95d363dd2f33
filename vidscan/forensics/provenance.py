"""Content Credentials: what a C2PA manifest in a file says, and whether it fits the file.

C2PA Technical Specification 2.x (Coalition for Content Provenance and Authenticity). A manifest is parsed and
verified by ``c2pa-python`` (extra ``c2pa``), without any network: manifests kept elsewhere are not fetched,
and no certificate is looked up. Without the extra only the presence of a manifest is told.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vidscan.errors import SetupError
from vidscan.forensics.filebytes import head_and_tail
from vidscan.media.sniff import PathLike
from vidscan.types import Provenance, ProvenanceState

ANCHORS = "VIDSCAN_C2PA_ANCHORS"
"""Environment variable: a PEM file of certificate authorities whose signers are trusted."""
AI_SOURCES = frozenset(
    {
        "trainedAlgorithmicMedia",
        "compositeWithTrainedAlgorithmicMedia",
        "algorithmicMedia",
        "compositeSynthetic",
    }
)
"""IPTC digital source types of what an algorithm made, wholly or in part."""

_MANIFEST = b"c2pa\x00\x11\x00\x10\x80\x00\x00\xaa\x008\x9bq"
"""Type of the JUMBF box that holds manifests."""
_REFERENCE = b"dcterms:provenance"
"""XMP property that names where a manifest is."""
_CHANGED = ("dataHash.mismatch", "bmffHash.mismatch", "boxesHash.mismatch", "collectionHash.mismatch")
_UNTRUSTED = "signingCredential.untrusted"
_MOST_ACTIONS = 20
_MOST_CHARACTERS = 200

ABSENCE = "Most genuine files have none, and it is easily removed: its absence proves nothing."


def read_provenance(path: PathLike) -> Provenance:
    """What Content Credentials say of a picture or clip; never raises for what is in the file.

    Raises
    ------
    SetupError
        Where :data:`ANCHORS` names a file that cannot be read.
    """
    anchors = trust_anchors()
    try:
        import c2pa
    except ImportError:
        return _unparsed(head_and_tail(path))
    settings: dict[str, Any] = {"verify": {"remote_manifest_fetch": False, "ocsp_fetch": False}}
    if anchors:
        settings["trust"] = {"user_anchors": anchors}
    try:
        with (
            Path(path).open("rb") as file,
            c2pa.Context.from_dict(settings) as context,
            c2pa.Reader(file, context=context) as reader,
        ):
            return _told(json.loads(reader.json()), bool(anchors))
    except c2pa.C2paError as error:
        return _without(head_and_tail(path), str(error).startswith("Remote"))
    except (OSError, ValueError):
        return _without(head_and_tail(path), False)


def trust_anchors() -> str:
    """The certificates that :data:`ANCHORS` names, in PEM; empty where it names none.

    Raises
    ------
    SetupError
        Where the file cannot be read.
    """
    named = os.environ.get(ANCHORS, "")
    if not named:
        return ""
    try:
        return Path(named).read_text("ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise SetupError(f"{ANCHORS} {named}: cannot be read as PEM") from error


def _told(store: dict[str, Any], has_list: bool) -> Provenance:
    manifests = store.get("manifests") or {}
    active = manifests.get(store.get("active_manifest")) or {}
    results = (store.get("validation_results") or {}).get("activeManifest") or {}
    failures = [str(failure.get("code", "")) for failure in results.get("failure") or ()]
    state = _state(failures)
    signature = active.get("signature_info") or {}
    issuer = _text(signature.get("issuer") or signature.get("common_name"))
    actions = tuple(_text(action.get("action")) or "" for action in _actions(active))[:_MOST_ACTIONS]
    ai = any(_is_ai(action) for manifest in manifests.values() for action in _actions(manifest))
    return Provenance(
        present=True,
        valid=state in ("valid", "untrusted"),
        state=state,
        issuer=issuer,
        generator=_generator(active),
        actions=actions,
        ai_generated=ai,
        message=_message(state, issuer, failures, has_list) + (_AI if ai and state in _HOLDS else ""),
    )


_HOLDS = ("valid", "untrusted")
_AI = " It declares that an AI model made the content, or a part of it."


def _state(failures: list[str]) -> ProvenanceState:
    broken = [code for code in failures if code != _UNTRUSTED]
    if broken:
        # Where the signature is broken too, nothing that the manifest says of the file counts.
        changed = all(code.endswith(_CHANGED) for code in broken)
        return "tampered" if changed else "invalid"
    return "untrusted" if failures else "valid"


def _message(state: ProvenanceState, issuer: str | None, failures: list[str], has_list: bool) -> str:
    who = issuer or "an unnamed signer"
    if state == "valid":
        return f"Signed by {who}, who is on the trust list, and unchanged since."
    if state == "untrusted":
        why = (
            "who is not on the trust list" if has_list else "with no trust list at hand to check who that is"
        )
        return f"Signed in the name of {who}, {why}; unchanged since it was signed."
    if state == "tampered":
        return f"Signed in the name of {who}, but the file was changed after it was signed."
    return f"There is a manifest in the name of {who}, but it is not valid ({', '.join(failures[:3])})."


def _without(data: bytes, remote: bool) -> Provenance:
    """Of a file in which no manifest could be read; ``data`` is its head and tail."""
    if remote or _REFERENCE in data:
        return _nothing(
            "stripped",
            "The file refers to Content Credentials that are not in it: they were removed, or are kept "
            f"elsewhere (vidscan fetches nothing). {ABSENCE}",
        )
    if _MANIFEST in data:
        return _nothing("unreadable", "There are remains of Content Credentials that cannot be parsed.")
    return _nothing("none", f"None in the file. {ABSENCE}")


def _unparsed(data: bytes) -> Provenance:
    """The same without the extra."""
    if _MANIFEST in data:
        message = "There are Content Credentials, but they were not read (extra c2pa)."
        return Provenance(True, None, "unreadable", None, None, (), None, message)
    return _without(data, False)


def _nothing(state: ProvenanceState, message: str) -> Provenance:
    return Provenance(False, None, state, None, None, (), None, message)


def _actions(manifest: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for assertion in manifest.get("assertions") or ():
        if str(assertion.get("label", "")).startswith("c2pa.actions"):
            actions = (assertion.get("data") or {}).get("actions") or ()
            yield from (action for action in actions if isinstance(action, dict))


def _is_ai(action: dict[str, Any]) -> bool:
    return str(action.get("digitalSourceType", "")).rsplit("/", 1)[-1] in AI_SOURCES


def _generator(manifest: dict[str, Any]) -> str | None:
    for info in manifest.get("claim_generator_info") or ():
        return _text(f"{info.get('name', '')} {info.get('version') or ''}".strip())
    return _text(manifest.get("claim_generator"))


def _text(value: Any) -> str | None:
    return str(value)[:_MOST_CHARACTERS] if value else None
