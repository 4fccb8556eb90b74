"""`/v1/agent/check*`: every kind of check, its bounds, and the beats of TTL checks."""

from typing import Any

import httpx2
import pytest
import trio


async def register(api: httpx2.AsyncClient, **body: Any) -> httpx2.Response:
    return await api.put("/v1/agent/check/register", json=body)


async def checks(api: httpx2.AsyncClient) -> dict[str, Any]:
    found: dict[str, Any] = (await api.get("/v1/agent/checks")).json()
    return found


@pytest.mark.parametrize(
    ("kind", "body", "definition"),
    [
        ("ttl", {"TTL": "30s"}, {"TTL": "30s"}),
        ("script", {"Args": ["/bin/true"], "Interval": "10s"}, {"ScriptArgs": ["/bin/true"], "Timeout": "30s"}),
        (
            "http",
            {
                "HTTP": "https://127.0.0.1:1/h", "Method": "post", "Header": {"X": ["a", "b"]}, "Body": "q",
                "DisableRedirects": True, "TLSServerName": "n", "TLSSkipVerify": True, "Interval": "10s",
            },
            {
                "HTTP": "https://127.0.0.1:1/h", "Method": "POST", "Header": {"X": ["a", "b"]}, "Body": "q",
                "DisableRedirects": True, "TLSServerName": "n", "TLSSkipVerify": True, "Timeout": "10s",
            },
        ),
        ("tcp", {"TCP": "127.0.0.1:1", "TCPUseTLS": True, "Interval": "10s"}, {"TCP": "127.0.0.1:1", "TCPUseTLS": True}),
        ("udp", {"UDP": "127.0.0.1:1", "Interval": "10s"}, {"UDP": "127.0.0.1:1"}),
        ("grpc", {"GRPC": "127.0.0.1:1/s", "GRPCUseTLS": True, "Interval": "10s"}, {"GRPC": "127.0.0.1:1/s"}),
        ("h2ping", {"H2PING": "127.0.0.1:1", "H2PingUseTLS": False, "Interval": "10s"}, {"H2PingUseTLS": False}),
        ("os_service", {"OSService": "ssh", "Interval": "10s"}, {"OSService": "ssh"}),
        ("alias", {"AliasService": "db"}, {"AliasService": "db"}),
        ("alias", {"AliasNode": "n2", "AliasService": "db"}, {"AliasNode": "n2"}),
    ],
)  # fmt: skip
async def test_each_kind(kind: str, body: dict[str, Any], definition: dict[str, Any], api: httpx2.AsyncClient) -> None:
    """It is told by its type; its definition is shown with Consul's keys; it starts critical."""
    answer = await register(api, Name="c", Notes="n", **body)
    assert (answer.status_code, answer.content) == (200, b"")
    shown = (await checks(api))["c"]
    assert (shown["Type"], shown["Notes"], shown["Node"]) == (kind, "n", "n1")
    assert shown["Status"] == "critical" or "AliasNode" in body
    assert definition.items() <= shown["Definition"].items()
    held = (await api.get("/v1/health/node/n1")).json()
    assert ("c", kind) in {(one["CheckID"], one["Type"]) for one in held}


async def test_bounds_and_thresholds(api: httpx2.AsyncClient) -> None:
    """An interval is at least a second, deregistration at least a minute away."""
    await register(
        api, ID="id", Name="c", TCP="127.0.0.1:1", Interval="100ms", Timeout="2s", Status="passing",
        SuccessBeforePassing=3, FailuresBeforeWarning=1, FailuresBeforeCritical=2, DeregisterCriticalServiceAfter="1s",
    )  # fmt: skip
    shown = (await checks(api))["id"]
    assert (shown["Interval"], shown["Timeout"]) == ("1s", "2s")
    assert shown["Definition"] == {
        "TCP": "127.0.0.1:1", "Interval": "1s", "Timeout": "2s", "SuccessBeforePassing": 3, "FailuresBeforeWarning": 1,
        "FailuresBeforeCritical": 2, "DeregisterCriticalServiceAfter": "1m0s",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        ({"TTL": "1s"}, 400, "Missing check name"),
        ({"Name": "c", "CheckID": "x", "TTL": "1s"}, 400, 'json: unknown field "CheckID"'),
        ({"Name": "c"}, 400, "exactly one of"),
        ({"Name": "c", "TTL": "1s", "TCP": "h:1", "Interval": "1s"}, 400, "exactly one of"),
        ({"Name": "c", "DockerContainerID": "d", "Args": ["x"], "Interval": "1s"}, 400, "docker checks are not run"),
        ({"Name": "c", "TTL": "1s", "ServiceID": "nope"}, 404, 'Unknown service ID "nope"'),
        ({"Name": "c", "ID": "serfHealth", "TTL": "1s"}, 400, "belongs to the agent"),
        ({"Name": "c", "TTL": "1s", "OutputMaxSize": 0}, 400, "output_max_size"),
    ],
)
async def test_what_is_refused(body: dict[str, Any], status: int, text: str, api: httpx2.AsyncClient) -> None:
    """And nothing is registered."""
    answer = await register(api, **body)
    assert answer.status_code == status
    assert text in answer.text
    assert await checks(api) == {}


