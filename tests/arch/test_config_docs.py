"""What the docs take from the source is up to date."""

from __future__ import annotations

import pytest

from rddlite.base.config import SETTINGS
from scripts import gen_docs


@pytest.mark.parametrize("name", gen_docs.PAGES)
def test_the_page_is_what_the_source_generates(name):
    written = (gen_docs.DOCS / name).read_text(encoding="utf-8")
    assert written == gen_docs.PAGES[name](), "run scripts/fix"


def test_the_check_finds_a_stale_page(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(gen_docs, "DOCS", tmp_path)
    monkeypatch.setattr("sys.argv", ["gen_docs.py"])
    assert gen_docs.main() == 0
    monkeypatch.setattr("sys.argv", ["gen_docs.py", "--check"])
    assert gen_docs.main() == 0
    page = tmp_path / "reference" / "configuration.md"
    page.write_text(page.read_text().replace("task.maxDeaths", "task.deaths"))
    assert gen_docs.main() == 1
    assert "configuration.md out of date" in capsys.readouterr().out


def test_every_setting_is_documented_in_one_sentence():
    assert [key for key, setting in SETTINGS.items() if not setting.doc.endswith(".") or "\n" in setting.doc] == []
