"""Keys are data: who wants them nowhere but in results can have that."""

from __future__ import annotations

from rddlite import Context


def test_keys_can_be_kept_out_of_summaries_and_the_event_log(tmp_path):
    told = {}
    for tells in (True, False):
        with Context("inline", conf={"shuffle.hotKeys": tells, "eventlog.dir": str(tmp_path / str(tells))}) as sc:
            sc.range(1000).map(lambda i: ("my key", i)).groupByKey(4).count()
            told[tells] = [each.key for stage in sc.jobs()[-1].stages for each in stage.hottest_keys]
    assert told == {True: ["'my key'"], False: []}
    assert ["my key" in next((tmp_path / str(tells)).iterdir()).read_text() for tells in (True, False)] == [True, False]
