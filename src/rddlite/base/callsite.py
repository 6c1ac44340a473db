"""Which line of the user's program called the API: for stage names and error messages."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep


@dataclass(frozen=True, slots=True)
class CallSite:
    """A line of the user's program and the public method that it called."""

    method: str
    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.method} at {os.path.basename(self.file)}:{self.line}"


def call_site(method: str) -> CallSite:
    """The innermost frame outside the package, which called `method` of the public API."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame = frame.f_back
    return CallSite(method, _cell(frame.f_code.co_filename), frame.f_lineno)


def _cell(file: str) -> str:
    """What a notebook calls the cell that it compiled under this name, `In[3]`; any other file by its own name."""
    notebook = sys.modules.get("IPython")
    shell = notebook.get_ipython() if notebook is not None else None
    name_of = getattr(getattr(shell, "compile", None), "format_code_name", None)
    kind_and_label = name_of(file) if name_of is not None else None
    return kind_and_label[1] if kind_and_label else file