async def test_the_beats_of_a_ttl_check(api: httpx2.AsyncClient) -> None:
    """pass, warn, fail with a note; update with any state; each seen by the catalog as soon as it is answered."""
    await register(api, Name="c", TTL="30s")
    for verb, status in (("pass", "passing"), ("warn", "warning"), ("fail", "critical")):
        assert (await api.put(f"/v1/agent/check/{verb}/c", params={"note": f"why {verb}"})).status_code == 200
        shown = (await checks(api))["c"]
        assert (shown["Status"], shown["Output"]) == (status, f"why {verb}")
        held = (await api.get(f"/v1/health/state/{status}", params={"filter": 'CheckID == "c"'})).json()
        assert [one["Output"] for one in held] == [f"why {verb}"]
    update = await api.put("/v1/agent/check/update/c", json={"Status": "passing", "Output": "x" * 5000})
    assert update.status_code == 200
    assert (await checks(api))["c"]["Output"] == "x" * 4096
    bad = await api.put("/v1/agent/check/update/c", json={"Status": "maybe"})
    assert (bad.status_code, "Invalid check status" in bad.text) == (400, True)


async def test_a_beat_for_a_check_that_is_run(api: httpx2.AsyncClient) -> None:
    """It has no TTL to renew."""
    await register(api, Name="c", TCP="127.0.0.1:1", Interval="10s")
    answer = await api.put("/v1/agent/check/pass/c")
    assert (answer.status_code, "does not have associated TTL" in answer.text) == (400, True)


async def test_a_ttl_of_100_ms_lapses_on_time(api: httpx2.AsyncClient) -> None:
    """Not before, and at once when it has."""
    await register(api, Name="c", TTL="100ms")
    began_s = trio.current_time()
    await api.put("/v1/agent/check/pass/c?note=fine")
    said_s = trio.current_time()
    with trio.fail_after(2):
        while (await checks(api))["c"]["Status"] == "passing":
            await trio.lowlevel.checkpoint()
    now_s = trio.current_time()
    assert now_s - began_s >= 0.1
    assert now_s - said_s < 0.5
    assert (await checks(api))["c"]["Output"] == "TTL expired (last output before timeout follows): fine"


async def test_an_alias_of_another_nodes_service(api: httpx2.AsyncClient) -> None:
    """It follows the catalog."""
    node: dict[str, Any] = {"Node": "n2", "Address": "192.0.2.2", "Service": {"Service": "db"}}
    check = {"CheckID": "c", "Name": "c", "ServiceID": "db"}
    await api.put("/v1/catalog/register", json={**node, "Check": {**check, "Status": "passing"}})
    await register(api, Name="a", AliasNode="n2", AliasService="db")
    for status in ("passing", "warning", "critical"):
        await api.put("/v1/catalog/register", json={**node, "Check": {**check, "Status": status}})
        with trio.fail_after(5):
            while (await checks(api))["a"]["Status"] != status:
                await trio.lowlevel.checkpoint()


async def test_a_script_runs(api: httpx2.AsyncClient) -> None:
    """Its exit code decides; its output is kept."""
    await register(api, Name="c", Args=["/bin/sh", "-c", "echo hello; exit 1"], Interval="1s")
    with trio.fail_after(5):
        while (await checks(api))["c"]["Status"] != "warning":
            await trio.lowlevel.checkpoint()
    assert (await checks(api))["c"]["Output"] == "hello\n"
