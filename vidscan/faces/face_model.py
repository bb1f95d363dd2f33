"""An average face in three dimensions: the 68 iBUG points that head pose is solved against.

The points are those of the mesh of MediaPipe's Face Landmarker (Apache-2.0; Kartynnik et al. 2019) that lie
where iBUG's do. Its canonical face model was the start of a generalised Procrustes mean over what the
landmarker gave, depth included, for 700 genuine training pictures of 466 people (523 near frontal, 177
turned); the mean was made symmetric and keeps the canonical model's orientation. It fits the landmarks of
other pictures better than the canonical model does, and the more so in the middle of the face.
"""

from __future__ import annotations

import numpy as np

FACE_MODEL = np.array(
    [
        [-0.7814, -0.5268, 0.5241],
        [-0.7919, -0.1781, 0.6771],
        [-0.7800, -0.0060, 0.6744],
        [-0.7036, 0.3670, 0.5626],
        [-0.6323, 0.5143, 0.4423],
        [-0.5499, 0.6178, 0.3143],
        [-0.3547, 0.7720, 0.1239],
        [-0.1444, 0.8648, -0.0220],
        [0.0000, 0.8762, -0.0437],
        [0.1444, 0.8648, -0.0220],
        [0.3547, 0.7720, 0.1239],
        [0.5499, 0.6178, 0.3143],
        [0.6323, 0.5143, 0.4423],
        [0.7036, 0.3670, 0.5626],
        [0.7800, -0.0060, 0.6744],
        [0.7919, -0.1781, 0.6771],
        [0.7814, -0.5268, 0.5241],
        [-0.6987, -0.6319, 0.2255],
        [-0.5847, -0.6634, -0.0090],
        [-0.4778, -0.7029, -0.0856],
        [-0.3344, -0.6998, -0.1544],
        [-0.1691, -0.6775, -0.1900],
        [0.1691, -0.6775, -0.1900],
        [0.3344, -0.6998, -0.1544],
        [0.4778, -0.7029, -0.0856],
        [0.5847, -0.6634, -0.0090],
        [0.6987, -0.6319, 0.2255],
        [0.0000, -0.4702, -0.1875],
        [0.0000, -0.3076, -0.3026],
        [0.0000, -0.1672, -0.4361],
        [0.0000, -0.0766, -0.4685],
        [-0.1438, 0.0391, -0.2281],
        [-0.0907, 0.0751, -0.2528],
        [0.0000, 0.0799, -0.2723],
        [0.0907, 0.0751, -0.2528],
        [0.1438, 0.0391, -0.2281],
        [-0.5000, -0.4219, 0.0656],
        [-0.4292, -0.4713, -0.0097],
        [-0.3168, -0.4782, -0.0298],
        [-0.1940, -0.4051, 0.0031],
        [-0.3016, -0.3905, -0.0201],
        [-0.4133, -0.3868, 0.0002],
        [0.1940, -0.4051, 0.0031],
        [0.3168, -0.4782, -0.0298],
        [0.4292, -0.4713, -0.0097],
        [0.5000, -0.4219, 0.0656],
        [0.4133, -0.3868, 0.0002],
        [0.3016, -0.3905, -0.0201],
        [-0.3101, 0.3263, -0.0323],
        [-0.1772, 0.2496, -0.2158],
        [-0.0904, 0.2268, -0.2601],
        [0.0000, 0.2424, -0.2698],
        [0.0904, 0.2268, -0.2601],
        [0.1772, 0.2496, -0.2158],
        [0.3101, 0.3263, -0.0323],
        [0.1737, 0.4449, -0.1681],
        [0.0928, 0.4715, -0.2045],
        [0.0000, 0.4803, -0.2120],
        [-0.0928, 0.4715, -0.2045],
        [-0.1737, 0.4449, -0.1681],
        [-0.2826, 0.3266, -0.0520],
        [-0.0767, 0.3099, -0.1986],
        [0.0000, 0.3129, -0.2092],
        [0.0767, 0.3099, -0.1986],
        [0.2826, 0.3266, -0.0520],
        [0.0764, 0.3648, -0.1825],
        [0.0000, 0.3692, -0.1934],
        [-0.0764, 0.3648, -0.1825],
    ]
)
"""(68, 3) float64 points in iBUG order. The unit is the inter-ocular distance (between the outer eye corners,
points 37 and 46), the origin the mean of all points. Axes as the camera's for a face that looks at it: x to
the image's right, y down, z away from the camera. Eyes and lips are those of a resting face."""

FACE_MODEL.setflags(write=False)

EYES = (slice(36, 42), slice(42, 48))
"""Points of the left and right eye as seen in the image."""
OUTER_EYE_CORNERS = (36, 45)
"""Indices of the points whose distance is the inter-ocular distance; the left one in the image first."""
