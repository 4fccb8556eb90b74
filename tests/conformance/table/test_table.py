"""The table of docs/consul-compatibility.md against a running `linkspan dev`: nothing in it is only said."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import trio

from agents.vm.dev import DevSettings, run_dev
from catalog.api.app import routes
from tests.conformance.table.conventions import CONVENTIONS
from tests.conformance.table.document import PATH, ROWS, document
from tests.conformance.table.errors import REFUSALS, Refusal
from tests.conformance.table.row import Row, route_pattern
from tests.fakes.catalog_calls import open_api

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
async def dev(nursery: trio.Nursery) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of a dev process in this one."""
    stop = trio.Event()

    async def run(*, task_status: trio.TaskStatus[Any]) -> None:
        await run_dev(DevSettings(0, 0, "n1"), stop, task_status)

    running = await nursery.start(run)
    async with httpx2.AsyncClient(base_url=f"http://{running.http}", timeout=10, trust_env=False) as client:
        yield client
    stop.set()


async def test_every_served_row_has_its_route_and_method(dev: httpx2.AsyncClient) -> None:
    """OPTIONS names the methods of a path; a path that nobody serves is 404."""
    missing = []
    for row in (row for row in ROWS if row.verdict != "no"):
        answer = await dev.options(row.target)
        allowed = answer.headers.get("allow", "").split(",")
        if answer.status_code != 200 or row.method not in allowed:
            missing.append(f"{row.method} {row.path}: {answer.status_code} {allowed}")
    assert missing == []


async def test_every_refusal_has_its_status_and_text(dev: httpx2.AsyncClient) -> None:
    """As the row says, word for word."""
    wrong = []
    for row in ROWS:
        if row.verdict == "no":
            answer = await dev.request(row.method, row.target)
            if answer.status_code != row.status or row.text not in answer.text:
                wrong.append(f"{row.method} {row.path}: {answer.status_code} {answer.text[:80]}")
    assert wrong == []


async def test_every_parameter_that_is_claimed_is_read(dev: httpx2.AsyncClient) -> None:
    """What cannot be read is refused where the row names the parameter: so it is not ignored."""
    ignored = []
    for row in ROWS:
        named = {name.strip() for name in row.parameters.split(",")}
        if row.method == "GET" and row.verdict != "no":
            for name, value, status in BAD_VALUES:
                if name in named:
                    answer = await dev.get(row.target, params=dict(pair.split("=", 1) for pair in value.split("&")))
                    if answer.status_code not in status:
                        ignored.append(f"{row.path} {value}: {answer.status_code} {answer.text[:60]}")
    assert ignored == []


BAD_VALUES = (
    ("index", "index=x", (400,)),
    ("wait", "index=1&wait=x", (400,)),
    ("consistent", "consistent=&stale=", (400,)),
    ("filter", "filter===", (400, 500)),
)


async def test_every_route_has_its_row() -> None:
    """What is served and stands in no row would be a secret."""
    known: dict[str, set[str]] = {}
    for row in ROWS:
        known.setdefault(row.pattern, set()).add(row.method)
    async with open_api() as api:
        unsaid = []
        for route in routes(api):
            path: str = getattr(route, "path", "")
            for method in getattr(getattr(route, "app", None), "methods", ()):
                pattern = route_pattern(path)
                named = [methods for shape, methods in known.items() if shape == pattern or covers(pattern, shape)]
                if not any(method in methods for methods in named):
                    unsaid.append(f"{method} {path}")
    assert unsaid == []


def covers(pattern: str, shape: str) -> bool:
    """Whether a route with more places serves a row's path: `check/:/:` serves `check/pass/:`."""
    ours, theirs = pattern.split("/"), shape.split("/")
    return len(ours) == len(theirs) and all(a in {":", b} for a, b in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda one: f"{one.status} {one.request}")
async def test_every_error_text(dev: httpx2.AsyncClient, refusal: Refusal) -> None:
    """Brought about, not only said."""
    method, _, path = refusal.request.partition(" ")
    answer = (
        await dev.request(method, path, json=refusal.body)
        if refusal.body is not None
        else await dev.request(method, path)
    )
    assert (answer.status_code, refusal.text in answer.text) == (refusal.status, True), answer.text


def test_the_conventions_name_tests_that_exist() -> None:
    """A test that is renamed takes its row along."""
    assert [test for _, _, test in CONVENTIONS if not (ROOT / test.partition("::")[0]).is_file()] == []


def test_no_row_is_doubled() -> None:
    """One row a method of a path."""
    keys = [(row.method, row.pattern) for row in ROWS]
    assert len(keys) == len(set(keys))
    assert all(isinstance(row, Row) and row.kind in {"E", "U", "O", "L", "own"} for row in ROWS)


def test_the_page_is_the_one_that_the_rows_make() -> None:
    """`python -m tests.conformance.table.document` writes it."""
    assert PATH.read_text() == document()
