"""The applications of the demo: they know nothing of the mesh. `python -m examples.two_networks.apps http|tcp HOST:PORT NAME`."""

import json
import sys
import time
from functools import partial

import h11
import trio

ANSWER_LIMIT = 65536


async def serve_http(name: str, stream: trio.SocketStream) -> None:
    """Answer every request with who answered and what was asked; `/slow` takes 200 ms."""
    connection = h11.Connection(h11.SERVER)
    async with stream:
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                connection.receive_data(await stream.receive_some(ANSWER_LIMIT))
            elif isinstance(event, h11.Request):
                request = event
            elif isinstance(event, h11.EndOfMessage):
                if request.target == b"/slow":
                    await trio.sleep(0.2)
                headers = {key.decode(): value.decode() for key, value in request.headers}
                caller = headers.get("x-forwarded-client-cert", "")
                said = {
                    "instance": name,
                    "method": request.method.decode(),
                    "path": request.target.decode(),
                    "caller": caller,
                }
                body = json.dumps(said).encode()
                head = h11.Response(
                    status_code=200, headers=[("content-type", "application/json"), ("content-length", str(len(body)))]
                )
                out = connection.send(head) or b""
                out += connection.send(h11.Data(data=body)) or b""
                out += connection.send(h11.EndOfMessage()) or b""
                await stream.send_all(out)
                if connection.our_state is h11.MUST_CLOSE:
                    return
                connection.start_next_cycle()
            elif not isinstance(event, h11.Data):
                return


async def serve_tcp(name: str, stream: trio.SocketStream) -> None:
    """Greet, then send back whatever comes."""
    async with stream:
        await stream.send_all(f"hello from {name}\n".encode())
        async for data in stream:
            await stream.send_all(data)


async def main(kind: str, address: str, name: str) -> None:
    """Serve until killed."""
    handler = {"http": serve_http, "tcp": serve_tcp}[kind]

    async def one(stream: trio.SocketStream) -> None:
        try:
            await handler(name, stream)
        except (trio.BrokenResourceError, h11.RemoteProtocolError):
            return  # the caller went away

    host, port = address.rsplit(":", 1)
    print(f"{time.strftime('%X')} {name} serves {kind} on {address}", flush=True)
    await trio.serve_tcp(one, int(port), host=host)


if __name__ == "__main__":
    trio.run(partial(main, *sys.argv[1:4]))
