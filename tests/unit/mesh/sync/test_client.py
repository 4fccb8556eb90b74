"""The sync client: kept connections, several addresses, answers and their errors."""

import msgspec
import pytest
import trio
from trio.testing import MockClock

from mesh.sync.client import SyncClient
from mesh.sync.link.errors import BadAnswerError, RefusedError, UnreachableError, UnusableRequestError
from mesh.wire.sync import LEAF_PATH, SYNC_PATH, LeafResponse, SyncRequest, SyncResponse, Want
from tests.fakes.http_peer import Asked, MemoryDialler

REQUEST = SyncRequest((Want("roots", "v1"),), wait_s=5.0)


class Recorder:
    """Answers everything with `answer`, after `delay_s`, and keeps what was asked."""

    def __init__(self, status: int = 200, body: bytes = b'{"index":7}') -> None:
        self.answer = (status, body)
        self.asked: list[Asked] = []
        self.delay_s = 0.0

    async def __call__(self, asked: Asked) -> tuple[int, bytes]:
        self.asked.append(asked)
        await trio.sleep(self.delay_s)
        return self.answer


async def test_a_call_is_a_post_of_json_on_a_kept_connection(nursery: trio.Nursery):
    """Two calls, one connection; path, body and type are the protocol's."""
    recorder = Recorder()
    dialler = MemoryDialler(nursery, recorder)
    client = SyncClient([dialler])
    assert await client.call(REQUEST) == SyncResponse(7)
    assert await client.call(REQUEST) == SyncResponse(7)
    assert dialler.dialled == 1
    assert [(asked.method, asked.target) for asked in recorder.asked] == [("POST", SYNC_PATH)] * 2
    assert msgspec.json.decode(recorder.asked[0].body, type=SyncRequest) == REQUEST
    await client.aclose()


async def test_leaf(nursery: trio.Nursery):
    """A certificate request goes out, a leaf comes back."""
    response = LeafResponse("PEM", "spiffe://x/y", "1", 1.0, 2.0)
    recorder = Recorder(body=msgspec.json.encode(response))
    assert await SyncClient([MemoryDialler(nursery, recorder)]).leaf("CSR") == response
    assert recorder.asked[0].target == LEAF_PATH
    assert b"CSR" in recorder.asked[0].body


async def test_any_request_returns_whatever_status(nursery: trio.Nursery):
    """The forwarder's call passes method, path, headers and body, and gets the answer as it is."""
    recorder = Recorder(404, b"no such thing")
    answer = await SyncClient([MemoryDialler(nursery, recorder)]).request(
        "PUT", "/v1/x?dc=a", b"body", [("x-consul-token", "t")]
    )
    assert (answer.status, answer.body) == (404, b"no such thing")
    asked = recorder.asked[0]
    assert (asked.method, asked.target, asked.body, asked.headers["x-consul-token"]) == (
        "PUT",
        "/v1/x?dc=a",
        b"body",
        "t",
    )


async def test_a_refusal_carries_status_and_first_line(nursery: trio.Nursery):
    """403 is no outage: the text of the catalog reaches the operator, in one printable line."""
    client = SyncClient([MemoryDialler(nursery, Recorder(403, b"Permission denied: sync\x1b[31m\nmore"))])
    with pytest.raises(RefusedError) as caught:
        await client.call(REQUEST)
    assert (caught.value.status, str(caught.value)) == (403, "refused with 403: Permission denied: sync?[31m")


@pytest.mark.parametrize("body", [b"", b"[]", b'{"index":"x"}', b"\xff"])
async def test_an_answer_of_another_shape_is_bad(nursery: trio.Nursery, body: bytes):
    """What is no SyncResponse is the other side's fault and says so."""
    with pytest.raises(BadAnswerError, match="no SyncResponse"):
        await SyncClient([MemoryDialler(nursery, Recorder(body=body))]).call(REQUEST)


async def test_addresses_are_tried_in_turn_and_the_good_one_is_kept(nursery: trio.Nursery):
    """The first that answers is tried first the next time; when none does, the text names each."""
    first, second = (MemoryDialler(nursery, Recorder(), name) for name in ("one", "two"))
    client = SyncClient([first, second])
    first.up = False
    await client.call(REQUEST)
    await client.aclose()
    first.up = True
    await client.call(REQUEST)
    assert (first.dialled, second.dialled) == (0, 2)
    await client.aclose()
    first.up = second.up = False
    with pytest.raises(UnreachableError, match="two: connection refused; one: connection refused"):
        await client.call(REQUEST)


