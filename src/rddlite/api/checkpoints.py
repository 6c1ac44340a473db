"""Cutting lineage: checkpoints in files of a shared storage, and local ones that executors keep."""

from __future__ import annotations

from rddlite.api.handle import Handle, T_co
from rddlite.errors import UsageError
from rddlite.lineage.checkpoint import Checkpointed, LocallyCheckpointed


class Checkpoints(Handle[T_co]):
    """The mixin of `RDD` for cutting its lineage."""

    __slots__ = ()

    def checkpoint(self) -> None:
        """Save this RDD to files after the next job that needs it, and forget where it came from.

        The files are written by a second job, which computes the RDD again unless it is cached. They stay when the
        program ends.

        Raises:
            UsageError: if `setCheckpointDir` was not called, or the RDD is checkpointed already.

        >>> import tempfile; sc.setCheckpointDir(tempfile.mkdtemp())
        >>> rdd = sc.range(4).map(lambda x: x * x); rdd.checkpoint()
        >>> rdd.isCheckpointed(), rdd.collect(), rdd.isCheckpointed()
        (False, [0, 1, 4, 9], True)
        """
        self._context._check_usable()
        if self._context._checkpoint_dir is None:
            raise UsageError("checkpoint: there is no checkpoint directory: call setCheckpointDir() first")
        if not self.isCheckpointed():
            self._context._to_checkpoint(self, is_local=False)

    def localCheckpoint(self) -> None:
        """Have executors keep this RDD in files of their own after the next job that needs it, and forget where it came
        from: quicker than `checkpoint`, but a partition is lost with its executor, and the jobs that need it then fail.

        >>> rdd = sc.range(4).map(lambda x: x * x); rdd.localCheckpoint()
        >>> rdd.count(), rdd.isLocallyCheckpointed(), rdd.collect()
        (4, True, [0, 1, 4, 9])
        """
        self._context._check_usable()
        if not self.isCheckpointed():
            self._context._to_checkpoint(self, is_local=True)

    def isCheckpointed(self) -> bool:
        """Whether the lineage of this RDD was cut, one way or the other.

        >>> sc.range(3).isCheckpointed()
        False
        """
        return isinstance(self._node, (Checkpointed, LocallyCheckpointed))

    @property
    def is_checkpointed(self) -> bool:
        """The same as `isCheckpointed()`.

        >>> sc.range(3).is_checkpointed
        False
        """
        return self.isCheckpointed()

    def isLocallyCheckpointed(self) -> bool:
        """Whether this RDD is (to be) kept by executors, without its lineage.

        >>> sc.range(3).isLocallyCheckpointed()
        False
        """
        node = self._node
        return isinstance(node, LocallyCheckpointed) or (node.cached is not None and node.cached.must_stay)

    def getCheckpointFile(self) -> str | None:
        """The directory or URL of its files; None before they are there.

        >>> sc.range(3).getCheckpointFile() is None
        True
        """
        node = self._node
        return as_url(node.directory) if isinstance(node, Checkpointed) else None


def as_url(path: str) -> str:
    """A path as Spark shows it."""
    return f"file:{path}" if path.startswith("/") else path
