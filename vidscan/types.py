"""What flows between the stages, and the report that comes out.

Conventions: images are RGB uint8, shape (H, W, 3); coordinates are pixels of the upright
full-resolution frame, x to the right, y down, the center of the top-left pixel at (0, 0);
times are seconds from the first presentation timestamp of the stream.

The JSON schema of the report is generated from the ``Report`` dataclass of this module
(:func:`vidscan.report.json.report_schema`): there is no second set of models.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

SCHEMA_VERSION: Literal["2.0"] = "2.0"

Label = Literal["no_manipulation_found", "uncertain", "manipulated", "no_face", "error"]
SignalStatus = Literal["ok", "insufficient", "not_applicable"]
ErrorCode = Literal[
    "not_found",
    "unreadable",
    "no_video_stream",
    "unsupported_codec",
    "corrupt",
    "too_large",
    "timeout",
    "decoder_crashed",
    "out_of_memory",
    "internal",
]

LABEL_SEVERITY: dict[str, int] = {
    "no_face": 0,
    "no_manipulation_found": 1,
    "uncertain": 2,
    "manipulated": 3,
    "error": 4,
}
"""Order in which labels win: a clip carries the label of its worst track."""


# --------------------------------------------------------------------------- between stages


@dataclass(frozen=True, slots=True)
class Note:
    """A coded remark (a warning, a flag) for machines and people."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """What the container says of a clip. ``width`` and ``height`` are as shown: upright, of square pixels."""

    container: str
    codec: str
    width: int
    height: int
    fps: float | None
    """Average frame rate in frames per second; None for a picture or where unknown."""
    duration_s: float | None
    rotation: int
    """Clockwise rotation in degrees (0, 90, 180, 270) that the decoder has applied."""
    has_audio: bool
    decoder: str
    """``decord``, ``pyav``, or for pictures ``opencv`` or ``pillow``."""
    mirrored: bool = False
    """The decoder has exchanged left and right, before the rotation."""


class FrameChunk:
    """Consecutive decoded frames, upright.

    Parameters
    ----------
    first_index
        Index, in presentation order, of the first frame in the clip.
    times
        (T,) presentation times in seconds, never decreasing; the clip's first frame is 0.
    images
        (T, H, W, 3) RGB uint8, contiguous.
    quantisers
        (T, h, w) quantizer, 0 (fine) to 51, of the blocks that frames are coded in, upright like them; None
        where the decoder does not tell.
    """

    def __init__(
        self,
        first_index: int,
        times: NDArray[np.float64],
        images: NDArray[np.uint8],
        quantisers: NDArray[np.uint8] | None = None,
    ) -> None:
        self.first_index = first_index
        self.times = times
        self._images, self._quantisers = images, quantisers

    @property
    def images(self) -> NDArray[np.uint8]:
        """(T, H, W, 3) RGB uint8, contiguous: all frames. One at a time, :meth:`image` may be cheaper."""
        return self._images

    @property
    def quantisers(self) -> NDArray[np.uint8] | None:
        """(T, h, w) uint8; None where the decoder does not tell them of every frame."""
        return self._quantisers

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) of the frames."""
        return self._images.shape[1], self._images.shape[2]

    def image(self, row: int) -> NDArray[np.uint8]:
        """(H, W, 3) RGB uint8 of one frame, 0 being the first of the chunk."""
        return self._images[row]

    def quantiser(self, row: int) -> NDArray[np.uint8] | None:
        """(h, w) uint8 of one frame; None where the decoder does not tell."""
        return None if self._quantisers is None else self._quantisers[row]

    def part(self, start: int, stop: int) -> FrameChunk:
        """Rows ``start`` to before ``stop`` as a chunk of their own, which does not keep this one alive."""
        told = None if self._quantisers is None else self._quantisers[start:stop].copy()
        return FrameChunk(
            self.first_index + start, self.times[start:stop].copy(), self._images[start:stop].copy(), told
        )


@dataclass(frozen=True, slots=True)
class Detection:
    """One face found in one frame by the detector."""

    box: NDArray[np.float32]
    """(4,) x0, y0, x1, y1 in pixels; may reach beyond the frame."""
    points: NDArray[np.float32]
    """(5, 2) left eye, right eye, nose tip, left and right mouth corner (as seen in the image)."""
    confidence: float


