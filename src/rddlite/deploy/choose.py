"""From settings to a running driver: which transport and which provider a master URL means."""

from __future__ import annotations

import os
import secrets
import threading
from contextlib import ExitStack

from rddlite.base.clock import SystemClock
from rddlite.base.config import Settings
from rddlite.deploy.cores import usable_cores
from rddlite.deploy.local import LocalProvider
from rddlite.deploy.masterurl import ClusterSpec, parse_master
from rddlite.driver.service import Driver, ListText
from rddlite.net.hub import Hub
from rddlite.net.inbox import Inbox
from rddlite.storage.localdirs import Scratch, create


def start_driver(settings: Settings, list_text: ListText) -> Driver:
    """A driver with its executors, ready to run jobs.

    Raises:
        InvalidMaster: if the master URL cannot be read.
        ProviderError: if no executor can be started.
    """
    spec = parse_master(settings["master"], usable_cores())
    with ExitStack() as undo:  # also when Ctrl-C comes in between
        scratch = create(f"{os.getpid()}-{secrets.token_hex(4)}", settings["local.dir"])
        undo.callback(scratch.release)
        make = _inline if spec.is_inline else _local
        driver = make(settings, spec, scratch, list_text, undo)
        driver.start()
        undo.pop_all()
    return driver


def _inline(settings: Settings, spec: ClusterSpec, scratch: Scratch, list_text: ListText, undo: ExitStack) -> Driver:
    # Only inline execution needs what runs tasks in this process: everybody else starts a tenth of a second earlier.
    from rddlite.deploy.inline import InlineProvider, InlineTransport, InlineWorker

    inbox, changed, clock = Inbox(), threading.Condition(), SystemClock()
    transport = InlineTransport(inbox, changed, clock, settings["executor.heartbeat"])
    worker = InlineWorker(settings, transport, scratch, clock)
    provider = InlineProvider(transport, scratch)
    return Driver(
        settings, spec.max_failures, transport, inbox, provider, spec.slots, list_text,
        changed=changed, work=worker.run_until_done, clock=clock,
    )  # fmt: skip


def _local(settings: Settings, spec: ClusterSpec, scratch: Scratch, list_text: ListText, undo: ExitStack) -> Driver:
    inbox = Inbox()
    endpoint = f"ipc://{scratch.socket_path('driver')}"
    hub = Hub(endpoint, inbox)
    undo.callback(hub.close)
    provider = LocalProvider(settings, spec.slots, endpoint, scratch)
    return Driver(settings, spec.max_failures, hub, inbox, provider, spec.slots, list_text)
