"""Job groups, descriptions and other properties of the calling thread, and cancelling by them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from rddlite.api.session import DESCRIPTION, GROUP, TAGS, Session, split_tags

_INTERRUPT = "spark.job.interruptOnCancel"


class JobControl(Session):
    """The mixin of `Context` for what a thread says about its jobs. A new thread starts without properties."""

    def setLocalProperty(self, key: str, value: Any) -> None:
        """Set a property of this thread's jobs; None removes it. `spark.scheduler.pool` is the pool whose share of the
        executors they use, where `scheduler.mode` is FAIR.

        >>> sc.setLocalProperty("purpose", "demo"); sc.getLocalProperty("purpose")
        'demo'
        >>> sc.setLocalProperty("purpose", None)
        """
        if value is None:
            self._properties.values.pop(key, None)
        else:
            self._properties.values[key] = str(value)

    def getLocalProperty(self, key: str) -> str | None:
        """A property of this thread's jobs, or None.

        >>> sc.getLocalProperty("never set") is None
        True
        """
        return self._properties.values.get(key)

    def setJobGroup(self, groupId: str, description: str, interruptOnCancel: bool = False) -> None:
        """Put the jobs that this thread starts from now on into a group, by which they can be cancelled together.

        Args:
            groupId: the name of the group.
            description: what the jobs do, for people.
            interruptOnCancel: accepted for PySpark's sake; running tasks are always interrupted.

        >>> sc.setJobGroup("nightly", "the nightly count")
        >>> sc.getLocalProperty("spark.jobGroup.id")
        'nightly'
        >>> sc.setLocalProperty("spark.jobGroup.id", None); sc.setJobDescription(None)
        """
        self.setLocalProperty(GROUP, groupId)
        self.setLocalProperty(DESCRIPTION, description)
        self.setLocalProperty(_INTERRUPT, str(bool(interruptOnCancel)).lower())

    @contextlib.contextmanager
    def jobGroup(self, groupId: str, description: str | None = None, interruptOnCancel: bool = False) -> Iterator[None]:
        """Within the `with` block, this thread's jobs are in this group; afterwards in the one of before.

        >>> with sc.jobGroup("nightly", "the nightly count"):
        ...     sc.getLocalProperty("spark.jobGroup.id"), sc.range(3).count()
        ('nightly', 3)
        >>> sc.getLocalProperty("spark.jobGroup.id") is None
        True
        """
        before = {key: self.getLocalProperty(key) for key in (GROUP, DESCRIPTION, _INTERRUPT)}
        self.setLocalProperty(GROUP, groupId)
        self.setLocalProperty(DESCRIPTION, description)
        self.setLocalProperty(_INTERRUPT, str(bool(interruptOnCancel)).lower())
        try:
            yield
        finally:
            for key, value in before.items():
                self.setLocalProperty(key, value)

    def setJobDescription(self, value: str | None) -> None:
        """Say what the jobs of this thread do, for people; None removes it.

        >>> sc.setJobDescription("counting")
        >>> sc.setJobDescription(None)
        """
        self.setLocalProperty(DESCRIPTION, value)

    def setInterruptOnCancel(self, interruptOnCancel: bool) -> None:
        """Accepted for PySpark's sake: running tasks are always interrupted when their job is cancelled.

        >>> sc.setInterruptOnCancel(True)
        >>> sc.setLocalProperty("spark.job.interruptOnCancel", None)
        """
        self.setLocalProperty(_INTERRUPT, str(bool(interruptOnCancel)).lower())

    def addJobTag(self, tag: str) -> None:
        """Give the jobs that this thread starts from now on a tag, by which they can be cancelled.

        Raises:
            TypeError, ValueError: for a tag that is no text, is empty or has a comma in it.

        >>> sc.addJobTag("nightly"); sc.getJobTags()
        {'nightly'}
        >>> sc.clearJobTags()
        """
        tags = self.getJobTags() | {_checked(tag, "addJobTag")}
        self.setLocalProperty(TAGS, ",".join(sorted(tags)))

    def removeJobTag(self, tag: str) -> None:
        """Do not give the jobs of this thread this tag any more.

        Raises:
            TypeError, ValueError: for a tag that is no text, is empty or has a comma in it.

        >>> sc.addJobTag("nightly"); sc.removeJobTag("nightly"); sc.getJobTags()
        set()
        """
        tags = self.getJobTags() - {_checked(tag, "removeJobTag")}
        self.setLocalProperty(TAGS, ",".join(sorted(tags)) or None)

    def getJobTags(self) -> set[str]:
        """The tags of the jobs that this thread starts.

        >>> sc.getJobTags()
        set()
        """
        return set(split_tags(self._properties.values))

    def clearJobTags(self) -> None:
        """Give the jobs of this thread no tags any more.

        >>> sc.clearJobTags()
        """
        self.setLocalProperty(TAGS, None)

    def cancelJobsWithTag(self, tag: str) -> None:
        """Cancel the running jobs with this tag: they raise `JobCancelled` in the threads that wait for them.

        Raises:
            TypeError, ValueError: for a tag that is no text, is empty or has a comma in it.

        >>> sc.cancelJobsWithTag("nightly")
        """
        wanted = _checked(tag, "cancelJobsWithTag")
        driver = self._live_driver()
        for job, tags in list(self._running.items()):
            if wanted in tags:
                driver.cancel_job(job, f"jobs with the tag {wanted} were cancelled")

    def cancelJobGroup(self, groupId: str) -> None:
        """Cancel the running jobs of a group: they raise `JobCancelled` in the threads that wait for them.

        >>> sc.cancelJobGroup("nightly")
        """
        self._live_driver().cancel_group(groupId, f"job group {groupId} was cancelled")

    def cancelAllJobs(self) -> None:
        """Cancel all running jobs: they raise `JobCancelled` in the threads that wait for them.

        >>> sc.cancelAllJobs()
        """
        self._live_driver().cancel_group(None, "all jobs were cancelled")


def _checked(tag: Any, method: str) -> str:
    if not isinstance(tag, str):
        raise TypeError(f"{method}: tag must be a str, not {type(tag).__qualname__}")
    if not tag or "," in tag:
        raise ValueError(f"{method}: a tag must not be empty or have a comma in it, unlike {tag!r}")
    return tag
