"""Enrolled people on disk: a JSON and a safetensors file each, checked by sha256. No pickle, no picture."""

from __future__ import annotations

import hashlib
import json
import os
import re
import unicodedata
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from vidscan.errors import SetupError
from vidscan.outputs import Replacement
from vidscan.paths import user_folder
from vidscan.people.model import LeftOut, MovementSvm, PersonModel
from vidscan.people.windows import FEATURES, WINDOWS_S
from vidscan.verdict.one_class import OneClassSVM

FORMAT = 1
LONGEST_NAME = 200

_UNPRINTABLE = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"})
_JOINERS = "\u200c\u200d"
"""Invisible, but part of how some names are spelt."""

# Their names in the file: ``dual`` and ``rho`` are an OneClassSVM's coefficients and -intercept.
_SCALARS = ("rho", "gamma", "middle", "spread", "window_s")
_SHAPES: dict[str, tuple[int | None, ...]] = {
    "centre": (FEATURES,),
    "weight": (FEATURES,),
    "support": (None, FEATURES),
    "dual": (None,),
    "statistics": (None,),
    "vectors": (None, FEATURES),
    "scalars": (len(_SCALARS),),
}


class PersonError(SetupError):
    """There is no such person, or what is stored of them cannot be used."""

    code = "person"


@dataclass(frozen=True, slots=True)
class PersonRecord:
    """What is known of an enrolled person without reading their model."""

    name: str
    window_s: float
    seconds: float
    windows: int
    clips: int
    left_out: LeftOut
    """What calibration left out: see :class:`vidscan.people.model.PersonModel`."""
    calibration: int
    """How many parts it left out."""
    created: str
    """UTC, ISO 8601."""
    file: str
    sha256: str


def people_folder() -> Path:
    """``$VIDSCAN_PEOPLE``, or the folder ``people`` in :func:`vidscan.paths.user_folder`."""
    chosen = os.environ.get("VIDSCAN_PEOPLE")
    return Path(chosen) if chosen else user_folder() / "people"


def check_name(name: str) -> str:
    """The name, composed (Unicode NFC) and without blanks around it.

    Raises
    ------
    PersonError
        Where it is empty, too long, no text, or would steer a terminal.
    """
    name = unicodedata.normalize("NFC", name).strip()
    if not name:
        raise PersonError("a person needs a name")
    if len(name) > LONGEST_NAME:
        raise PersonError(f"a name has at most {LONGEST_NAME} characters, not {len(name)}")
    if any(unicodedata.category(c) in _UNPRINTABLE and c not in _JOINERS for c in name):
        raise PersonError(f"a name is printable text, not {name!r}")
    return name


def file_stem(name: str) -> str:
    """Stem of a person's files: safe on every file system, and another for every name."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    readable = re.sub(r"[^a-z0-9]+", "-", plain)[:40].strip("-")
    digest = hashlib.sha256(name.encode()).hexdigest()[:12]
    return f"{readable}-{digest}" if readable else digest


class PeopleStore:
    """The people of one folder.

    Parameters
    ----------
    folder
        None for :func:`people_folder`. It is made when the first person is saved, for its owner's eyes only.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or people_folder()

    def __contains__(self, name: str) -> bool:
        return self._json(check_name(name)).exists()

    def save(self, model: PersonModel) -> PersonRecord:
        """Store a person, in place of one of the same name; whole or not at all.

        Raises
        ------
        PersonError
            Where the name cannot be used or the folder cannot be written.
        """
        name = check_name(model.name)
        content = _to_bytes(model)
        sha256 = hashlib.sha256(content).hexdigest()
        path = self._json(name)
        # Named after its content: the old JSON finds its own file until the new JSON takes its place.
        file = f"{path.stem}.{sha256[:12]}.safetensors"
        record = PersonRecord(
            name=name,
            window_s=model.window_s,
            seconds=round(model.seconds, 2),
            windows=model.windows,
            clips=model.clips,
            left_out=model.left_out,
            calibration=len(model.statistics),
            created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
            file=file,
            sha256=sha256,
        )
        text = json.dumps({"format": FORMAT, **record_dict(record)}, indent=1, ensure_ascii=False) + "\n"
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            before = self._file_of(path)
            _write(self.folder / file, content)
            _write(path, text.encode())
            # Only what was replaced: another process may be storing the same person just now.
            if before is not None and before != file:
                (self.folder / before).unlink(missing_ok=True)
        except OSError as error:
            raise PersonError(f"cannot store {name} in {self.folder}: {error.strerror}") from error
        return record

    def record(self, name: str) -> PersonRecord:
        """What is known of a person.

        Raises
        ------
        PersonError
            Where there is none of that name, or their JSON is damaged.
        """
        name = check_name(name)
        path = self._json(name)
        if not path.exists():
            raise PersonError(f"{name} is not enrolled in {self.folder}")
        return _read_record(path)

    def load(self, name: str) -> PersonModel:
        """A person's model, checked.

        Raises
        ------
        PersonError
            Where there is none of that name, or a file is missing, damaged or another's.
        """
        record = self.record(name)
        path = self.folder / record.file
        try:
            content = path.read_bytes()
        except OSError as error:
            raise PersonError(f"{record.name}: cannot read {path}: {error.strerror}") from error
        if hashlib.sha256(content).hexdigest() != record.sha256:
            raise PersonError(f"{record.name}: {path} is damaged (sha256): enroll them again")
        return _from_bytes(content, record, path)

    def records(self) -> tuple[list[PersonRecord], list[PersonError]]:
        """Everybody by name, and what is wrong with the files that cannot be read."""
        found, problems = [], []
        for path in sorted(self.folder.glob("*.json")):
            try:
                found.append(_read_record(path))
            except PersonError as error:
                problems.append(error)
        return sorted(found, key=lambda record: record.name.casefold()), problems

    def remove(self, name: str) -> None:
        """Delete all that is stored of a person, damaged or not.

        Raises
        ------
        PersonError
            Where there is none of that name, or it cannot be deleted.
        """
        name = check_name(name)
        files = [path for path in (self._json(name), *self._tensors(name)) if path.exists()]
        if not files:
            raise PersonError(f"{name} is not enrolled in {self.folder}")
        try:
            for path in files:
                path.unlink(missing_ok=True)
        except OSError as error:
            raise PersonError(f"cannot remove {name}: {error.strerror}") from error

    def names(self, name: str) -> re.Pattern[str]:
        """Names of the files that a person's data takes in :attr:`folder`."""
        return re.compile(rf"{re.escape(file_stem(name))}\.(json|.*\.safetensors)")

    def _file_of(self, path: Path) -> str | None:
        try:
            return _read_record(path).file
        except PersonError:
            return None

    def _json(self, name: str) -> Path:
        return self.folder / f"{file_stem(name)}.json"

    def _tensors(self, name: str) -> list[Path]:
        return sorted(self.folder.glob(f"{file_stem(name)}.*.safetensors"))


