"""The evidence shelf: instruments of media forensics, reported beside the verdict and never part of it."""
