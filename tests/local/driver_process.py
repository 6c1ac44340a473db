"""A driver as a process of its own, to be killed: starts an executor, keeps it busy, and says who is who.

`python -m tests.local.driver_process READY_FILE [fork]`: writes a line of JSON and sleeps. With `fork`, a child of the
driver stays behind, which holds every descriptor that the driver had.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

from tests.local import stub_tasks
from tests.local.mini_driver import MiniDriver


def main() -> None:
    ready = Path(sys.argv[1])
    driver = MiniDriver(slots=2)
    mark = ready.with_suffix(".started")
    driver.submit(stub_tasks.touch_and_refuse_to_stop, str(mark))
    child = driver.call(stub_tasks.start_child)
    driver.until_started(mark)
    (Path(driver.executor_scratch) / "shuffle" / "file").write_text("x")
    heir = 0
    if "fork" in sys.argv:
        heir = os.fork()
        if heir == 0:
            time.sleep(3600)
    facts = {
        "executor": driver.process.pid,
        "child": child,
        "heir": heir,
        "scratch": driver.scratch.path,
        "socket": driver.endpoint.removeprefix("ipc://"),
    }
    ready.with_suffix(".tmp").write_text(json.dumps(facts))
    ready.with_suffix(".tmp").rename(ready)
    time.sleep(3600)


if __name__ == "__main__":
    main()
