"""The vidscan command with the fake scanner; worker processes run the top of this file too."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "batch"))

import fake_scanner

sys.modules["vidscan.scanner"] = fake_scanner

if __name__ == "__main__":
    from vidscan.cli.app import run

    sys.exit(run(sys.argv[1:]))
