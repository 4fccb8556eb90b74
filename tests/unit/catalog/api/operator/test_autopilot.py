"""Autopilot's settings are kept, compared and validated; the one server is healthy."""

import msgspec
import pytest

from catalog.api.http.errors import BadRequestError, PermissionDeniedError
from catalog.api.operator.autopilot import AutopilotEndpoints, rfc3339
from tests.fakes.catalog_calls import make_call, open_api, powerless


async def test_settings_are_kept_with_compare_and_set() -> None:
    """A wrong `cas` changes nothing; what was read back may be sent again whole."""
    async with open_api() as api:
        autopilot = AutopilotEndpoints(api)
        assert (await autopilot.configure(make_call("PUT", "cas=1000", {"CleanupDeadServers": False}))).body == b"false"
        assert (await autopilot.configure(make_call("PUT", "", {"cleanupdeadservers": False}))).body == b"true"
        read = msgspec.json.decode((await autopilot.configuration(make_call())).body)
        assert read["CleanupDeadServers"] is False
        assert read["ServerStabilizationTime"] == "10s"
        cas = read["ModifyIndex"]
        again = {**read, "CleanupDeadServers": True}
        assert (await autopilot.configure(make_call("PUT", f"cas={cas}", again))).body == b"true"


@pytest.mark.parametrize(
    ("query", "body"),
    [("cas=x", {}), ("", {"Unknown": 1}), ("", {"LastContactThreshold": "soon"}), ("", {"MaxTrailingLogs": "x"})],
)
async def test_bad_settings_are_refused(query: str, body: object) -> None:
    """With 400 and the field."""
    async with open_api() as api:
        with pytest.raises(BadRequestError):
            await AutopilotEndpoints(api).configure(make_call("PUT", query, body))


async def test_reading_takes_operator_read() -> None:
    """Every path of the family asks."""
    async with open_api() as api:
        autopilot = AutopilotEndpoints(api)
        for handler in (autopilot.configuration, autopilot.configure, autopilot.health, autopilot.state):
            with pytest.raises(PermissionDeniedError):
                await handler(powerless(make_call()))


def test_moments_are_printed_as_go_prints_them() -> None:
    """RFC 3339 in UTC."""
    assert rfc3339(0) == "1970-01-01T00:00:00Z"