@dataclass(frozen=True, slots=True)
class Face:
    """One face of one track in one frame."""

    frame_index: int
    time_s: float
    track_id: int
    box: NDArray[np.float32]
    """(4,) as in :class:`Detection`."""
    points: NDArray[np.float32]
    """(5, 2) as in :class:`Detection`."""
    confidence: float
    detected: bool
    """True where the detector found it in this very frame, False where it was tracked."""


@dataclass(frozen=True, slots=True)
class FrameFaces:
    """One frame, and every face in it."""

    index: int
    time_s: float
    faces: tuple[Face, ...]
    """By track."""


@dataclass(frozen=True, slots=True)
class FaceSeries:
    """How one tracked face moved: one row a frame in which it was seen, in time order.

    Rows in which the landmarks were lost are NaN throughout (but for ``confidence``): they are gaps, and
    nobody fills them in. The camera's axes are x to the right, y down, z away from the camera
    (right-handed). "Left" and "right" are the image's: eye 0 is the person's right eye.
    """

    track_id: int
    frames: NDArray[np.int64]
    """(T,) frame indices."""
    times: NDArray[np.float64]
    """(T,) seconds."""
    landmarks: NDArray[np.float32]
    """(T, 68, 3) iBUG order, full-frame pixels; depth in the same unit, 0 at the face's mean."""
    confidence: NDArray[np.float32]
    """(T,) 0..1 that the landmarks lie on a face."""
    units: NDArray[np.float32]
    """(T, 17) intensities 0..5 of :data:`vidscan.faces.units.UNITS`."""
    openness: NDArray[np.float32]
    """(T, 2) eye openness, 0 closed to 1 open, left and right eye as seen in the image."""
    rotation: NDArray[np.float32]
    """(T, 3) degrees: pitch about x (positive looks down), yaw about y (positive turns the nose to the
    image's left), roll about z (positive tilts clockwise in the image); R = Rz Ry Rx, 0 faces the camera."""
    gaze: NDArray[np.float32]
    """(T, 2, 2) yaw and pitch in degrees of either eye against the head, same signs as ``rotation``."""
    texture: NDArray[np.float32]
    """(T, 2, 3, 2) logarithm of the structure in the face and in a ring about it: luminance and blue color
    difference, three bands from fine to coarse, face and ring (:func:`vidscan.faces.texture.band_levels`)."""
    shut: NDArray[np.float32] | None = None
    """(T, 2) probability 0..1 that an eye is shut, left and right as seen in the image, by the eye-state
    network (:mod:`vidscan.behavior.eye_state`); None where that network did not look."""


@dataclass(frozen=True, slots=True)
class PatchMap:
    """The patch classifier's answer for one aligned crop.

    Attributes
    ----------
    logits
        (h, w) float32; log-odds that a patch is manipulated, row 0 at the top of the crop.
    score
        Pooled log-odds of the whole crop (pooling named by the model's registry record).
    to_crop
        (2, 3) float64 affine map from frame pixels to crop pixels.
    crop_size
        Side of the square crop in pixels.
    """

    logits: NDArray[np.float32]
    score: float
    to_crop: NDArray[np.float64]
    crop_size: int


@dataclass(frozen=True, slots=True)
class CellGrid:
    """Which crop pixels the cells of a grid belong to.

    Attributes
    ----------
    stride
        Crop pixels from one cell to the next.
    offset
        Crop pixel, across and down alike, that the first cell belongs to: cell (i, j) belongs to row
        ``offset + i * stride`` and column ``offset + j * stride``.
    """

    stride: float
    offset: float


@dataclass(frozen=True, slots=True)
class FaceMap:
    """What is known of one face of one frame.

    Attributes
    ----------
    track_id
        The track the face belongs to.
    probability
        (h, w) float32 in 0..1, a grid over the whole square crop, row 0 at its top.
    to_crop
        (2, 3) float64 affine map from frame pixels to crop pixels.
    crop_size
        Side of the crop in pixels.
    grid
        Which crop pixels the cells belong to; None where they cover the crop from edge to edge.
    """

    track_id: int
    probability: NDArray[np.float32]
    to_crop: NDArray[np.float64]
    crop_size: int
    grid: CellGrid | None = None


