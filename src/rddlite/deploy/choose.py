"""From settings to a running driver: which transport and which provider a master URL means."""

from __future__ import annotations

import os
import secrets
import threading
from contextlib import ExitStack

from rddlite.base.clock import SystemClock
from rddlite.base.config import Settings
from rddlite.base.units import show_bytes
from rddlite.deploy.cores import usable_cores
from rddlite.deploy.local import Fleet, LocalProvider
from rddlite.deploy.masterurl import ClusterSpec, parse_master
from rddlite.driver.broadcasts import Broadcasts
from rddlite.driver.reception import Home
from rddlite.driver.service import Driver, ListText
from rddlite.errors import ConfigError
from rddlite.net.hub import Hub
from rddlite.net.inbox import Inbox
from rddlite.net.samehost import make_token
from rddlite.storage.localdirs import Scratch, create


def start_driver(settings: Settings, list_text: ListText) -> Driver:
    """A driver with its executors, ready to run jobs.

    Raises:
        InvalidMaster: if the master URL cannot be read.
        ConfigError: if settings and master URL contradict each other.
        ProviderError: if no executor can be started.
    """
    spec = parse_master(settings["master"], usable_cores())
    settings = _with_memory(settings, spec)
    with ExitStack() as undo:  # also when Ctrl-C comes in between
        scratch = create(f"{os.getpid()}-{secrets.token_hex(4)}", settings["local.dir"])
        undo.callback(scratch.release)
        make = _MAKERS[spec.kind]
        driver = make(settings, spec, scratch, list_text, undo)
        driver.start()
        undo.pop_all()
    return driver


def _with_memory(settings: Settings, spec: ClusterSpec) -> Settings:
    """The settings, where a master URL that names the memory of executors decides it."""
    if spec.memory is None:
        return settings
    given = settings["executor.memory"]
    if given not in (None, spec.memory):
        raise ConfigError(
            f"executor.memory is {show_bytes(given)}, but master {settings['master']!r} says "
            f"{show_bytes(spec.memory)}: leave executor.memory out"
        )
    return Settings({**settings.given, "executor.memory": spec.memory})


def _inline(settings: Settings, spec: ClusterSpec, scratch: Scratch, list_text: ListText, undo: ExitStack) -> Driver:
    # Only inline execution needs what runs tasks in this process: everybody else starts a tenth of a second earlier.
    from rddlite.deploy.inline import InlineProvider, InlineTransport, InlineWorker, inline_blocks, inline_broadcasts

    inbox, changed, clock = Inbox(), threading.Condition(), SystemClock()
    transport = InlineTransport(
        inbox,
        changed,
        clock,
        settings["executor.heartbeat"],
        scratch.path,
        inline_broadcasts(scratch),
        inline_blocks(scratch, settings),
    )
    worker = InlineWorker(settings, transport, scratch, clock)
    provider = InlineProvider(transport, scratch)
    return Driver(
        settings, spec.max_failures, transport, inbox, provider, spec.slots, list_text,
        broadcasts=Broadcasts(scratch.path, clock, are_served=False), changed=changed,
        work=worker.run_until_done, clock=clock,
    )  # fmt: skip


def _local(settings: Settings, spec: ClusterSpec, scratch: Scratch, list_text: ListText, undo: ExitStack) -> Driver:
    inbox = Inbox()
    undo.callback(inbox.close)
    hub = Hub(f"ipc://{scratch.socket_path('driver')}", inbox)
    undo.callback(hub.close)
    variables = settings["executor.env"] or {}
    fleet = Fleet(1, spec.slots, hub.endpoint, settings["executor.restarts"], variables=variables)
    provider = LocalProvider(fleet, scratch)
    home = Home("", scratch.path, make_token(scratch.path))
    return Driver(
        settings, spec.max_failures, hub, inbox, provider, spec.slots, list_text,
        broadcasts=Broadcasts(scratch.path, SystemClock(), are_served=False), home=home,
    )  # fmt: skip


def _local_cluster(
    settings: Settings, spec: ClusterSpec, scratch: Scratch, list_text: ListText, undo: ExitStack
) -> Driver:
    from rddlite.deploy.cluster import local_cluster

    return local_cluster(settings, spec, scratch, list_text, undo)


def _listen(settings: Settings, spec: ClusterSpec, scratch: Scratch, list_text: ListText, undo: ExitStack) -> Driver:
    from rddlite.deploy.cluster import listening

    return listening(settings, spec, scratch, list_text, undo)


_MAKERS = {"inline": _inline, "local": _local, "local-cluster": _local_cluster, "listen": _listen}
