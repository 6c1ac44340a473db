"""News of cached partitions between processes of one executor."""

from __future__ import annotations

import pytest

from rddlite.base.cached import Form, Kept, News


def test_news_comes_as_it_was_sent() -> None:
    news = News((Kept(1, 2, Form.FRAMES, 300, 0.5, 7, inode=9), Kept(1, 3, Form.LIVE, 10, 0.1, copies=2)), ((4, 5),))
    assert News.unpack(news.pack()) == news


@pytest.mark.parametrize(
    "data",
    [b"", b"[]", b"\xff", b"[[], 3]", b"[[[1, 2, 9, 1, 1, 1, 1, 0]], []]", b'[[["a", 2, 0, 1, 1, 1, 1, 0]], []]',
     b"[[[1, 2, 0, 1, 1, 1, true, 0]], []]",
     b"[[], [[1, 99999999999999999999]]]", b"[[[1, 2]], []]", b"[" * 100_000],
)  # fmt: skip
def test_what_user_code_wrote_is_no_news(data: bytes) -> None:
    with pytest.raises(ValueError, match="no news"):
        News.unpack(data)
