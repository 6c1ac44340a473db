"""Notebooks, run by a real kernel: what a cell shows, what interrupting it ends, what a restart leaves."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from tests.helpers.background import in_the_background
from tests.helpers.cluster import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "rdds.ipynb"
SECONDS = 120

pytestmark = [
    pytest.mark.local,
    # Of the kernel's own libraries, about the event loop that the tests run in.
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::RuntimeWarning", "ignore::ResourceWarning"),
]


def client_of(notebook: Any) -> NotebookClient:
    """Runs a notebook in a new kernel of this Python, however slow this machine is."""
    return NotebookClient(
        notebook, timeout=SECONDS, startup_timeout=SECONDS, iopub_timeout=SECONDS, kernel_name="python3"
    )


@pytest.fixture(autouse=True)
def own_surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing of the user's Jupyter: no kernels of other Pythons, no settings, no profile."""
    for name in ("JUPYTER_DATA_DIR", "JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR"):
        own = tmp_path / "jupyter" / name
        own.mkdir(parents=True)
        monkeypatch.setenv(name, str(own))
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "src"))


class Kernel:
    """A notebook to which cells are added, and the kernel that runs them."""

    def __init__(self) -> None:
        self._notebook = nbformat.v4.new_notebook()
        self.client = client_of(self._notebook)

    def run(self, source: str) -> list[Any]:
        """The outputs of a cell."""
        cell = nbformat.v4.new_code_cell(source)
        self._notebook.cells.append(cell)
        self.client.execute_cell(cell, len(self._notebook.cells) - 1)
        return list(cell.outputs)

    def value(self, expression: str) -> Any:
        """The value of an expression, by its text."""
        (output,) = (each for each in self.run(expression) if each["output_type"] == "execute_result")
        return eval(output["data"]["text/plain"])

    def text(self, source: str) -> str:
        """What a cell prints."""
        self.run(source)
        return self.text_so_far()

    def text_so_far(self) -> str:
        """What the last cell has printed."""
        return "".join(output.get("text", "") for output in self._notebook.cells[-1].outputs)


@pytest.fixture
def kernel() -> Iterator[Kernel]:
    """A kernel with a context."""
    kernel = Kernel()
    with kernel.client.setup_kernel():
        kernel.run("import os, threading, time\nfrom rddlite import Context\nsc = Context('local[3]')")
        yield kernel
        kernel.run("sc.stop()")


def test_progress_is_shown_in_the_cell(kernel: Kernel, tmp_path: Path) -> None:
    go_on = tmp_path / "go on"

    def watch() -> None:
        wait_until(lambda: "of 1: " in kernel.text_so_far(), "progress is shown")
        go_on.touch()

    with in_the_background(watch):
        text = kernel.text(
            f"def wait(_):\n    while not os.path.exists({str(go_on)!r}): time.sleep(0.01)\n"
            "_ = sc.range(3, numSlices=3).map(wait).collect()"
        )
    assert "job 0 collect" in text
    assert "of 1: " in text  # while it runs
    assert text.splitlines()[-1].startswith("job 0 collect at ")


def test_classes_and_functions_of_cells_travel_and_may_be_defined_again(kernel: Kernel) -> None:
    kernel.run("class Point:\n    def __init__(self, x): self.x = x\n\ndef value(point): return point.x")
    kernel.run("points = sc.range(4).map(Point)")
    assert kernel.value("points.map(value).collect()") == [0, 1, 2, 3]
    kernel.run("def value(point): return point.x * 10")
    assert kernel.value("points.map(value).collect()") == [0, 10, 20, 30]
    assert kernel.value("[type(point) is Point for point in points.collect()]") == [True] * 4


def test_interrupting_a_cell_cancels_its_job_and_no_other(kernel: Kernel, tmp_path: Path) -> None:
    started, go_on = tmp_path / "started", tmp_path / "go on"
    kernel.run(
        "other = []\n"
        "def wait(_):\n"
        f"    while not os.path.exists({str(go_on)!r}): time.sleep(0.01)\n"
        "    return 7\n"
        "thread = threading.Thread(target=lambda: other.extend(sc.range(1, numSlices=1).map(wait).collect()))\n"
        "thread.start()"
    )
    pid = kernel.value("os.getpid()")

    def interrupt() -> None:
        wait_until(started.exists, "the task that sleeps")
        os.kill(pid, signal.SIGINT)

    watcher = threading.Thread(target=interrupt)
    watcher.start()
    with pytest.raises(CellExecutionError, match="KeyboardInterrupt"):
        kernel.run(
            "def sleep(_):\n"
            f"    open({str(started)!r}, 'w').close()\n"
            "    time.sleep(600)\n"
            "sc.range(1, numSlices=1).map(sleep).collect()"
        )
    watcher.join()
    assert kernel.value("sc.range(5).sum()") == 10
    assert kernel.value("other, thread.is_alive()") == ([], True)
    go_on.touch()
    kernel.run("thread.join()")
    assert kernel.value("other") == [7]


def test_a_second_context_is_refused_with_the_way_out(kernel: Kernel) -> None:
    with pytest.raises(CellExecutionError, match=r"created at In.1.:3; stop\(\) it first, or use Context"):
        kernel.run("Context('local[2]')")
    assert kernel.value("Context.getOrCreate() is sc") is True


def test_a_kernel_that_ends_leaves_no_process() -> None:
    kernel = Kernel()
    with kernel.client.setup_kernel():
        kernel.run("import os\nfrom rddlite import Context\nsc = Context('local[2]')")
        (executor,) = kernel.value("[(each.pid, *each.workers) for each in sc.executors]")
        os.kill(kernel.value("os.getpid()"), signal.SIGKILL)  # what a restart does to a kernel that does not answer
        wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in executor), "the end of all processes")


def test_the_example_gives_what_it_shows() -> None:
    notebook = nbformat.read(EXAMPLE, as_version=4)
    shown = [_lasting(cell) for cell in notebook.cells]
    assert sum(map(bool, shown)) >= 5
    client_of(notebook).execute()
    assert [_lasting(cell) for cell in notebook.cells] == shown


def _lasting(cell: Any) -> list[str]:
    """A cell's output without what depends on the time it took."""
    outputs = cell.get("outputs", [])
    return [
        output.get("text", "") or output["data"]["text/plain"]
        for output in outputs
        if output.get("name") != "stderr" and "skip-output" not in cell.metadata.get("tags", [])
    ]
