"""The examples in docstrings say what happens. (Those of the API need a context: they are run with its tests.)"""

from __future__ import annotations

import doctest
import importlib

import pytest

from tests.arch.source import PACKAGE, load

WITH_EXAMPLES = [name for name, module in load().items() if ">>>" in module.text and module.package != "api"]


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_examples(name):
    module = importlib.import_module(f"{PACKAGE}.{name}" if name else PACKAGE)
    result = doctest.testmod(module, optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    assert result.failed == 0
