"""Options that the commands of ``vidscan train`` share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Corpus = Annotated[
    Path, typer.Argument(metavar="CORPUS", exists=True, file_okay=False, help="Folder with manifest.csv.")
]
Teacher = Annotated[
    Path, typer.Option(metavar="FILE", dir_okay=False, help="MediaPipe's face_landmarker.task.")
]
Start = Annotated[
    Path | None,
    typer.Option(metavar="FILE", exists=True, dir_okay=False, help="ImageNet weights to start from."),
]
EncoderStart = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", exists=True, dir_okay=False, help="DINOv2 ViT-S/14 (safetensors); the shipped one."
    ),
]
RecipeFile = Annotated[
    Path | None,
    typer.Option(metavar="FILE", exists=True, dir_okay=False, help="Recipe (TOML); the shipped one."),
]
Work = Annotated[
    Path,
    typer.Option(
        metavar="DIR", file_okay=False, help="Keeps what is made on the way: a stopped run goes on from it."
    ),
]
Weights = Annotated[
    Path, typer.Option(metavar="DIR", file_okay=False, help="Where the finished model is registered.")
]
WEIGHTS = Path("weights")
Jobs = Annotated[int, typer.Option(min=0, metavar="N", help="Worker processes (0: as many as fit).")]
Seconds = Annotated[float, typer.Option(min=0, metavar="S", help="Stop training after S (0: never).")]
Threads = Annotated[int, typer.Option(min=0, metavar="N", help="CPU threads (0: all).")]
Device = Annotated[str, typer.Option(metavar="DEVICE", help="cpu or cuda.")]
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="No progress on stderr.")]
