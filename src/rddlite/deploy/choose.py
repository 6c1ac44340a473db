"""From settings to a running driver: which transport and which provider a master URL means."""

from __future__ import annotations

import threading

from rddlite.base.clock import SystemClock
from rddlite.base.config import Settings
from rddlite.deploy.cores import usable_cores
from rddlite.deploy.inline import InlineProvider, InlineTransport, InlineWorker
from rddlite.deploy.local import LocalProvider
from rddlite.deploy.masterurl import ClusterSpec, parse_master
from rddlite.driver.service import Driver
from rddlite.net.hub import Hub
from rddlite.net.inbox import Inbox
from rddlite.plan.resolve import ListText
from rddlite.schedule.core import SchedulerOptions
from rddlite.storage.localdirs import AppScratch, create_app_scratch, socket_dir


def start_driver(settings: Settings, list_text: ListText) -> Driver:
    """A driver with its executors, ready to run jobs.

    Raises:
        InvalidMaster: if the master URL cannot be read.
        ProviderError: if no executor can be started.
    """
    spec = parse_master(settings["master"], usable_cores())
    options = _options(settings, spec)
    scratch = create_app_scratch(settings["local.dir"])
    make = _inline if spec.is_inline else _local
    driver = make(settings, options, spec, scratch, list_text)
    driver.start()
    return driver


def _options(settings: Settings, spec: ClusterSpec) -> SchedulerOptions:
    return SchedulerOptions(
        max_failures=settings["task.maxFailures"] or spec.max_failures,
        max_deaths=settings["task.maxDeaths"],
        fail_fast=settings["task.failFast"],
        stage_max_attempts=settings["stage.maxAttempts"],
        launch_ahead=settings["scheduler.launchAhead"],
        silence=settings["executor.silence"],
        grace=settings["executor.grace"],
        check_invariants=settings["debug.checkInvariants"],
    )


def _inline(
    settings: Settings, options: SchedulerOptions, spec: ClusterSpec, scratch: AppScratch, list_text: ListText
) -> Driver:
    inbox, changed, clock = Inbox(), threading.Condition(), SystemClock()
    transport = InlineTransport(inbox, changed, clock, settings["executor.heartbeat"])
    worker = InlineWorker(settings, transport, scratch, clock)
    provider = InlineProvider(transport, scratch)
    return Driver(
        settings, options, transport, inbox, provider, spec.slots, list_text,
        changed=changed, work=worker.run_until_done, clock=clock,
    )  # fmt: skip


def _local(
    settings: Settings, options: SchedulerOptions, spec: ClusterSpec, scratch: AppScratch, list_text: ListText
) -> Driver:
    inbox = Inbox()
    endpoint = f"ipc://{socket_dir(scratch)}/driver"
    hub = Hub(endpoint, inbox)
    provider = LocalProvider(settings, spec.slots, endpoint, scratch)
    return Driver(settings, options, hub, inbox, provider, spec.slots, list_text)
