"""The checker of code blocks in the docs finds what is wrong. The blocks themselves are run by `scripts/docs`."""

from __future__ import annotations

import pytest

from scripts.run_doc_blocks import blocks_of, main, problem

GOOD = """\
# A page

```python
print(1 + 1)  # prints: 2
```

- in a list

  ```sh
  scripts/test -k shuffle
  ls
  ```

```text
anything
```
"""


@pytest.fixture
def page(tmp_path):
    return tmp_path / "page.md"


def test_good_blocks_pass(page):
    page.write_text(GOOD)
    blocks = blocks_of(page)
    assert [(block.mark, block.line) for block in blocks] == [("python", 3), ("sh", 9), ("text", 14)]
    assert [problem(block) for block in blocks] == [None, None, None]
    assert main([str(page)]) == 0


@pytest.mark.parametrize(
    ("block", "why"),
    [
        ("```python\n1 / 0\n```\n", "ZeroDivisionError"),
        ("```python\nimport sys; sys.stderr.write('oh')\n```\n", "oh"),
        ("```python\nprint(3)  # prints: 4\n```\n", "did not print '4'"),
        ("```sh\nscripts/nothing --at all\n```\n", "no such script"),
        ("```\nx\n```\n", "use one of"),
    ],
)
def test_a_planted_mistake_is_found(page, capsys, block, why):
    page.write_text(block)
    assert main([str(page)]) == 1
    assert why in capsys.readouterr().out
