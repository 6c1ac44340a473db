"""The classes by which PySpark programs catch errors, as those that rddlite raises are subclasses of them.

Wrong arguments raise what Python programs expect (TypeError, ValueError ...), so a handler for PySpark's subclass of
such a class is given the class itself: it catches all that it would have caught there.
"""

from __future__ import annotations

import pickle

from rddlite.errors import RddliteError

PySparkException = RddliteError
PySparkAssertionError = AssertionError
PySparkAttributeError = AttributeError
PySparkImportError = ImportError
PySparkIndexError = IndexError
PySparkKeyError = KeyError
PySparkNotImplementedError = NotImplementedError
PySparkPicklingError = pickle.PicklingError
PySparkRuntimeError = RuntimeError
PySparkTypeError = TypeError
PySparkValueError = ValueError