@dataclass(frozen=True, slots=True)
class FrameMaps:
    """One decoded frame, and where a manipulation is seen in its faces."""

    index: int
    time_s: float
    shape: tuple[int, int]
    """(height, width)."""
    faces: tuple[FaceMap, ...]
    """Empty without a face."""
    interpolated: bool
    """Some face was only followed here, and not classified."""


@dataclass(frozen=True, slots=True)
class FaceEvidence:
    """What is kept of one analyzed face: a few numbers, no picture."""

    frame_index: int
    time_s: float
    box: tuple[float, float, float, float]
    score: float
    """Pooled log-odds of the crop."""
    face_px: float
    """Side of the face box in full-resolution pixels (geometric mean of width and height)."""
    sharpness: float
    """Mean absolute Laplacian of the luminance in the middle of the crop, in gray levels."""
    brightness: float
    """Mean luminance of the crop, 0..255."""
    parts: tuple[float, ...] = ()
    """Mean log-odds of the patches of each part of the face (:data:`vidscan.patches.parts.PARTS`)."""
    inside: float = 1.0
    """Share of the face box that is inside the frame."""
    quantiser: float | None = None
    """Mean quantizer (0 fine, 51 coarse) where the face is; None where the decoder does not tell."""
    encoder: float | None = None
    """Deviations from genuine faces by the encoder; None where it did not look."""
    detail_px: float = math.inf
    """Side in pixels of the smallest face that could hold the crop's detail
    (:func:`vidscan.patches.detail.detail_px`); infinite where that was not measured."""


@dataclass(frozen=True, slots=True)
class BehaviorWindow:
    """What was measured of one stretch of one track's :class:`FaceSeries`."""

    start_s: float
    end_s: float
    values: dict[str, dict[str, float] | None]
    """By group of the evidence vector, its features; None where there is too little material."""
    still: bool = False
    """Nothing could be measured because the face does not move, as in a photograph."""


@dataclass(frozen=True, slots=True)
class Track:
    """One person through one shot. ``faces`` are the analyzed ones, in time order."""

    track_id: int
    faces: tuple[FaceEvidence, ...]
    frames: int
    """Frames in which the face was seen, analyzed or not."""
    start_s: float
    end_s: float
    behavior: tuple[BehaviorWindow, ...] = ()
    """In time order; empty where behavior was not measured."""


# --------------------------------------------------------------------------- settings

EyeRule = Literal["ear", "openness", "network"]
"""How it is told how far eyes are closed (:mod:`vidscan.behavior.eye_closure`)."""


@dataclass(frozen=True, slots=True)
class ScanSettings:
    """Everything that can change a verdict; written into the report as ``settings``."""

    analysis_fps: float = 2.0
    """Faces are classified at about this rate (frames per second, at most every frame), and three times in
    the first second of every track."""
    encoder_fps: float = 0.5
    """The encoder looks at the classified faces at this rate, and every second in the first four seconds of a
    track: at an aligned crop and a native one in turn, first at both; 0 leaves it out."""
    behavior_fps: float = 15.0
    """Landmarks are read at about this rate, in every second frame of most clips; 0 leaves behavior out."""
    blink_rule: EyeRule = "network"
    """Blinks are found by the eye-state network, the eye aspect ratio or the landmark network's openness."""
    min_face: float = 1.0 / 12.0
    """Smallest face looked for, as a share of the frame's short side (never under 40 px)."""
    detect_s: float = 2.0
    """Seconds between full detections; faces are followed between, and looked at once where they are. While
    nobody is followed, and as a shot begins, detections are twice as frequent. Who joins somebody that is
    followed may go unseen for so long."""
    max_faces: int = 64
    """Faces followed at once; the largest win, with a warning that tells how many are left out."""
    decoder: Literal["auto", "decord", "pyav"] = "auto"
    max_pixels: int = 8192 * 8192
    """Frames of more pixels are refused (``too_large``)."""
    max_duration_s: float = 0.0
    """Only the first so many seconds are analyzed, with a warning; 0 means all."""
    stream: int | None = None
    """Index in the container of the video stream to scan; None takes the default one or one that is much
    larger."""
    patch_model: str = ""
    """Name of the patch model in the registry; empty means the registry's default."""
    verdict_model: str = ""
    """Name of the verdict model in the registry; empty means the one that belongs to the patch model."""
    target_fpr: float = 0.0
    """Share of genuine clips that may be called manipulated; 0 means the verdict model's own (.01)."""
    uncertain_fpr: float = 0.0
    """Share that may be called manipulated or uncertain; 0 means the verdict model's own (.05), or twice
    ``target_fpr`` where that is more."""


