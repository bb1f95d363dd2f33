"""The evidence shelf: classic instruments of media forensics, reported beside the verdict, never part of it."""
