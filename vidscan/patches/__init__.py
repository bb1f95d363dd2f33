"""Patch classifier: aligned crop in, grid of patch log-odds out."""
