"""From settings to a running driver: which transport and which provider a master URL means."""

from __future__ import annotations

import functools
import os
import secrets
import sys
import threading
from contextlib import ExitStack

from rddlite.base.clock import SystemClock
from rddlite.base.config import Settings
from rddlite.base.units import show_bytes
from rddlite.deploy.cores import usable_cores
from rddlite.deploy.fetching import ResultFetch
from rddlite.deploy.listen import JoiningProvider, KeyFile, join_command
from rddlite.deploy.local import Fleet, LocalProvider
from rddlite.deploy.masterurl import ClusterSpec, parse_master
from rddlite.driver.broadcasts import Broadcasts
from rddlite.driver.reception import Home
from rddlite.driver.service import Driver, ListText
from rddlite.errors import ConfigError
from rddlite.net.address import LOOPBACK, Place
from rddlite.net.auth import DriverKeys, create_keys
from rddlite.net.hub import Hub
from rddlite.net.inbox import Inbox
from rddlite.net.limits import require_descriptors
from rddlite.net.samehost import make_token
from rddlite.net.serve import BlockServer
from rddlite.storage.localdirs import Scratch, create

_PER_CHILD = 4
"""Descriptors for an executor of our own beside those of its workers, which come for broadcasts: its connection, its
stdin, one for its results and one to spare.
"""
_PER_MEMBER = 3
"""For an executor that joins: its connection, one for its results, and one for its workers: few come at once."""


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
    from rddlite.deploy.inline import InlineProvider, InlineTransport, InlineWorker, inline_broadcasts

    inbox, changed, clock = Inbox(), threading.Condition(), SystemClock()
    transport = InlineTransport(inbox, changed, clock, settings["executor.heartbeat"], inline_broadcasts(scratch))
    worker = InlineWorker(settings, transport, scratch, clock)
    provider = InlineProvider(transport, scratch)
    return Driver(
        settings, spec.max_failures, transport, inbox, provider, spec.slots, list_text,
        broadcasts=Broadcasts(scratch.path, clock), changed=changed, work=worker.run_until_done, clock=clock,
    )  # fmt: skip


def _local(settings: Settings, spec: ClusterSpec, scratch: Scratch, list_text: ListText, undo: ExitStack) -> Driver:
    inbox = Inbox()
    hub = Hub(f"ipc://{scratch.socket_path('driver')}", inbox)
    undo.callback(hub.close)
    provider = LocalProvider(Fleet(1, spec.slots, hub.endpoint, settings["executor.restarts"]), scratch)
    home = Home("", scratch.path, make_token(scratch.path))
    return Driver(
        settings, spec.max_failures, hub, inbox, provider, spec.slots, list_text,
        broadcasts=Broadcasts(scratch.path, SystemClock()), home=home,
    )  # fmt: skip


def _local_cluster(
    settings: Settings, spec: ClusterSpec, scratch: Scratch, list_text: ListText, undo: ExitStack
) -> Driver:
    require_descriptors(spec.executors, _PER_CHILD + spec.slots, f"master {settings['master']!r}")
    inbox, keys = Inbox(), create_keys()
    hub = Hub(LOOPBACK, inbox, keys)
    undo.callback(hub.close)
    told = keys.for_executors().to_json()
    fleet = Fleet(spec.executors, spec.slots, hub.endpoint, settings["executor.restarts"], told)
    provider = LocalProvider(fleet, scratch)
    broadcasts = Broadcasts(scratch.path, SystemClock())
    home = Home(_serve(broadcasts, LOOPBACK, keys, undo), scratch.path, "")
    return Driver(
        settings, spec.max_failures, hub, inbox, provider, spec.executors * spec.slots, list_text,
        n_executors=spec.executors, broadcasts=broadcasts, home=home, make_fetch=functools.partial(ResultFetch, keys),
    )  # fmt: skip


def _listen(settings: Settings, spec: ClusterSpec, scratch: Scratch, list_text: ListText, undo: ExitStack) -> Driver:
    most = settings["cluster.maxExecutors"]
    require_descriptors(most, _PER_MEMBER, f"master {settings['master']!r} with cluster.maxExecutors {most}")
    inbox, keys = Inbox(), create_keys()
    hub = Hub(Place(spec.host, spec.port).endpoint, inbox, keys)
    undo.callback(hub.close)
    key_file = KeyFile(settings["auth.keyFile"] or os.path.join(scratch.path, "keys"), keys.for_executors())
    undo.callback(key_file.remove)
    broadcasts = Broadcasts(scratch.path, SystemClock())
    address = _serve(broadcasts, Place(spec.host, 0).endpoint, keys, undo)
    home = Home(address, scratch.path, make_token(scratch.path))
    command = join_command(hub.endpoint, key_file.path)
    print(f"rddlite listens at {hub.endpoint}; executors join with\n  {command}", file=sys.stderr, flush=True)
    provider = JoiningProvider(key_file, scratch, most)
    return Driver(
        settings, spec.max_failures, hub, inbox, provider, None, list_text,
        n_executors=0, broadcasts=broadcasts, home=home, make_fetch=functools.partial(ResultFetch, keys),
        join_command=command,
    )  # fmt: skip


def _serve(broadcasts: Broadcasts, endpoint: str, keys: DriverKeys, undo: ExitStack) -> str:
    """Have executors get broadcasts at an endpoint; the address that they are told."""
    server = BlockServer(endpoint, keys.driver, [keys.executors.public], broadcasts.find, broadcasts.answer)
    undo.callback(server.close)
    broadcasts.when_closed(server.close)
    return server.address


_MAKERS = {"inline": _inline, "local": _local, "local-cluster": _local_cluster, "listen": _listen}
