from __future__ import annotations

import pytest

from vidscan.faces.detect import Detector, load_detector


@pytest.fixture(scope="session")
def detector() -> Detector:
    return load_detector()