# --------------------------------------------------------------------------- the report


@dataclass(frozen=True, slots=True)
class ToolInfo:
    name: str
    version: str


@dataclass(frozen=True, slots=True)
class ModelRef:
    name: str
    sha256: str


@dataclass(frozen=True, slots=True)
class InputInfo:
    path: str
    path_raw: str | None
    """Base64 of the path's bytes where they are not valid UTF-8."""
    sha256: str | None
    bytes: int | None
    container: str | None
    codec: str | None
    width: int | None
    height: int | None
    fps: float | None
    duration_s: float | None
    rotation: int | None
    has_audio: bool | None
    frames_decoded: int
    frames_analysed: int
    decoder: str | None


@dataclass(frozen=True, slots=True)
class Thresholds:
    """On the scale of ``score``."""

    uncertain: float
    manipulated: float


@dataclass(frozen=True, slots=True)
class Found:
    """Share of forged clips that is called manipulated where so many genuine clips may be."""

    target_fpr: float
    rate: float
    interval: tuple[float, float]
    """95 % interval of ``rate``."""
    clips: int
    """Forged clips it was measured on."""


@dataclass(frozen=True, slots=True)
class Calibration:
    n: int
    """Genuine people (one clip-level statistic each) that set the thresholds."""
    bin: str
    target_fpr: float
    measured_fpr: float | None
    interval: tuple[float, float] | None
    """95 % interval of ``measured_fpr``."""
    found: tuple[Found, ...] = ()
    """What ``target_fpr`` and other rates find, ascending; empty where it was not measured."""


@dataclass(frozen=True, slots=True)
class Reason:
    code: str
    message: str
    track_id: int | None
    start_s: float | None
    end_s: float | None
    weight: float
    """Share of the verdict that this reason carries, 0..1."""


@dataclass(frozen=True, slots=True)
class Verdict:
    label: Label
    score: float | None
    p_value: float | None
    thresholds: Thresholds
    calibration: Calibration
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class Quality:
    face_px: float | None
    sharpness: float | None
    brightness: float | None
    bits_per_pixel: float | None
    flags: tuple[Note, ...] = ()
    detail_px: float | None = None
    """Side in pixels of the smallest face that could hold the detail there is; None where not measured."""


