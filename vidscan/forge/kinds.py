"""The forgeries that ``vidscan forge`` offers: what each imitates and what it needs. Light to import."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Kind(str, Enum):
    """A forgery by name."""

    self_blend = "self_blend"
    swap = "swap"
    decoded_swap = "decoded_swap"
    face_warp = "face_warp"
    reenact = "reenact"
    mouth = "mouth"
    mouth_shift = "mouth_shift"
    rerender = "rerender"
    synthetic = "synthetic"
    spliced_region = "spliced_region"
    inpainted = "inpainted"
    autogan = "autogan"


@dataclass(frozen=True, slots=True)
class About:
    """One kind of forgery.

    Attributes
    ----------
    does
        What it does, for people.
    donor
        Whether it needs the face of another person.
    past
        Whether it needs an earlier moment of the same clip, which a picture has not.
    renderer
        Whether it needs a generator, for which the shipped renderer stands.
    whole_frame
        Whether it changes the whole frame and not a face.
    """

    does: str
    donor: bool = False
    past: bool = False
    renderer: bool = False
    whole_frame: bool = False


KINDS: dict[Kind, About] = {
    Kind.self_blend: About("the face blended with an altered copy of itself"),
    Kind.swap: About("another person's face, warped on", donor=True),
    Kind.decoded_swap: About("another person's face out of a decoder", donor=True, renderer=True),
    Kind.face_warp: About("the face shrunk, softened, enlarged"),
    Kind.reenact: About("the face displaced smoothly by 1-4 %"),
    Kind.mouth: About("mouth or lower face at low resolution"),
    Kind.mouth_shift: About("the mouth of .3 to .8 seconds before", past=True),
    Kind.rerender: About("the face through a small generator", renderer=True),
    Kind.synthetic: About("the whole frame without noise or texture", whole_frame=True),
    Kind.spliced_region: About("a region of another person's face, cut out hard", donor=True),
    Kind.inpainted: About("a part of the face removed and filled in"),
    Kind.autogan: About("the traces of a decoder's up-sampling, without a generator"),
}
