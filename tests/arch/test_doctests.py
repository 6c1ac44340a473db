"""The examples in docstrings say what happens. (Those for users need a context: they are run with the API's tests.)"""

from __future__ import annotations

import doctest
import importlib

import pytest

from tests.arch.source import PACKAGE, load

FOR_USERS = {"api", "shared"}
WITH_EXAMPLES = [name for name, module in load().items() if ">>>" in module.text and module.package not in FOR_USERS]


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_examples(name):
    module = importlib.import_module(f"{PACKAGE}.{name}" if name else PACKAGE)
    result = doctest.testmod(module, optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    assert result.failed == 0