@dataclass(frozen=True, slots=True)
class TrackReport:
    track_id: int
    label: Label
    score: float | None
    p_value: float | None
    start_s: float
    end_s: float
    frames: int
    face_px: float
    quality: Quality


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of one track whose crops look manipulated."""

    track_id: int
    start_s: float
    end_s: float
    peak_s: float
    """Time of its strongest crop."""
    score: float
    """0..1 of that crop alone, as ``frames`` tell it."""


@dataclass(frozen=True, slots=True)
class Signal:
    """What one group of evidence says of the track that gave the verdict."""

    score: float | None
    """0..1 that this group alone would give; None where it was not measured or is not judged."""
    status: SignalStatus
    weight: float | None = None
    """Share of what is unusual about the track that this group carries, 0..1; None where it is not judged."""
    values: dict[str, float | None] = field(default_factory=dict)
    """What was measured, by feature (``vidscan schema --features``)."""


PersonLack = Literal["no_face", "too_short", "still", "lost"]
"""No face; followed too briefly; it does not move, as a photograph; lost within every window."""


@dataclass(frozen=True, slots=True)
class PersonReport:
    """How a track compares with an enrolled person (:class:`vidscan.people.model.PersonModel`)."""

    name: str
    track_id: int | None
    status: SignalStatus
    score: float | None
    """0 moves like the person, 1 unlike; .5 is the most unlike of the material that was enrolled."""
    p_value: float | None
    beyond: float | None = None
    """How far outside the enrolled range, in spreads of its windows; 0 or less is within."""
    parts: int | None = None
    """Parts of the enrolled material that ``p_value`` compares with."""
    seconds: float | None = None
    """For which the face was followed."""
    needed_s: float | None = None
    """Length of the window that must be followed."""
    lack: PersonLack | None = None
    """Why there is no score."""


@dataclass(frozen=True, slots=True)
class TimeMark:
    """A stretch of the clip that an instrument points at; a moment where both times are the same."""

    start_s: float
    end_s: float
    message: str


@dataclass(frozen=True, slots=True)
class ForensicFinding:
    """What one instrument of the shelf (:mod:`vidscan.forensics`) says; no part of the verdict."""

    name: str
    title: str
    status: SignalStatus
    score: float | None
    """0..1, how plain the trace is that the instrument looks for; no probability of a forgery."""
    code: str | None
    """Why it could not tell, where ``status`` is ``insufficient``."""
    message: str
    source: str
    marks: tuple[TimeMark, ...] = ()


ProvenanceState = Literal["valid", "untrusted", "invalid", "tampered", "unreadable", "stripped", "none"]


@dataclass(frozen=True, slots=True)
class Provenance:
    """What Content Credentials (C2PA) say of the file."""

    present: bool
    """There is a manifest in the file."""
    valid: bool | None
    """The manifest is signed and fits the file; None where there is none or it could not be checked. Whose
    signature it is, is another question: ``state``."""
    state: ProvenanceState
    """``valid``: signed by somebody on the trust list; ``untrusted``: by somebody else; ``tampered``: the
    file was changed after it was signed; ``invalid``: the manifest itself is broken; ``unreadable``: it
    cannot be parsed, or nothing that parses it is installed; ``stripped``: only a reference is left;
    ``none``."""
    issuer: str | None
    """Organisation or name in the signer's certificate."""
    generator: str | None
    """Program that made the claim, in its own words."""
    actions: tuple[str, ...]
    """Actions that the claim lists, such as ``c2pa.created``."""
    ai_generated: bool | None
    """The claim calls the content, or a part of it, made by a trained algorithm; None without a claim."""
    message: str


@dataclass(frozen=True, slots=True)
class FrameReport:
    index: int
    time_s: float
    track_id: int
    box: tuple[float, float, float, float]
    score: float | None
    """0..1 of this crop alone; None where the face was tracked but not classified."""
    mask: str | None
    """File name of the mask picture, relative to the mask folder."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Wall seconds. The only part of a report that differs between two runs.

    Stages run side by side: their sum may be more than ``total``.
    """

    startup: float = 0.0
    decode: float = 0.0
    detect: float = 0.0
    landmarks: float = 0.0
    classify: float = 0.0
    verdict: float = 0.0
    forensics: float = 0.0
    total: float = 0.0


@dataclass(frozen=True, slots=True)
class ErrorInfo:
    code: ErrorCode
    message: str


@dataclass(frozen=True, slots=True)
class Report:
    """Everything vidscan says of one input; ``vidscan schema`` prints its JSON Schema."""

    schema_version: Literal["2.0"]
    tool: ToolInfo
    models: tuple[ModelRef, ...]
    device: str
    settings: dict[str, Any]
    input: InputInfo
    verdict: Verdict
    tracks: tuple[TrackReport, ...]
    segments: tuple[Segment, ...]
    signals: dict[str, Signal]
    """By group of evidence (:data:`vidscan.verdict.groups.GROUPS`)."""
    person: PersonReport | None
    frames: tuple[FrameReport, ...]
    quality: Quality
    timing_s: Timing
    warnings: tuple[Note, ...]
    error: ErrorInfo | None
    forensics: tuple[ForensicFinding, ...] | None = None
    """What the instruments of the shelf say; None where they were not asked."""
    provenance: Provenance | None = None
    """None where the instruments were not asked."""
