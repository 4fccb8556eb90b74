"""`make demo`, as a person runs it: with CHECK it proves everything, without it it stays and leaves nothing behind."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DEMO = [sys.executable, "-m", "examples.two_networks"]


def processes(marker: str) -> list[str]:
    """Command lines of living processes that hold `marker`."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if marker in line and str(os.getpid()) != path.parent.name:
            found.append(line)
    return found


@pytest.mark.slow
def test_the_demo_proves_what_it_claims() -> None:
    """Every proof passes within two minutes, a line each, and the last line counts them."""
    done = subprocess.run([*DEMO, "--check"], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert re.fullmatch(r"10 passed, 0 failed", lines[-1])
    assert len([line for line in lines if line.startswith("ok ")]) == 10


@pytest.mark.slow
def test_the_demo_stays_and_leaves_nothing_running() -> None:
    """It prints what to open and five commands to try, and Ctrl-C ends every process that it started."""
    demo = subprocess.Popen(DEMO, cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        assert demo.stdout is not None
        text = ""
        deadline = time.monotonic() + 60
        while "Ctrl-C" not in text and time.monotonic() < deadline:
            text += demo.stdout.readline()
        logs = re.search(r"logs\s+(\S+)/log/", text)
        assert logs is not None
        assert len(re.findall(r"^  (?:curl|\.venv|LINKSPAN)\S* ", text, flags=re.MULTILINE)) == 5
        commands = [line.strip() for line in text.partition("Try:")[2].splitlines() if line.startswith("  ")]
        for command in commands:
            done = subprocess.run(
                ["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, timeout=20, check=False
            )
            assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        assert len(processes(logs[1])) >= 8
    finally:
        demo.send_signal(signal.SIGINT)
        demo.communicate(timeout=60)
    assert demo.returncode == 0
    assert processes(logs[1]) == []
    assert not Path(logs[1]).exists()
