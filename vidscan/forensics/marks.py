"""Marks that generators leave in metadata: declarations, prompts, names of programs.

IPTC Photo Metadata Standard 2023.1, *Digital Source Type*; GB 45438-2025 (implicit labels of AI-generated
content, key ``AIGC``); text chunks and comments as common front ends of diffusion models write them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress

from vidscan.forensics.base import Finding, looked
from vidscan.forensics.filebytes import head_and_tail
from vidscan.forensics.material import Material
from vidscan.forensics.provenance import AI_SOURCES
from vidscan.media.metadata import read_metadata
from vidscan.media.sniff import PICTURE_KINDS, sniff

_SOURCE_TYPE = re.compile(rb"newscodes/digitalsourcetype/(\w{1,60})")
_LABEL = re.compile(rb'AIGC.{0,40}?"Label"\s*:\s*"?([123])', re.S)
_DIFFUSION = re.compile(r"\bSteps: \d+, Sampler: |\"class_type\"\s*:|\"KSampler\"", re.I)
"""What front ends write of how a picture was sampled."""
_CHUNKS = frozenset({"sd-metadata", "invokeai_metadata", "invokeai_graph", "dream", "workflow", "parameters"})
_GENERATORS = re.compile(
    r"\b(stable diffusion|midjourney|dall[-·. ]?e|adobe firefly|novelai|comfyui|invokeai|draw things|"
    r"automatic1111|fooocus|ideogram|made with google ai|deepfacelab|deepfacelive|facefusion|roop|"
    r"heygen|synthesia|d-id|runway(ml)?|pika labs|kling|hailuo|openai|sora|veo|vidscan forge)\b",
    re.I,
)
_PROGRAM_TAGS = ("software", "encoder", "creatortool", "creation_tool", "comment", "make", "model", "forgery")
"""Ends of the names of tags in which programs name themselves; titles and the like are people's."""
_MOST_SHOWN = 3
_MOST_CHARACTERS = 80


class GeneratorMarks:
    """Looks for declarations and traces of generators in metadata.

    The score is 1 where one is found and 0 where none is: metadata is removed by nearly every platform, and
    anybody can write it.
    """

    name = "generator_marks"
    title = "Marks of generators in metadata"
    source = "IPTC Photo Metadata Standard 2023.1 (Digital Source Type); GB 45438-2025"

    def examine(self, material: Material) -> Finding:
        """Reads tags and text chunks; decodes no picture."""
        tags = read_metadata(material.path, material.stream)
        found = [
            *_declared(head_and_tail(material.path)),
            *_chunks(material),
            *_programs(tags),
        ]
        if found:
            said = "; ".join(dict.fromkeys(found[:_MOST_SHOWN]))
            return looked(self, f"The file's own metadata names a generator: {said}.", 1.0)
        encoder = next((value for tag, value in tags.items() if tag.endswith("encoder")), "")
        wrote = f" It was written by {encoder[:_MOST_CHARACTERS]}." if encoder else ""
        return looked(self, f"No mark of a generator. That is no sign of a genuine file.{wrote}", 0.0)


def _declared(data: bytes) -> Iterator[str]:
    for match in _SOURCE_TYPE.finditer(data):
        kind = match[1].decode("ascii", "replace")
        if kind in AI_SOURCES:
            yield f"digital source type {kind}"
    label = _LABEL.search(data)
    if label is not None:
        degree = {b"1": "is", b"2": "may be", b"3": "is suspected to be"}[label[1]]
        yield f"label AIGC, the content {degree} AI-generated"


def _chunks(material: Material) -> Iterator[str]:
    """Text beside the pixels of a picture."""
    if sniff(material.path) not in PICTURE_KINDS:
        return
    from PIL import ExifTags, Image

    texts: dict[str, str] = {}
    with suppress(Exception), Image.open(material.path) as image:
        texts = {str(key): value for key, value in image.info.items() if isinstance(value, str)}
        comment = image.getexif().get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.UserComment, b"")
        if isinstance(comment, bytes):
            # Eight bytes name the encoding; front ends write UTF-16 and ASCII.
            comment = comment[8:].replace(b"\0", b"").decode("ascii", "ignore")
        texts["user comment"] = str(comment)
    for key, text in texts.items():
        sampled = _DIFFUSION.search(text) is not None
        if sampled or (key.lower() in _CHUNKS and len(text) > 1):
            yield f"settings of a diffusion model in {key[:_MOST_CHARACTERS]!r}"
        elif key.lower() in _PROGRAM_TAGS and (match := _GENERATORS.search(text)):
            yield f"{key} {match[0]}"


def _programs(tags: Mapping[str, str]) -> Iterator[str]:
    for tag, value in tags.items():
        if tag.lower().endswith(_PROGRAM_TAGS):
            match = _GENERATORS.search(value)
            if match is not None:
                yield f"{tag} {match[0]}"
