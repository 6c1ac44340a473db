"""Keys are placed alike by processes with any seed, and as PySpark places them, on every Python that is here."""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[2] / "src"

# Runs under the interpreter and seed of the process under test; prints its Python's answers as JSON.
SCRIPT = r"""
import dataclasses, enum, ipaddress, json, random, sys, uuid
from collections import namedtuple
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from rddlite.serde.hashing import is_certain, place, seeded_for_placement, stable_hash, stable_hashes

Point = namedtuple("Point", "x y")

class Colour(enum.Enum):
    RED = 1
    GREEN = "g"

class Level(enum.IntEnum):
    LOW = 1

class Perm(enum.Flag):
    R = 1
    W = 2

@dataclasses.dataclass(frozen=True)
class Inner:
    name: str
    at: object = None

@dataclasses.dataclass(frozen=True)
class Outer:
    inner: Inner
    tags: frozenset = frozenset()

class Sub(str):
    pass

class Own:
    def __init__(self, *values):
        self.values = values
    def __eq__(self, other):
        return self.values == other.values
    def __hash__(self):
        return hash((type(self), self.values)) ^ 5

def portable_hash(x):
    if x is None:
        return 0
    if isinstance(x, tuple):
        h = 0x345678
        for i in x:
            h ^= portable_hash(i)
            h *= 1000003
            h &= sys.maxsize
        h ^= len(x)
        return -2 if h == -1 else h
    return hash(x)

r = random.Random(SEED)

def text():
    ranges = [(32, 127), (32, 256), (32, 0xD7FF), (0x10000, 0x10FFFF), (0xD800, 0xE000)]
    low, high = r.choice(ranges)
    return "".join(chr(r.randrange(low, high)) for _ in range(r.choice([0, 1, 2, 7, 8, 9, 16, 33])))

def zone():
    return r.choice([None, timezone.utc, timezone(timedelta(hours=r.randrange(-12, 13), minutes=30))])

def moment():
    return datetime(r.randrange(2, 9999), r.randrange(1, 13), r.randrange(1, 28), r.randrange(24), r.randrange(60),
                    r.randrange(60), r.randrange(10**6), zone(), fold=r.randrange(2))

ATOMS = [
    text, text, lambda: text().encode("utf-8", "surrogatepass"), lambda: r.randrange(-10**20, 10**20),
    lambda: r.randrange(-3, 3), lambda: r.uniform(-1e300, 1e300), lambda: float(r.randrange(-5, 5)),
    lambda: complex(r.random(), r.randrange(3)), lambda: r.random() < .5, lambda: Decimal(r.randrange(10**9)) / 7,
    lambda: Fraction(r.randrange(10**9), r.randrange(1, 10**9)), lambda: r.choice([Colour.RED, Colour.GREEN]),
    lambda: Level.LOW, lambda: Perm.R, moment, lambda: moment().date(), lambda: moment().timetz(),
    lambda: timedelta(r.randrange(-9999, 9999), r.randrange(86400), r.randrange(10**6)),
    lambda: uuid.UUID(int=r.getrandbits(128)), lambda: Sub(text()),
    lambda: range(r.randrange(9), r.randrange(20, 90), r.randrange(1, 9)),
    lambda: ipaddress.IPv4Address(r.getrandbits(32)), lambda: ipaddress.IPv4Network((r.getrandbits(8) << 24, 8)),
    lambda: ipaddress.IPv6Network((r.getrandbits(32) << 96, 32)),
    lambda: ipaddress.IPv4Interface((r.getrandbits(32), 8)),
]

def key(depth=0):
    if depth > 3 or r.random() < .6:
        return r.choice(ATOMS)()
    return r.choice([
        lambda: tuple(key(depth + 1) for _ in range(r.randrange(4))),
        lambda: Point(key(depth + 1), key(depth + 1)),
        lambda: frozenset(key(depth + 1) for _ in range(r.randrange(4))),
        lambda: Inner(text(), key(depth + 1)),
        lambda: Outer(Inner(text(), key(depth + 1)), frozenset([text(), text()])),
    ])()

keys = [key() for _ in range(3000)]
nan = float("nan")
# Where `hash` is an address: equal everywhere by decree, not by PySpark. Users' own classes: equal where the seed is 0.
decreed = [nan, (1, nan), complex(nan, 1), Decimal("nan"), frozenset([None, nan]), Inner("a"), Inner("a", (None, nan)),
           Outer(Inner("b"), frozenset([None])), ipaddress.IPv6Address("fe80::1"), range(0), range(3, 4), None,
           (None, "a", None)]
own = [Own("a", 1), Own("a", None), (1, Own(nan)), frozenset([Own("x")])]
print(json.dumps({
    "seeded": seeded_for_placement(),
    "hashes": [stable_hash(k) for k in keys],
    "batch": stable_hashes(keys),
    "placed": place(keys, 97),
    "portable": [portable_hash(k) for k in keys],
    "certain": all(is_certain(k) for k in keys + decreed),
    "decreed": [stable_hash(k) for k in decreed],
    "own": [stable_hash(k) for k in own],
    "own_certain": [is_certain(k) for k in own],
}))
"""


def interpreters() -> list[str]:
    """This Python, and what pyenv has of the supported ones: one of each minor version."""
    found = {sys.version_info[:2]: sys.executable}
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    for minor in range(10, 15):
        installed = sorted(root.glob(f"3.{minor}.*/bin/python")) or [shutil.which(f"python3.{minor}")]
        if installed[0] is not None:
            found.setdefault((3, minor), str(installed[0]))
    return [path for _, path in sorted(found.items())]


@functools.cache
def runs(python: str) -> bool:
    """Whether it does: a shim of pyenv's may be all that is there of a Python."""
    return subprocess.run([python, "-c", "import ctypes, json, uuid"], capture_output=True, check=False).returncode == 0


@functools.cache
def answers(python: str, hash_seed: str) -> dict:
    if not runs(python):
        pytest.skip(f"{python} does not run")
    environment = {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(SOURCE), "PATH": os.environ["PATH"]}
    done = subprocess.run(
        [python, "-c", SCRIPT.replace("SEED", "20240229", 1)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


pythons = pytest.mark.parametrize("python", interpreters(), ids=lambda path: "-".join(Path(path).parts[-3:]))


@pythons
def test_the_seed_is_found_out(python: str) -> None:
    assert answers(python, "0")["seeded"]
    assert not answers(python, "random")["seeded"]
    assert not answers(python, "17")["seeded"]


@pythons
def test_equal_to_pyspark_under_its_seed(python: str) -> None:
    seeded = answers(python, "0")
    assert seeded["hashes"] == seeded["portable"]


@pythons
@pytest.mark.parametrize("hash_seed", ["random", "17"])
def test_computed_as_seeded_processes_have_it(python: str, hash_seed: str) -> None:
    seeded, other = answers(python, "0"), answers(python, hash_seed)
    assert other["hashes"] == seeded["hashes"]
    assert other["decreed"] == seeded["decreed"]
    assert other["certain"]
    assert other["own_certain"] == [False] * 4


@pythons
@pytest.mark.parametrize("hash_seed", ["0", "random"])
def test_batches_equal_single_keys(python: str, hash_seed: str) -> None:
    one = answers(python, hash_seed)
    assert one["batch"] == one["hashes"]
    assert one["placed"] == [value % 97 for value in one["hashes"]]


@pythons
def test_no_address_enters(python: str) -> None:
    first = answers(python, "0")
    answers.cache_clear()
    second = answers(python, "0")
    assert first == second
    assert all(second["own_certain"])
