"""The API against its own description: whatever is sent, it answers, and 500 only with a text of Consul's, never its own fault."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings

from tests.lab.process import Daemon

LINKSPAN = Path(sys.executable).with_name("linkspan")
SLOWEST_S = 5.0
OWN_FAULT = "internal error"
STATUSES = {200, 307, 400, 401, 403, 404, 405, 408, 409, 410, 413, 415, 429, 500, 501, 503}
MANY = 90
SETTINGS = settings(
    max_examples=int(os.environ.get("LINKSPAN_FUZZ_EXAMPLES", "15")),
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)

# These end or change the process under test for good, or answer by streaming until the caller goes.
LEFT_OUT = r"^/v1/(agent/(leave|monitor|reload)|snapshot)$"


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """`linkspan dev`, empty; its address."""
    folder = tmp_path_factory.mktemp("dev")
    command = [LINKSPAN, "dev", "--node", "laptop", "--http-port", "0", "--mesh-port", "0", "--dns-port", "-1"]
    daemon = Daemon("linkspan dev", command, folder / "dev.log")
    try:
        said = daemon.wait_until(
            lambda: "API on http://" in (text := daemon.tail()) and text, "linkspan dev to serve", timeout_s=20
        )
        assert isinstance(said, str)
        yield f"http://{said.split('API on http://')[1].split(',')[0].strip()}"
        assert daemon.alive
        assert "Traceback" not in daemon.log.read_text()
    finally:
        daemon.stop()


def operations(api: str) -> Iterator[schemathesis.schemas.APIOperation]:
    """Every path and method of the API's own description."""
    schema = schemathesis.openapi.from_url(f"{api}/v1/openapi.json", wait_for_schema=5).exclude(path_regex=LEFT_OUT)
    for found in schema.get_all_operations():
        yield found.ok()


def check(case: schemathesis.Case) -> None:
    """One call: it is answered in time; a 500 has a text that is not our own fault's."""
    if case.query and "index" in case.query:
        case.query["wait"] = "10ms"  # what blocks is no hang
    response = case.call(timeout=SLOWEST_S)
    assert response.status_code in STATUSES, f"{response.status_code} {response.text[:200]}"
    if response.status_code == 500:
        assert OWN_FAULT not in response.text
        assert response.text.strip(), "a 500 says why"


@pytest.mark.slow
def test_every_call_is_answered_and_blamed_rightly(api: str) -> None:
    """No hang, no 500 of our own making, whatever stands in path, query and body."""
    failures = []
    count = 0
    for operation in operations(api):
        count += 1
        try:
            settings(SETTINGS)(given(operation.as_strategy())(check))()
        except Exception as error:  # noqa: BLE001 - each operation is judged; all that failed are told at the end
            failures.append(f"{operation.label}: {error!r:.600}")
    assert not failures, "\n".join(failures)
    assert count > MANY