async def test_a_dead_kept_connection_is_replaced_unseen(nursery: trio.Nursery):
    """A kept connection that the server closed costs a new one, not an error."""
    recorder = Recorder()
    dialler = MemoryDialler(nursery, recorder, max_requests=1)
    client = SyncClient([dialler])
    await client.call(REQUEST)
    await trio.testing.wait_all_tasks_blocked()
    await client.call(REQUEST)
    assert dialler.dialled == 2


async def test_what_may_have_been_done_is_not_repeated(nursery: trio.Nursery):
    """A POST that was sent on a dead connection is not sent again unless its caller says that it may be."""
    dialler = MemoryDialler(nursery, Recorder(), max_requests=1)
    client = SyncClient([dialler])
    await client.request("POST", "/x")
    await trio.testing.wait_all_tasks_blocked()
    with pytest.raises(UnreachableError):
        await client.request("POST", "/x")
    assert dialler.dialled == 1


async def test_connections_of_an_older_identity_are_not_used_again(nursery: trio.Nursery):
    """After a rotation the next call opens a connection with the new certificate."""
    dialler = MemoryDialler(nursery, Recorder())
    client = SyncClient([dialler])
    await client.call(REQUEST)
    dialler.generation = 1
    await client.call(REQUEST)
    assert dialler.dialled == 2


async def test_a_call_ends_some_time_after_its_wait(nursery: trio.Nursery, autojump_clock: trio.testing.MockClock):
    """A long poll is given its wait and some slack, then it is unreachable."""
    recorder = Recorder()
    recorder.delay_s = 5.4
    client = SyncClient([MemoryDialler(nursery, recorder)])
    assert await client.call(REQUEST) == SyncResponse(7)
    recorder.delay_s = 1000
    began_s = autojump_clock.current_time()
    with pytest.raises(UnreachableError, match=r"no answer to POST /v1/linkspan/sync within 20\.5 s"):
        await client.call(REQUEST)
    assert autojump_clock.current_time() - began_s == pytest.approx(20.5)


async def test_calls_at_once_are_bounded(nursery: trio.Nursery, autojump_clock: trio.testing.MockClock):
    """More calls than connections wait for their turn; all are answered."""
    recorder = Recorder()
    recorder.delay_s = 1.0
    dialler = MemoryDialler(nursery, recorder)
    client = SyncClient([dialler], max_connections=2)
    async with trio.open_nursery() as calls:
        for _ in range(6):
            calls.start_soon(client.call, REQUEST)
    assert dialler.dialled == 2
    assert autojump_clock.current_time() == pytest.approx(3.0)


async def test_what_cannot_be_sent_is_the_callers_fault(nursery: trio.Nursery):
    """A line break in a path never reaches the wire."""
    with pytest.raises(UnusableRequestError):
        await SyncClient([MemoryDialler(nursery, Recorder())]).request("GET", "/a\r\nb: c")


def test_a_client_needs_an_address():
    """No address is a mistake of composition."""
    with pytest.raises(ValueError, match="at least one address"):
        SyncClient([])


class SilentDialler:
    """An address that swallows packets: a host without power, a firewall that drops."""

    name = host = "silent"
    generation = 0

    async def dial(self) -> trio.abc.Stream:
        await trio.sleep_forever()
        raise AssertionError


async def test_an_address_that_swallows_packets_costs_one_call(autojump_clock: MockClock, nursery: trio.Nursery):
    """A lease is renewed within seconds: the call after the one that hung goes another way."""
    del autojump_clock
    other = MemoryDialler(nursery, Recorder())
    client = SyncClient([SilentDialler(), other])
    with pytest.raises(UnreachableError):
        await client.request("PUT", "/lease", timeout_s=4)
    assert (await client.request("PUT", "/lease", timeout_s=4)).status == 200
    await client.aclose()


async def test_so_does_one_that_falls_silent_on_a_kept_connection(autojump_clock: MockClock, nursery: trio.Nursery):
    """The other side of a connection can be gone without a word."""
    del autojump_clock
    first, second = Recorder(), Recorder()
    client = SyncClient([MemoryDialler(nursery, first), MemoryDialler(nursery, second)])
    await client.request("PUT", "/lease", timeout_s=4)
    first.delay_s = 1e9
    with pytest.raises(UnreachableError):
        await client.request("PUT", "/lease", timeout_s=4)
    await client.request("PUT", "/lease", timeout_s=4)
    assert (len(first.asked), len(second.asked)) == (2, 1)
    await client.aclose()
