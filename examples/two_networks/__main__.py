"""`python -m examples.two_networks [--check]`: start the world; prove it and leave, or stay until Ctrl-C."""

import argparse
import shutil
import signal
import sys
import tempfile
from pathlib import Path

import httpx2
import trio

from examples.two_networks.proofs import PROOFS, ProofError
from examples.two_networks.world import (
    API,
    CATALOG_HTTP,
    DB,
    GATEWAY_ADMIN,
    NETWORKS,
    WORKLOADS,
    DemoError,
    World,
    start,
)


def tour(world: World) -> str:
    """What there is to look at, and five commands to try."""
    token = f"LINKSPAN_TOKEN_FILE={world.root}/catalog/operator.token"
    return f"""
A mesh of two networks is up: web in {NETWORKS[0].name} calls api and db in {NETWORKS[1].name} through the mesh gateways.

  catalog (Consul HTTP API)      http://{CATALOG_HTTP}/v1/catalog/services, with the operator's token
  api, as web reaches it         http://{API}/
  db, as web reaches it          tcp {DB}
  metrics of web's proxy         http://{WORKLOADS[0].admin}/metrics
  metrics of the east gateway    http://{GATEWAY_ADMIN[NETWORKS[1].name]}/metrics
  logs                           {world.root}/log/

Try:
  curl -s http://{API}/hello
  {token} .venv/bin/linkspan services
  {token} .venv/bin/linkspan intention create web api --deny --replace
  curl -s -o /dev/null -w '%{{http_code}}\\n' http://{API}/
  {token} .venv/bin/linkspan intention create web api --allow --replace

Ctrl-C stops everything.
"""


async def prove(world: World) -> int:
    """Run every proof; a line each and a closing line. Returns how many failed."""
    passed = failed = 0
    for proof in PROOFS:
        claim = (proof.__doc__ or proof.__name__).splitlines()[0].rstrip(".")
        try:
            evidence = await proof(world)
        except (ProofError, DemoError, httpx2.HTTPError, OSError, trio.BrokenResourceError) as error:
            failed += 1
            print(f"FAILED  {claim}: {error!r}", flush=True)
        else:
            passed += 1
            print(f"ok      {claim}: {evidence}", flush=True)
    print(f"{passed} passed, {failed} failed", flush=True)
    return failed


async def main(*, check: bool) -> int:
    """The exit code: 0 when all was as it should be."""
    world = World(Path(tempfile.mkdtemp(prefix="linkspan-demo-")))
    failed = 0
    async with trio.open_nursery() as nursery:

        async def stop_on_signal() -> None:
            with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
                async for _ in signals:
                    nursery.cancel_scope.cancel()
                    return

        nursery.start_soon(stop_on_signal)
        try:
            await start(world)
            if check:
                failed = await prove(world)
            else:
                print(tour(world), flush=True)
                await trio.sleep_forever()
        except DemoError as error:
            failed = 1
            print(
                f"the demo could not start: {error}\n0 passed, 1 failed", file=sys.stderr if not check else sys.stdout
            )
        finally:
            with trio.CancelScope(shield=True):
                await world.close()
            if not failed:
                shutil.rmtree(world.root, ignore_errors=True)
        nursery.cancel_scope.cancel()
    return 1 if failed else 0


def command() -> int:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--check", action="store_true", help="prove what the demo claims, print a line for each proof, and exit"
    )
    options = parser.parse_args()
    return trio.run(lambda: main(check=options.check))


if __name__ == "__main__":
    sys.exit(command())
