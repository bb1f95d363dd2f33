"""The configuration file: defaults for options, which flags and variables beat.

Keys are the long names of options (``fail-on`` or ``fail_on``), at the top for every command
that knows them, or in a table named after a command. ``[settings]`` holds fields of
:class:`vidscan.types.ScanSettings`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from vidscan.cli.failures import UsageError

SETTINGS_FILE = "vidscan.settings"
"""Under this name the context knows the file that was read."""
_NOT_IN_FILE = frozenset({"config", "help", "version"})


def apply_config(context: typer.Context, path: Path | None) -> Path | None:
    """Option callback: makes the file's values the defaults of the commands.

    Raises
    ------
    UsageError
        Where the file is no TOML, or names a thing that does not exist.
    """
    if path is None:
        return None
    content = _load(path)
    top = context.find_root()
    commands: dict[str, Any] = top.command.commands  # type: ignore[attr-defined]
    options = {name: _options(command) for name, command in commands.items()}
    settings = content.pop("settings", {})
    _check_settings(settings, path)
    # The settings wait at the root until a command builds its ScanSettings.
    top.obj = settings
    top.meta[SETTINGS_FILE] = path

    defaults: dict[str, dict[str, Any]] = {name: {} for name in commands}
    for key, value in content.items():
        if not isinstance(value, dict):
            name = key.replace("-", "_")
            takers = [command for command in commands if name in options[command]]
            if not takers:
                raise UsageError(f"{path}: no command has an option {key!r}")
            for command in takers:
                defaults[command][name] = value
    for key, table in content.items():
        if isinstance(table, dict):
            if key not in commands:
                raise UsageError(f"{path}: there is no command {key!r}")
            for option, value in table.items():
                name = option.replace("-", "_")
                if name not in options[key]:
                    raise UsageError(f"{path}: {key} has no option {option!r}")
                defaults[key][name] = value
    if context is top:
        context.default_map = defaults  # type: ignore[assignment]
    else:
        context.default_map = defaults[context.info_name or ""]
    return path


def _load(path: Path) -> dict[str, Any]:
    from vidscan import toml

    try:
        return toml.loads(path.read_text(encoding="utf-8"))
    except (toml.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: {error}") from error
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error


def _options(command: Any) -> set[str]:
    """Names of the options (not the arguments) that a file may set."""
    names = {param.name for param in command.params if param.param_type_name == "option"}
    return names - _NOT_IN_FILE


def _check_settings(settings: Any, path: Path) -> None:
    from dataclasses import fields

    from vidscan.types import ScanSettings

    if not isinstance(settings, dict):
        raise UsageError(f"{path}: settings must be a table")
    known = {field.name for field in fields(ScanSettings)}
    unknown = sorted(set(settings) - known)
    if unknown:
        raise UsageError(
            f"{path}: [settings] has no {', '.join(unknown)}; there are {', '.join(sorted(known))}"
        )
