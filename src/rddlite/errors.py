"""Every exception that rddlite raises on purpose.

    RddliteError
    ├── UsageError (ValueError)          the program asks for something that cannot be
    │   ├── NotPicklable (TypeError)     a function, record or result cannot travel to another process
    │   ├── NestedRDD (RuntimeError)     an RDD or the context is used inside a task
    │   ├── DriverOnly (RuntimeError)    a task asks for what exists on the driver only
    │   ├── BroadcastDestroyed (RuntimeError)   a broadcast is used after its destroy()
    │   ├── UnhashableKey (TypeError)    a key cannot be placed: unhashable, or hashed by its address
    │   ├── ConfigError                  an unknown setting or a value of the wrong form
    │   ├── InvalidMaster                a master URL that cannot be read
    │   ├── ContextStopped (RuntimeError)   the context was stopped, or belongs to the parent of a forked process
    │   ├── ContextRunning (RuntimeError)   a second context in one process
    │   ├── ExtraMissing (ImportError)   needs a package that is not installed; the text names the extra
    │   ├── ProfilingOff (RuntimeError)  profiles are asked for, and none were made
    │   ├── UnknownFilesystem            a URL whose protocol nothing handles
    │   ├── UnsupportedBarrier           what cannot be part of a barrier stage
    │   └── Unsupported (NotImplementedError)   asks for a JVM, Hadoop classes or SQL
    │       └── NotInRddlite (AttributeError)   the same, by an attribute: hasattr() says that it is not there
    ├── JobError (RuntimeError)          a job ended without its result
    │   ├── JobFailed                    a task failed for good; the user's exception is the cause
    │   ├── JobCancelled                 cancelled by the user
    │   ├── ResultTooLarge (MemoryError) more than driver.maxResultSize
    │   ├── OutOfMemory (MemoryError)   a task passed its worker's memory limit
    │   ├── WorkerCrashed                the process that ran the task ended by itself
    │   ├── StopIterationInTask          a user's function raised StopIteration itself
    │   ├── BarrierBroken                tasks of a barrier stage cannot meet
    │   └── RemoteError                  stands in for an exception that cannot be rebuilt here
    ├── ClusterError (RuntimeError)      the processes that should run tasks are not there
    │   ├── NoExecutors
    │   ├── VersionMismatch
    │   ├── AuthRefused
    │   ├── ProviderError
    │   └── BroadcastUnavailable (ConnectionError)   nobody who has a broadcast could be reached
    ├── DataError (OSError)              bytes that are missing, unreadable, damaged or in the way
    │   ├── PathNotFound (FileNotFoundError)
    │   ├── PathUnreadable (PermissionError)
    │   ├── OutputExists (FileExistsError)
    │   ├── CorruptInput
    │   ├── CorruptBlock
    │   ├── CheckpointLost               a local checkpoint whose executor is gone
    │   ├── DiskFull
    │   └── CommitConflict
    └── InternalError (RuntimeError)     a bug in rddlite: please report it with its text
        ├── IllegalTransition
        ├── LocalProtocolError
        └── RemoteProtocolError

Fields carry the facts; `str(error)` says what happened and what to do next.
"""

from __future__ import annotations

import pickle


class RddliteError(Exception):
    """Root of all errors that rddlite raises on purpose."""


class UsageError(RddliteError, ValueError):
    """The program asks for something that cannot be."""


class NotPicklable(UsageError, TypeError, pickle.PicklingError):
    """A function, record or result cannot be pickled; the text names the path to the culprit."""


class NestedRDD(UsageError, RuntimeError):
    """An RDD or the context was captured by a function that runs inside tasks."""


class DriverOnly(UsageError, RuntimeError):
    """A task asked for what exists on the driver only: the value of an accumulator, the end of a broadcast."""


class BroadcastDestroyed(UsageError, RuntimeError):
    """A broadcast was used after `destroy()`."""


class UnhashableKey(UsageError, TypeError):
    """A key that has no hash, or whose hash is its address and so differs between processes."""


class ConfigError(UsageError):
    """A setting that does not exist, or a value that cannot be read."""


class InvalidMaster(UsageError):
    """A master URL that cannot be read."""


class ContextStopped(UsageError, RuntimeError):
    """The context was stopped, or this process was forked from the one that owns it."""


class ContextRunning(UsageError, RuntimeError):
    """One context is already active in this process."""


class ExtraMissing(UsageError, ImportError):
    """Needs a package that is not installed with rddlite itself; the text names the extra that brings it."""


class ProfilingOff(UsageError, RuntimeError):
    """Profiles are asked for, and no setting said that tasks are to be profiled."""


class UnknownFilesystem(UsageError):
    """No file system is known for the protocol of a URL."""


