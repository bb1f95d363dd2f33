"""Video and pictures in, video and pictures out.

``open_video`` turns a path into a :class:`VideoSource`, an iterator of upright RGB frames;
``VideoWriter`` and ``write_png`` go the other way. Decoders (decord, PyAV, OpenCV) are imported
only when a file is opened.
"""

from __future__ import annotations

from vidscan.media.sniff import sniff
from vidscan.media.source import VideoSource, open_video
from vidscan.media.writer import VideoWriter, write_png

__all__ = ["VideoSource", "VideoWriter", "open_video", "sniff", "write_png"]
