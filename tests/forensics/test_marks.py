"""Marks of generators in metadata, as front ends and platforms write them."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from samples.clips import make_clip
from vidscan.forensics.marks import GeneratorMarks
from vidscan.forensics.material import Material

XMP = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF><rdf:Description Iptc4xmpExt:DigitalSourceType='
    '"http://cv.iptc.org/newscodes/digitalsourcetype/{}"/></rdf:RDF></x:xmpmeta>'
)
SAMPLED = "a face\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 1, Size: 512x512"


def score(path: Path) -> tuple[float | None, str]:
    finding = GeneratorMarks().examine(Material(path))
    assert finding.status == "ok"
    return finding.score, finding.message


@pytest.mark.parametrize(
    ("key", "text", "found"),
    [
        ("parameters", SAMPLED, True),
        ("prompt", '{"3": {"class_type": "KSampler", "inputs": {}}}', True),
        ("Dream", "a face -s 50", True),
        ("Software", "NovelAI", True),
        ("Comment", 'AIGC {"Label": "1"}', True),
        ("Software", "GIMP 2.10", False),
        ("Description", "An interview about Midjourney and Stable Diffusion", False),
        ("Title", "parameters of a good picture", False),
    ],
)
def test_text_of_a_png(tmp_path: Path, photo: NDArray[np.uint8], key: str, text: str, found: bool) -> None:
    info = PngInfo()
    info.add_text(key, text)
    Image.fromarray(photo).save(tmp_path / "a.png", pnginfo=info)
    assert score(tmp_path / "a.png")[0] == float(found)


@pytest.mark.parametrize(
    ("kind", "found"),
    [
        ("trainedAlgorithmicMedia", True),
        ("compositeWithTrainedAlgorithmicMedia", True),
        ("digitalCapture", False),
    ],
)
def test_digital_source_type(tmp_path: Path, photo: NDArray[np.uint8], kind: str, found: bool) -> None:
    Image.fromarray(photo).save(tmp_path / "a.jpg", xmp=XMP.format(kind).encode())
    told, message = score(tmp_path / "a.jpg")
    assert told == float(found)
    assert (kind in message) == found


def test_user_comment_of_a_jpeg(tmp_path: Path, photo: NDArray[np.uint8]) -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9286] = b"UNICODE\0" + SAMPLED.encode("utf-16-be")
    Image.fromarray(photo).save(tmp_path / "a.jpg", exif=exif)
    assert score(tmp_path / "a.jpg")[0] == 1.0


@pytest.mark.parametrize(
    ("tag", "text", "found"), [("comment", "Made with Sora", True), ("title", "Sora", False)]
)
def test_tags_of_a_clip(tmp_path: Path, tag: str, text: str, found: bool) -> None:
    source = make_clip(tmp_path / "a.mp4")
    with av.open(str(source)) as container, av.open(str(tmp_path / "b.mp4"), "w") as out:
        out.metadata[tag] = text
        stream = out.add_stream_from_template(container.streams.video[0])
        for packet in container.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                out.mux(packet)
    told, message = score(tmp_path / "b.mp4")
    assert told == float(found)
    assert found or "Lavf" in message
