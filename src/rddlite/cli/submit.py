"""`rddlite submit`: run a script or a module as it is, with settings that it does not have to know.

The script takes the place of this process: its output, signals and exit code are its own.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections.abc import Iterator
from typing import NoReturn

from rddlite.api.conf import Conf, is_slip, set_from_outside
from rddlite.api.origins import SUBMITTED, Origin, defaults
from rddlite.base.config import SETTINGS
from rddlite.compat.finder import DROP_IN
from rddlite.errors import ConfigError, PathNotFound, UsageError

_FLAGS = {
    "master": "master",
    "name": "app.name",
    "executor_memory": "executor.memory",
    "py_files": "submit.pyFiles",
    "files": "submit.files",
    "archives": "submit.archives",
}
"""Options that stand for one setting each."""


def run_submit(options: argparse.Namespace) -> int:
    """Check and collect the settings, then become the script.

    Raises:
        UsageError: if there is nothing to run, or a setting cannot be read.
        PathNotFound: for a script or a file of settings that is not there.
    """
    command = _command(options)
    settings = collect(options, dict(os.environ))
    settings.setdefault("app.name", Origin(_name_of(options), "the script's name"))
    if options.dry_run:
        _show(command, settings)
        return 0
    _become(command, environment(options, settings, dict(os.environ)))


def collect(options: argparse.Namespace, environ: dict[str, str]) -> dict[str, Origin]:
    """Every setting that is given here, by key: flags before the file before the environment.

    Raises:
        ConfigError: for a key that looks like a slip or a value that cannot be read; the text says where it is from.
    """
    found = defaults({name: value for name, value in environ.items() if name != SUBMITTED})
    for given in (_from_file(options.properties_file), _from_flags(options)):
        for key, origin in given:
            try:
                (parsed,) = _read(key, origin.value).getAll()
            except ConfigError as error:
                raise ConfigError(f"{origin.source}: {error}") from None
            found[parsed[0]] = Origin(parsed[1], origin.source)
    return found


def _read(key: str, value: str) -> Conf:
    """One setting. A program's own keys are kept for it, but not those that look like a slip."""
    conf = Conf()
    if is_slip(key):
        conf.set(key, value)  # tells which key is meant
    set_from_outside(conf, key, value)
    return conf


def environment(options: argparse.Namespace, settings: dict[str, Origin], environ: dict[str, str]) -> dict[str, str]:
    """The environment in which the script finds its settings, its modules, and PySpark's names where asked."""
    environ[SUBMITTED] = json.dumps({key: [origin.value, origin.source] for key, origin in settings.items()})
    modules = settings.get("submit.pyFiles", Origin("", "")).value
    path = [os.path.abspath(_folder_of(each)) for each in modules.split(",") if each]
    if options.pyspark:
        path.insert(0, DROP_IN)
        environ.setdefault(
            "PYTHONHASHSEED", "0"
        )  # as spark-submit has it: some programs place keys by hash() themselves
    if path:
        environ["PYTHONPATH"] = os.pathsep.join([*path, *filter(None, [environ.get("PYTHONPATH")])])
    return environ


def _folder_of(module: str) -> str:
    return (os.path.dirname(module) or ".") if module.endswith(".py") else module


def _from_flags(options: argparse.Namespace) -> Iterator[tuple[str, Origin]]:
    for pair in options.conf:
        key, equals, value = pair.partition("=")
        if not equals or not key.strip():
            raise UsageError(f"--conf {pair!r}: write --conf key=value")
        yield key.strip(), Origin(value.strip(), "flag --conf")
    for option, key in _FLAGS.items():
        if getattr(options, option) is not None:
            yield key, Origin(getattr(options, option), f"flag --{option.replace('_', '-')}")


def _from_file(path: str | None) -> Iterator[tuple[str, Origin]]:
    """Lines `key value`, `key=value` or `key: value`, and comments after `#` or `!`, as in spark-defaults.conf."""
    if path is None:
        return
    try:
        with open(path, encoding="utf-8") as file:
            lines = file.read().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise PathNotFound(f"--properties-file {path}: {error}") from None
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip()[0] in "#!":
            continue
        match = re.match(r"\s*([^\s=:]+)(?:\s*[=:]\s*|\s+)(.+?)\s*$", line)
        if match is None:
            raise UsageError(f"{path}:{number}: not a setting: {line.strip()!r}; write key=value")
        yield match[1], Origin(match[2], f"{path}:{number}")


def _command(options: argparse.Namespace) -> list[str]:
    if options.module:
        return [sys.executable, "-m", *options.module]
    if not options.script:
        raise UsageError("nothing to run: name a script, or a module with -m")
    script = options.script[0]
    if not os.path.exists(script):
        raise PathNotFound(f"there is no script {script}")
    return [sys.executable, *options.script]


def _name_of(options: argparse.Namespace) -> str:
    return str(options.module[0]) if options.module else os.path.basename(options.script[0])


def _show(command: list[str], settings: dict[str, Origin]) -> None:
    print("would run:", " ".join(command))
    rows = []
    for key, setting in sorted(SETTINGS.items()):
        origin = settings.get(key) or Origin("auto" if setting.default is None else str(setting.default), "default")
        rows.append((key, "(hidden)" if setting.is_secret and key in settings else origin.value, origin.source))
    rows += [(key, origin.value, origin.source) for key, origin in sorted(settings.items()) if key not in SETTINGS]
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    for key, value, source in rows:
        print(f"  {key:{widths[0]}}  {value:{widths[1]}}  {source}")


def _become(command: list[str], environ: dict[str, str]) -> NoReturn:
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(command[0], command, environ)