class UnsupportedBarrier(UsageError):
    """What would be in the same stage as `barrier()` cannot be: it has another number of partitions, or its own."""


class Unsupported(UsageError, NotImplementedError):
    """Needs a JVM, Hadoop classes or SQL; the text names the alternative."""


class NotInRddlite(Unsupported, AttributeError):
    """The same, by an attribute: `hasattr` says that it is not there."""


class JobError(RddliteError, RuntimeError):
    """A job ended without its result."""


class JobFailed(JobError):
    """A task failed for good. `__cause__` is the user's exception, as far as it could be rebuilt.

    Attributes: `job_id`, `stage` (label), `partition`, `attempt` (0 for the first), `host`, `executor`,
    `record` (short repr or None), `operation` (e.g. `map(parse) at job.py:12`), `remote_traceback` (all frames).
    """

    def __init__(
        self,
        message: str,
        *,
        job_id: int | None = None,
        stage: str | None = None,
        partition: int | None = None,
        attempt: int | None = None,
        host: str | None = None,
        executor: str | None = None,
        record: str | None = None,
        operation: str | None = None,
        remote_traceback: str | None = None,
    ) -> None:
        super().__init__(message)
        self.job_id = job_id
        self.stage = stage
        self.partition = partition
        self.attempt = attempt
        self.host = host
        self.executor = executor
        self.record = record
        self.operation = operation
        self.remote_traceback = remote_traceback


class JobCancelled(JobError):
    """The job was cancelled by the user (Ctrl-C, cancelJobGroup, stop)."""


class ResultTooLarge(JobError, MemoryError):
    """The results of a job are larger than `driver.maxResultSize`."""

    ADVICE = (
        "reduce them in tasks, save them to files, take them one partition at a time with toLocalIterator(), or raise "
        "the limit (0 means none)"
    )


class OutOfMemory(JobError, MemoryError):
    """A task passed the memory limit of its worker: the cause of a `JobFailed`.

    Attributes: `limit`, `peak` in bytes.
    """

    def __init__(self, message: str, *, limit: int = 0, peak: int = 0) -> None:
        super().__init__(message)
        self.limit = limit
        self.peak = peak


class WorkerCrashed(JobError):
    """The worker process that ran a task ended by itself: the cause of a `JobFailed`.

    Attributes: `exit_code`, `signal` (name or None).
    """

    def __init__(self, message: str, *, exit_code: int | None = None, signal: str | None = None) -> None:
        super().__init__(message)
        self.exit_code = exit_code
        self.signal = signal


class StopIterationInTask(JobError):
    """A user's function raised StopIteration itself, which would end the data silently."""


class BarrierBroken(JobError):
    """Tasks of a barrier stage cannot meet: one has ended or called something else, or time was over."""


class RemoteError(JobError):
    """Stands in for an exception of a task that cannot be rebuilt in this process."""


class ClusterError(RddliteError, RuntimeError):
    """The processes that should run tasks are not there, or not usable."""


class NoExecutors(ClusterError):
    """Every executor is gone and none came back within the grace period."""


class VersionMismatch(ClusterError):
    """Driver and executor run different versions of Python, rddlite or cloudpickle."""


class AuthRefused(ClusterError):
    """A peer was not allowed to join."""


class ProviderError(ClusterError):
    """Executors could not be started."""


class BroadcastUnavailable(ClusterError, ConnectionError):
    """Nobody who has the value of a broadcast could be reached: another attempt of the task may do better."""


class DataError(RddliteError, OSError):
    """Bytes that are missing, unreadable, damaged or in the way."""


class PathNotFound(DataError, FileNotFoundError):
    """An input path does not exist, or a pattern matches nothing."""


class PathUnreadable(DataError, PermissionError):
    """An input path exists but may not be read."""


class OutputExists(DataError, FileExistsError):
    """The output directory is already there."""


class CorruptInput(DataError):
    """An input file is damaged (for instance a truncated archive)."""


class CorruptBlock(DataError):
    """A frame of rddlite's own files does not match its checksum or header."""


class CheckpointLost(DataError):
    """A partition of a local checkpoint is gone with its executor, and nothing can compute it again: its lineage was
    cut. Start again from the sources, or use `checkpoint()`, which keeps its data in files of a shared storage.
    """


class DiskFull(DataError):
    """No space is left in the scratch directories or at the output."""


class CommitConflict(DataError):
    """Output could not be published because somebody else changed the place meanwhile."""


class InternalError(RddliteError, RuntimeError):
    """A bug in rddlite."""


class IllegalTransition(InternalError):
    """A state machine was asked for a move that its table does not have; the text tells the object's story."""


class LocalProtocolError(InternalError):
    """This process tried to send a message that the protocol does not allow."""


class RemoteProtocolError(InternalError):
    """A peer sent something that is not a valid message."""
