"""From the crop scores of a track to a label."""
