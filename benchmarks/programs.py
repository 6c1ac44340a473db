"""The workloads as a user of RDDs writes them, for rddlite and PySpark alike: names and meanings are the same.

Each takes a context and what `workloads.prepare` made of its size, and returns its answer.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from benchmarks import functions as f
from benchmarks.functions import add

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from benchmarks.workloads import Files
    from rddlite import Context


def wordcount(sc: Context, path: Path) -> list[tuple[str, int]]:
    """Every word of the file with its count."""
    return sc.textFile(str(path)).flatMap(f.words).map(f.pair).reduceByKey(add).collect()


def reduce_by_key(sc: Context, size: int) -> int:
    """Sum of a function of each key and the sum of its values."""
    return sc.range(size).map(f.keyed).reduceByKey(add).map(f.weigh).sum()


def group_by_key(sc: Context, size: int) -> int:
    """Sum of a function of each key and the median of its values."""
    return sc.range(size).map(f.keyed).groupByKey().mapValues(f.middle).map(f.weigh).sum()


def group_texts(sc: Context, size: int) -> int:
    """Groups of texts, several times as large as memory."""
    return sc.range(size).map(f.described).groupByKey().mapValues(f.largest).map(f.weigh_text).sum()


def sort(sc: Context, files: Files) -> Path:
    """The lines of a file by their first ten characters, as text files."""
    sc.textFile(str(files.source)).sortBy(f.sort_key).saveAsTextFile(str(files.target))
    return files.target


def join(sc: Context, size: int) -> int:
    """Sum of a function of each joined record."""
    numbers = sc.range(size)
    return numbers.map(f.left).join(numbers.map(f.right)).map(f.score).sum()


def skewed_join(sc: Context, size: int) -> int:
    """The same where half of one side has one key."""
    other = sc.range(max(1, size // 8)).map(f.skewed_right)
    return sc.range(size).map(f.skewed_left).join(other).map(f.score).sum()


def broadcast_join(sc: Context, size: int) -> int:
    """Each record looked up in a table that every worker has."""
    table = sc.broadcast(f.lookup_table())
    return sc.range(size).map(f.keyed).map(partial(f.enrich, table)).sum()


def page_rank(sc: Context, size: int) -> int:
    """Ranks of pages after some rounds over `size` links, summed up."""
    links = sc.range(size).map(partial(f.edge, max(1, size // f.LINKS_A_PAGE))).groupByKey().cache()
    ranks = links.mapValues(f.first_rank)
    for _ in range(f.RANK_ROUNDS):
        ranks = links.join(ranks).flatMap(f.contributions).reduceByKey(add).mapValues(f.damp)
    return ranks.map(f.weigh).sum()


def k_means(sc: Context, size: int) -> list[f.Point]:
    """Centres of clusters after some rounds over the same points."""
    points = sc.range(size).map(f.point).cache()
    centres = f.CENTRES
    for _ in range(f.CLUSTER_ROUNDS):
        totals = points.map(partial(f.assign, centres)).reduceByKey(f.add_totals).collectAsMap()
        centres = f.moved(centres, totals)
    return centres


def narrow(sc: Context, size: int) -> int:
    """Sum over a chain of map, filter and map."""
    return sc.range(size).map(f.shift).filter(f.is_wanted).map(f.double).sum()


def numpy_blocks(sc: Context, size: int) -> list[tuple[int, int]]:
    """Blocks of numbers, changed in place and sent to another partition, round after round."""
    from benchmarks import blocks as b

    n_blocks, length = b.lengths(size)
    blocks = sc.range(n_blocks).map(partial(b.block, length))
    for _ in range(b.BLOCK_ROUNDS):
        blocks = blocks.map(b.age).partitionBy(sc.defaultParallelism)
    return blocks.map(b.checksum).collect()


def mix(sc: Context, size: int) -> tuple[int, int, f.Stats, int]:
    """Four operations, one after another."""
    numbers, fewer = sc.range(size), sc.range(size // 4)
    n_distinct = numbers.map(f.scattered).distinct().count()
    by_kind = numbers.map(f.kind).countByKey()
    stats = numbers.treeAggregate(f.FIRST_STATS, f.observe, f.merge_stats)
    grouped = fewer.map(f.third).cogroup(fewer.map(f.right)).map(f.score_groups).sum()
    return n_distinct, sum(map(f.weigh, by_kind.items())), stats, grouped


def sample(sc: Context, size: int) -> int:
    """Sum over a tenth of the numbers."""
    return sc.range(size).sample(False, f.SAMPLED, f.SAMPLE_SEED).map(f.shift).sum()


def zip_with_index(sc: Context, size: int) -> int:
    """Sum of a function of each record and its number."""
    return sc.range(size).map(f.keyed).zipWithIndex().map(f.placed).sum()


def map_batches(sc: Context, size: int) -> int:
    """Sum over what a function makes of a thousand numbers at a time (of a batch of them, in PySpark)."""
    numbers = sc.range(size).map(f.shift)
    return numbers.mapBatches(f.halves, f.BATCH_SIZE).sum()


def accumulators(sc: Context, size: int) -> int:
    """What a function adds up on the side."""
    seen = sc.accumulator(0)
    sc.range(size).foreach(partial(f.note, seen))
    return seen.value


def sketch(sc: Context, size: int) -> bool:
    """Whether the estimate of how many values there are is near enough."""
    estimate = sc.range(size).map(f.jumping).countApproxDistinct()
    return f.is_near(estimate, size)


PROGRAMS: dict[str, Callable[[Context, Any], Any]] = {
    "wordcount": wordcount,
    "reduceByKey": reduce_by_key,
    "groupByKey": group_by_key,
    "sort": sort,
    "join": join,
    "broadcastJoin": broadcast_join,
    "skewedJoin": skewed_join,
    "pageRank": page_rank,
    "kMeans": k_means,
    "narrow": narrow,
    "numpyBlocks": numpy_blocks,
    "mix": mix,
    "sample": sample,
    "zipWithIndex": zip_with_index,
    "mapBatches": map_batches,
    "accumulators": accumulators,
    "sketch": sketch,
    "groupByKey4x": group_texts,
    "sort4x": sort,
}
