"""What `rddlite submit` makes of flags, files and the environment, in which order, and what it refuses."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import pytest

from rddlite.api.context import Context
from rddlite.api.origins import SUBMITTED, Origin, defaults, variable
from rddlite.base.config import SETTINGS
from rddlite.cli import submit
from rddlite.cli.main import main
from rddlite.compat.finder import DROP_IN
from rddlite.compat.pyspark.context import SparkContext
from rddlite.errors import ConfigError


@pytest.fixture
def script(tmp_path: Any) -> str:
    """A script; it is not run."""
    path = tmp_path / "job.py"
    path.write_text("print(1)")
    return str(path)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[str], dict[str, str]]]:
    """The commands that this process would have become, and their environments."""
    became: list[tuple[list[str], dict[str, str]]] = []

    def become(path: str, command: list[str], environ: dict[str, str]) -> None:
        became.append((command, environ))
        raise SystemExit(0)

    monkeypatch.setattr(os, "execve", become)
    return became


def settings_of(environ: dict[str, str]) -> dict[str, list[str]]:
    settings: dict[str, list[str]] = json.loads(environ[SUBMITTED])
    return settings


def test_the_script_gets_its_arguments_and_its_settings(run, script):
    with pytest.raises(SystemExit):
        main(["submit", "--master", "local[3]", "--name", "n", "--conf", "task.maxFailures=2", script, "--master", "x"])
    ((command, environ),) = run
    assert command == [sys.executable, script, "--master", "x"]
    assert settings_of(environ) == {
        "master": ["local[3]", "flag --master"],
        "app.name": ["n", "flag --name"],
        "task.maxFailures": ["2", "flag --conf"],
    }


def test_a_module_gets_its_arguments(run):
    with pytest.raises(SystemExit):
        main(["submit", "--master", "local", "-m", "json.tool", "--indent", "2"])
    assert run[0][0] == [sys.executable, "-m", "json.tool", "--indent", "2"]
    assert settings_of(run[0][1])["app.name"] == ["json.tool", "the script's name"]


def test_flags_before_the_file_before_the_environment(run, script, tmp_path, monkeypatch):
    file = tmp_path / "defaults.conf"
    file.write_text(
        "# comment\n\n! another\nspark.master   local[7]\napp.name = from the file\nspark.executor.memory: 600\n"
        "spark.ui.port 4040\n"
    )
    monkeypatch.setenv("RDDLITE_APP_NAME", "from the environment")
    monkeypatch.setenv("RDDLITE_TASK_MAX_FAILURES", "5")
    with pytest.raises(SystemExit):
        main(["submit", "--properties-file", str(file), "--conf", "spark.master=local[2]", script])
    assert settings_of(run[0][1]) == {
        "master": ["local[2]", "flag --conf"],
        "app.name": ["from the file", f"{file}:5"],
        "executor.memory": ["600m", f"{file}:6"],
        "spark.ui.port": ["4040", f"{file}:7"],
        "task.maxFailures": ["5", "environment variable RDDLITE_TASK_MAX_FAILURES"],
    }


def test_pysparks_names_and_modules_are_on_the_path(run, script, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "/before")
    monkeypatch.delenv("PYTHONHASHSEED", raising=False)
    with pytest.raises(SystemExit):
        main(["submit", "--pyspark", "--py-files", "/a/b.py,/c.zip", script])
    assert run[0][1]["PYTHONPATH"].split(os.pathsep) == [DROP_IN, "/a", "/c.zip", "/before"]
    assert run[0][1]["PYTHONHASHSEED"] == "0"


def test_a_dry_run_tells_where_each_setting_comes_from(run, script, capsys, monkeypatch):
    monkeypatch.setenv("RDDLITE_LOCAL_DIR", "/fast")
    assert main(["submit", "--dry-run", "--conf", 'storage.options={"s3": {"secret": "x"}}', script]) == 0
    assert run == []
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"would run: {sys.executable} {script}"
    told = {line.split()[0]: line.split(maxsplit=1)[1].split("  ") for line in lines[1:]}
    assert set(told) == set(SETTINGS)
    assert told["local.dir"][0] == "/fast"
    assert told["local.dir"][-1].strip() == "environment variable RDDLITE_LOCAL_DIR"
    assert told["task.failFast"][-1].strip() == "default"
    assert told["storage.options"][0] == "(hidden)"


def test_keys_of_the_programs_own_are_kept(run, script, tmp_path, capsys):
    file = tmp_path / "own.conf"
    file.write_text("myapp.input  /data\n")
    arguments = ["--conf", "myapp.limit=3", "--properties-file", str(file), script]
    with pytest.raises(SystemExit):
        main(["submit", *arguments])
    given = settings_of(run[0][1])
    assert given["myapp.limit"] == ["3", "flag --conf"]
    assert given["myapp.input"] == ["/data", f"{file}:1"]
    assert main(["submit", "--dry-run", *arguments]) == 0
    assert "myapp.limit" in capsys.readouterr().out


def test_what_is_refused(run, script, tmp_path, capsys):
    wrong = tmp_path / "wrong.conf"
    wrong.write_text("just-a-word\n")
    unknown = tmp_path / "unknown.conf"
    unknown.write_text("executor.memry=3\n")
    for arguments, text, code in [
        ([], "nothing to run", 2),
        (["nowhere.py"], "there is no script nowhere.py", 1),
        (["--conf", "master", script], "write --conf key=value", 2),
        (["--conf", "executor.memory=much", script], "flag --conf: setting 'executor.memory' cannot be 'much'", 2),
        (["--properties-file", str(wrong), script], f"{wrong}:1: not a setting: 'just-a-word'", 2),
        (["--properties-file", str(unknown), script], f"{unknown}:1: unknown setting 'executor.memry'; did you", 2),
        (["--properties-file", "none.conf", script], "none.conf", 1),
    ]:
        assert main(["submit", *arguments]) == code
        assert text in capsys.readouterr().err
    assert run == []


def test_variables_of_the_environment():
    assert variable("driver.maxResultSize") == "RDDLITE_DRIVER_MAX_RESULT_SIZE"
    names = [variable(key) for key in SETTINGS]
    assert len(set(names)) == len(names)
    assert defaults({"RDDLITE_MASTER": "local", "RDDLITE_FAULTS": "/x", "HOME": "/"}) == {
        "master": Origin("local", "environment variable RDDLITE_MASTER")
    }
    with pytest.raises(ConfigError, match="RDDLITE_MASTR sets nothing; did you mean RDDLITE_MASTER"):
        defaults({"RDDLITE_MASTR": "local"})
    assert defaults({"RDDLITE_MASTER": "a", SUBMITTED: '{"master": ["b", "flag"]}'}) == {"master": Origin("b", "flag")}


def test_the_shell_hands_its_settings_over(monkeypatch):
    from rddlite.cli import shell

    seen: list[str] = []

    class Stub:
        def __enter__(self) -> None:
            seen.append(os.environ[SUBMITTED])

        def __exit__(self, *_: object) -> None: ...

    monkeypatch.setenv(SUBMITTED, "{}")
    monkeypatch.setattr(shell, "Context", Stub)
    monkeypatch.setattr(shell.code, "interact", lambda *_, **__: None)
    assert main(["shell", "--plain", "--master", "local[5]"]) == 0
    assert json.loads(seen[0]) == {"master": ["local[5]", "flag --master"]}
    assert submit.SUBMITTED == SUBMITTED


def test_a_program_finds_its_own_keys_in_its_context(monkeypatch):
    monkeypatch.setenv(SUBMITTED, json.dumps({"myapp.limit": ["3", "flag --conf"]}))
    for kind in (Context, SparkContext):
        with kind("inline") as sc:
            assert sc.getConf().get("myapp.limit") == "3"
            assert sc.range(3).sum() == 3
    with pytest.raises(ConfigError, match="unknown setting 'myapp"):
        Context("inline", conf={"myapp.limit": "3"})
