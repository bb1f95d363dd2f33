"""The vidscan command with the fake scanner behind serve; worker processes run the top of this file too."""

import sys
from pathlib import Path
from types import ModuleType

sys.path.insert(0, str(Path(__file__).resolve().parent))

import fake_service

module = ModuleType("vidscan.serve.scanner")
module.ServiceScanner = fake_service.Scanner
sys.modules["vidscan.serve.scanner"] = module

if __name__ == "__main__":
    from vidscan.cli.app import run

    sys.exit(run(sys.argv[1:]))