def record_dict(record: PersonRecord) -> dict[str, Any]:
    """A record as plain JSON."""
    return asdict(record)


def _read_record(path: Path) -> PersonRecord:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if data["format"] != FORMAT:
            raise ValueError(f"format {data['format']}, this vidscan reads {FORMAT}")
        record = PersonRecord(
            name=check_name(str(data["name"])),
            window_s=float(data["window_s"]),
            seconds=float(data["seconds"]),
            windows=int(data["windows"]),
            clips=int(data["clips"]),
            left_out=data["left_out"],
            calibration=int(data["calibration"]),
            created=str(data["created"]),
            file=str(data["file"]),
            sha256=str(data["sha256"]),
        )
        if f"{file_stem(record.name)}.json" != path.name or record.left_out not in get_args(LeftOut):
            raise ValueError("not what vidscan wrote")
        # A file of this folder and no other.
        if not re.fullmatch(rf"{re.escape(path.stem)}\.[0-9a-f]+\.safetensors", record.file):
            raise ValueError(f"file {record.file!r}")
    except (OSError, KeyError, TypeError, ValueError, RecursionError, PersonError) as error:
        raise PersonError(f"cannot use {path}: {error}: enroll the person again") from error
    return record


def _to_bytes(model: PersonModel) -> bytes:
    from safetensors.numpy import save

    svm, machine = model.svm, model.svm.machine
    values = {"rho": -machine.intercept, "gamma": machine.gamma}
    values |= {"middle": model.middle, "spread": model.spread}
    scalars = np.array([{**values, "window_s": model.window_s}[name] for name in _SCALARS], np.float64)
    arrays = {
        "centre": svm.centre,
        "weight": svm.weight,
        "support": machine.support,
        "dual": machine.coefficients,
        "statistics": model.statistics,
        "vectors": model.vectors,
        "scalars": scalars,
    }
    return save({name: np.ascontiguousarray(array) for name, array in arrays.items()})


def _from_bytes(content: bytes, record: PersonRecord, path: Path) -> PersonModel:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        arrays = load(content)
        for name, shape in _SHAPES.items():
            _check(name, arrays[name], shape)
        scalars = dict(zip(_SCALARS, arrays["scalars"].tolist(), strict=True))
        if len(arrays["support"]) != len(arrays["dual"]) or (arrays["dual"] <= 0).any():
            raise ValueError("support vectors without their coefficients")
        if min(scalars[name] for name in ("rho", "gamma", "spread")) <= 0:
            raise ValueError("a scale that is not positive")
        if scalars["window_s"] not in WINDOWS_S:
            raise ValueError(f"windows of {scalars['window_s']} s")
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise PersonError(f"{record.name}: {path} is not usable: {error}") from error
    machine = OneClassSVM(arrays["support"], arrays["dual"], -scalars["rho"], scalars["gamma"])
    return PersonModel(
        name=record.name,
        window_s=scalars["window_s"],
        svm=MovementSvm(arrays["centre"], arrays["weight"], machine),
        statistics=arrays["statistics"],
        middle=scalars["middle"],
        spread=scalars["spread"],
        left_out=record.left_out,
        clips=record.clips,
        windows=record.windows,
        seconds=record.seconds,
        vectors=arrays["vectors"],
    )


def _check(name: str, array: NDArray[Any], shape: tuple[int | None, ...]) -> None:
    fits = array.ndim == len(shape) and all(
        want in (None, have) for want, have in zip(shape, array.shape, strict=True)
    )
    if not fits:
        raise ValueError(f"{name} has the shape {array.shape}")
    if name == "vectors":
        if array.dtype != np.float16 or np.isinf(array).any():
            raise ValueError(f"{name} has impossible values")
    elif array.dtype != np.float64 or not np.isfinite(array).all():
        raise ValueError(f"{name} has impossible values")


def _write(path: Path, content: bytes) -> None:
    """Atomically, readable by its owner only."""
    with Replacement(path, private=True) as part, part.open() as stream:
        stream.write(content)
