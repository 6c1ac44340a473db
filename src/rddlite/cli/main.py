"""The commands and their options; what a command does is imported when it is called, so that help is there at once.

Exit codes: 0, 1 for a failure, 2 for what was asked wrongly. What rddlite raises on purpose is shown as one line
without a traceback; any other exception is a bug, and shows its own.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from rddlite.base.units import parse_bytes
from rddlite.errors import ProviderError, RddliteError, UsageError
from rddlite.version import __version__

FAILURE, WRONG_USE, INTERRUPTED = 1, 2, 130

_EXECUTOR = """\
Run an executor on this host for a driver that listens (a context whose master is rdd://host:port). It can join at any
time, and leaves when the driver ends. On SIGTERM it finishes what runs, hands over what others need, and leaves; on a
second one, or on Ctrl-C, it leaves at once.
"""
_KEY_FILE = """\
the application's keys, as the driver wrote them: a file that only its owner may read (mode 0600). Copy it here by a
way that keeps it secret, for instance scp -p
"""
_EXPLAIN = """\
Tell what happened in an application, from the event log that it wrote because of the setting eventlog.dir: its jobs
and executors, what failed and why, what was lost, computed again, rolled back, copied or skewed.
"""
_REPLAY = """\
run the scheduler again on the recorded events and compare all it decides; the exit code is 0 if everything is
reproduced, and 1 at the first difference, which is shown. Attach the log to a bug report when it differs
"""
_SUBMIT = """\
Run a script, or a module, with settings that it does not have to know. What the program sets itself comes first, then
the options here, then the file, then environment variables (RDDLITE_ and the key: RDDLITE_EXECUTOR_MEMORY), then the
defaults. The program's output and exit code are its own.
"""
_SHELL = """\
A prompt with a context named sc: IPython's where that is installed, else Python's own.
"""
_CHECK = """\
Tell, without running them, which calls of PySpark in these scripts rddlite does not cover, each with its line and what
to use instead. The exit code is 0 if everything is covered, else 1.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code. Wrong options end the process with code 2."""
    options = _parser().parse_args(arguments)
    try:
        code = _run(options)
        sys.stdout.flush()
        return code
    except RddliteError as error:
        print(f"rddlite {options.command}: {error}", file=sys.stderr)
        return WRONG_USE if isinstance(error, UsageError) else FAILURE
    except BrokenPipeError:  # of `rddlite explain-log ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILURE
    except KeyboardInterrupt:
        return INTERRUPTED


def _run(options: argparse.Namespace) -> int:
    if options.command == "executor":
        try:
            from rddlite.cli.executor import run_executor

            return run_executor(options)
        except ImportError as error:
            raise ProviderError(
                f"{sys.executable} cannot run an executor: {_first_line(error)}; install rddlite for that Python, with "
                "all that it needs, or use another one"
            ) from error
    if options.command == "submit":
        from rddlite.cli.submit import run_submit

        return run_submit(options)
    if options.command == "shell":
        from rddlite.cli.shell import run_shell

        return run_shell(options)
    if options.command == "check":
        from rddlite.cli.check import run_check

        return run_check(options)
    if options.check and not options.replay:
        options.refuse("--check goes with --replay: it checks the scheduler while that runs again")
    from rddlite.cli.explain import run_explain

    return run_explain(options)


def _first_line(error: ImportError) -> str:
    return str(error).strip().partition("\n")[0]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("rddlite", description="Spark's RDD model as a Python library: its command line.")
    parser.add_argument("--version", action="version", version=f"rddlite {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", title="commands")
    _add_submit(commands.add_parser("submit", description=_SUBMIT, help="run a script with settings"))
    _add_shell(commands.add_parser("shell", description=_SHELL, help="a prompt with a context"))
    check = commands.add_parser("check", description=_CHECK, help="tell what of PySpark a script uses that is missing")
    check.add_argument("scripts", nargs="+", metavar="SCRIPT", help="a Python file, or a directory of them")
    _add_executor(commands.add_parser("executor", description=_EXECUTOR, help="join a driver that listens"))
    _add_explain(commands.add_parser("explain-log", description=_EXPLAIN, help="tell what an event log holds"))
    return parser


def _add_settings(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--master", metavar="URL", help="where tasks run: local[4], local-cluster[2,4,4g], rdd://host:port ...")
    add("--name", metavar="NAME", help="the name of the application")
    add("--conf", action="append", default=[], metavar="KEY=VALUE", help="a setting; may be given again")
    add("--properties-file", metavar="FILE", help="settings, one a line: key=value, or key value")
    add("--executor-memory", metavar="SIZE", help="memory of all workers of an executor, for instance 4g")
    add(
        "--py-files",
        metavar="FILES",
        help="modules and packages for driver and tasks: .py, .zip, directories; by commas",
    )
    add("--files", metavar="FILES", help="files for tasks, which find them by SparkFiles.get; by commas")
    add("--archives", metavar="FILES", help="archives to unpack for tasks, as file#directory; by commas")
    add("--pyspark", action="store_true", help="let `import pyspark` mean rddlite")


def _add_submit(parser: argparse.ArgumentParser) -> None:
    _add_settings(parser)
    add = parser.add_argument
    add("--dry-run", action="store_true", help="print each setting and where it comes from, and run nothing")
    add("-m", dest="module", nargs=argparse.REMAINDER, metavar="MODULE", help="run a module, with its arguments")
    add("script", nargs=argparse.REMAINDER, metavar="SCRIPT", help="run a script, with its arguments")


def _add_shell(parser: argparse.ArgumentParser) -> None:
    _add_settings(parser)
    parser.add_argument("--plain", action="store_true", help="Python's own prompt, also where IPython is installed")


def _add_executor(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--driver", required=True, metavar="tcp://HOST:PORT", type=_endpoint, help="where the driver listens")
    add("--key-file", required=True, metavar="FILE", help=_KEY_FILE)
    add("--slots", type=_positive, metavar="N", help="tasks to run at once; default: the cores this process may use")
    add("--memory", type=_size, metavar="SIZE", help="of all tasks together, for instance 4g; default: executor.memory")
    add("--host", metavar="NAME", help="what tasks and people call this host; default: its own name")
    add("--scratch-dir", metavar="DIR", help="where its files are; default: the directory for temporary files")


def _add_explain(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("log", metavar="LOG", help="the file: APPLICATION.jsonl, or .jsonl.inprogress of a driver that still runs")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--job", type=int, metavar="N", help="tell of this job alone")
    what.add_argument("--replay", action="store_true", help=_REPLAY)
    add("--check", action="store_true", help="with --replay: also check the scheduler's invariants after every batch")
    add("--json", action="store_true", help="as one JSON object, for programs")
    parser.set_defaults(refuse=parser.error)


def _endpoint(text: str) -> str:
    host, _, port = text.removeprefix("tcp://").rpartition(":")
    if not text.startswith("tcp://") or not host or not port.isdecimal() or not 0 < int(port) < 1 << 16:
        raise argparse.ArgumentTypeError(f"not the endpoint of a driver: {text!r}; write tcp://host:port")
    return text


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a number of 1 or more, not {text!r}")
    return int(text)


def _size(text: str) -> int:
    try:
        return parse_bytes(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
