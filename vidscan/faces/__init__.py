"""Faces: where they are (``detect``), who is who from frame to frame (``track``), and how they
are cut out for the networks (``align``). Import the modules themselves; nothing heavy is
imported here."""
