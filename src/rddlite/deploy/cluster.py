"""Drivers whose executors speak over TCP: those that it starts on this host, and those that join it.

Loaded only where one is asked for: a driver of one host starts sooner without what encrypts, serves and fetches.
"""

from __future__ import annotations

import functools
import os
import sys
from contextlib import ExitStack

from rddlite.base.clock import SystemClock
from rddlite.base.config import Settings
from rddlite.deploy.capacity import require_room
from rddlite.deploy.fetching import ResultFetch
from rddlite.deploy.listen import JoiningProvider, KeyFile, join_command
from rddlite.deploy.local import Fleet, LocalProvider
from rddlite.deploy.masterurl import ClusterSpec
from rddlite.driver.broadcasts import Broadcasts
from rddlite.driver.reception import Home
from rddlite.driver.service import Driver, ListText
from rddlite.net.address import LOOPBACK, Place
from rddlite.net.auth import DriverKeys, create_keys
from rddlite.net.hub import Hub
from rddlite.net.inbox import Inbox
from rddlite.net.limits import require_descriptors
from rddlite.net.samehost import make_token
from rddlite.net.serve import BlockServer
from rddlite.storage.localdirs import Scratch

_PER_CHILD = 4
"""Descriptors for an executor of our own beside those of its workers, which come for broadcasts: its connection, its
stdin, one for its results and one to spare.
"""
_PER_MEMBER = 3
"""For an executor that joins: its connection, one for its results, and one for its workers: few come at once."""


def local_cluster(
    settings: Settings, spec: ClusterSpec, scratch: Scratch, list_text: ListText, undo: ExitStack
) -> Driver:
    """`local-cluster[n,c,m]`: executors of this host, each a host of its own."""
    require_room(spec, settings["master"])
    require_descriptors(spec.executors, _PER_CHILD + spec.slots, f"master {settings['master']!r}")
    inbox, keys = Inbox(), create_keys()
    undo.callback(inbox.close)
    hub = Hub(LOOPBACK, inbox, keys)
    undo.callback(hub.close)
    told = keys.for_executors().to_json()
    fleet = Fleet(
        spec.executors, spec.slots, hub.endpoint, settings["executor.restarts"], told, settings["executor.env"] or {}
    )
    provider = LocalProvider(fleet, scratch)
    broadcasts = Broadcasts(scratch.path, SystemClock())
    home = Home(_serve(broadcasts, LOOPBACK, keys, undo), scratch.path, "")
    return Driver(
        settings, spec.max_failures, hub, inbox, provider, spec.executors * spec.slots, list_text,
        n_executors=spec.executors, broadcasts=broadcasts, home=home, make_fetch=functools.partial(ResultFetch, keys),
    )  # fmt: skip


def listening(settings: Settings, spec: ClusterSpec, scratch: Scratch, list_text: ListText, undo: ExitStack) -> Driver:
    """`rdd://host:port`: executors that others start join when they like."""
    most = settings["cluster.maxExecutors"]
    require_descriptors(most, _PER_MEMBER, f"master {settings['master']!r} with cluster.maxExecutors {most}")
    inbox, keys = Inbox(), create_keys()
    undo.callback(inbox.close)
    hub = Hub(Place(spec.host, spec.port).endpoint, inbox, keys)
    undo.callback(hub.close)
    key_file = KeyFile(settings["auth.keyFile"] or os.path.join(scratch.path, "keys"), keys.for_executors())
    undo.callback(key_file.remove)
    broadcasts = Broadcasts(scratch.path, SystemClock())
    address = _serve(broadcasts, Place(spec.host, 0).endpoint, keys, undo)
    home = Home(address, scratch.path, make_token(scratch.path))
    command = join_command(hub.endpoint, key_file.path)
    print(f"rddlite listens at {hub.endpoint}; executors join with\n  {command}", file=sys.stderr, flush=True)
    provider = JoiningProvider(key_file, scratch, most, command)
    return Driver(
        settings, spec.max_failures, hub, inbox, provider, None, list_text,
        n_executors=0, broadcasts=broadcasts, home=home, make_fetch=functools.partial(ResultFetch, keys),
    )  # fmt: skip


def _serve(broadcasts: Broadcasts, endpoint: str, keys: DriverKeys, undo: ExitStack) -> str:
    """Have executors get broadcasts at an endpoint; the address that they are told."""
    server = BlockServer(endpoint, keys.driver, [keys.executors.public], broadcasts.find, broadcasts.answer)
    undo.callback(server.close)
    broadcasts.when_closed(server.close)
    return server.address
