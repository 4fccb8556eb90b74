"""Every command in our documents: run as a reader would, or, where it needs more than this machine, checked word by word."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import click
import pytest

from mesh.cli import main as linkspan
from tests.documents.blocks import SHELL, Block, DocumentError, commands_of, documents, read_blocks
from tests.documents.words import inner_commands, read_commands

ROOT = Path(__file__).resolve().parents[2]
TIMEOUT_S = 120
FOREIGN = frozenset({
    "apt-get", "cat", "cd", "cp", "curl", "dig", "echo", "export", "grep", "install", "journalctl", "kill", "kubectl", "mkdir", "pip", "python3",
    "rm", "set", "sleep", "sudo", "systemctl", "systemd-sysusers", "systemd-tmpfiles", "test", "wait",
})  # fmt: skip
"""Other people's programs that a document may use; `linkspan`, `make` and `helm` are looked into."""
_SPAN = re.compile(r"`(linkspan [^`]+)`")
_UNIT = re.compile(r"linkspan-[a-z]+@?")

# A network of its own, so that the ports in the text are free, and processes that end with the shell that started them.
NAMESPACE = ["unshare", "--net", "--pid", "--fork", "--kill-child"]
LOOPBACK_UP = (
    "import fcntl,os,socket,struct,sys;s=socket.socket();"
    "fcntl.ioctl(s,0x8914,struct.pack('16sh',b'lo',1));os.execvp('bash',['bash','-eu',sys.argv[1]])"
)


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def shell_blocks(path: Path) -> list[Block]:
    return [block for block in read_blocks(name_of(path), path.read_text()) if block.language in SHELL]


DOCUMENTS = documents(ROOT)
RUN_HERE = [path for path in DOCUMENTS if any(block.mark == "here" for block in shell_blocks(path))]


def namespace() -> list[str]:
    """The command that gives a process a network of its own; skips where the kernel lets ordinary users have none."""
    command = NAMESPACE if os.geteuid() == 0 else [*NAMESPACE, "--map-root-user"]
    if (
        shutil.which("unshare") is None
        or subprocess.run([*command, "true"], capture_output=True, check=False).returncode
    ):
        pytest.skip("this machine gives us no network namespace: sysctl kernel.unprivileged_userns_clone=1")
    return command


@pytest.mark.slow
@pytest.mark.parametrize("path", RUN_HERE, ids=name_of)
def test_what_is_said_to_run_here_runs(path: Path, tmp_path: Path) -> None:
    """All blocks of a document in their order, in one shell; it stops at the first command that fails."""
    script = tmp_path / "script.sh"
    blocks = [block for block in shell_blocks(path) if block.mark == "here"]
    script.write_text("".join(f"echo '## line {block.line}'\n{commands_of(block)}" for block in blocks))
    home = tmp_path / "here"
    home.mkdir()
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("LINKSPAN_", "CONSUL_"))}
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    command = [*namespace(), sys.executable, "-c", LOOPBACK_UP, str(script)]
    with (tmp_path / "said").open("wb") as said:
        shell = subprocess.Popen(command, cwd=home, env=environment, stdin=subprocess.DEVNULL, stdout=said, stderr=said)
        try:
            status: int | str = shell.wait(TIMEOUT_S)
        except subprocess.TimeoutExpired:
            status = f"no end within {TIMEOUT_S} s"
        finally:
            shell.kill()
            shell.wait()
    logs = [f"\n== {log.name}\n{log.read_text()[-1500:]}" for log in [tmp_path / "said", *sorted(home.glob("*.log"))]]
    assert status == 0, f"{name_of(path)}: {status}{''.join(logs)}"


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_every_command_is_one_that_there_is(path: Path) -> None:
    """Every shell block is marked, and is shell; its programs exist, and ours take the flags that are given."""
    for block in shell_blocks(path):
        where = f"{name_of(path)}:{block.line}"
        text = commands_of(block)
        parsed = subprocess.run(["bash", "-n"], input=text, capture_output=True, text=True, check=False)
        assert not parsed.stderr, f"{where}: {parsed.stderr}"
        for piece in (text, *inner_commands(text)):
            for words in read_commands(piece):
                check_command(words, where, whole=True)


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_our_commands_in_running_text_are_ones_that_there_are(path: Path) -> None:
    """`linkspan ...` between backticks: command and flags exist; it may be shortened, so that arguments may be missing."""
    text = re.sub(r"^```.*?^```", "", path.read_text(), flags=re.DOTALL | re.MULTILINE)
    for span in _SPAN.findall(text.replace("\n", " ")):
        for words in read_commands(span):
            check_command(words, f"{name_of(path)}: `{span}`", whole=False)


def check_command(words: list[str], where: str, *, whole: bool) -> None:
    """Judge one command by its program."""
    program = words[0].rpartition("/")[2]
    if program == "linkspan":
        check_linkspan(words[1:], where, whole=whole)
    elif program == "make":
        targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        assert {target for target in words[1:] if "=" not in target} <= set(targets), f"{where}: {words}"
    elif program == "helm":
        check_helm(words, where)
    else:
        assert program in FOREIGN, f"{where}: is there a program {program!r}? If so, name it in {Path(__file__).name}"
    if program == "kubectl" and "--" in words:
        check_command(words[words.index("--") + 1 :], where, whole=whole)
    if program == "systemctl":
        units = {unit.name.partition(".")[0] for unit in (ROOT / "systemd").glob("*.service")}
        assert {unit for word in words for unit in _UNIT.findall(word)} <= units, f"{where}: {words}"


def check_linkspan(words: list[str], where: str, *, whole: bool) -> None:
    """Click's own parser takes the words; `...` stands for what a text leaves out."""
    command: click.Command = linkspan
    context = click.Context(command, info_name="linkspan")
    words = [word for word in words if whole or word != "..."]
    while isinstance(command, click.Group) and words:
        found = command.get_command(context, words[0])
        assert found is not None, f"{where}: there is no `{context.command_path} {words[0]}`"
        command, words = found, words[1:]
        context = click.Context(command, parent=context, info_name=command.name)
    if isinstance(command, click.Group) and whole:
        raise AssertionError(f"{where}: `{context.command_path}` needs a command")
    try:
        given, rest, _ = command.make_parser(context).parse_args(list(words))
    except click.UsageError as error:
        if whole or isinstance(error, click.NoSuchOption):
            raise AssertionError(f"{where}: `{context.command_path}`: {error.format_message()}") from error
        return
    missing = [
        str(param.name) for param in command.params if param.required and not is_given(given.get(str(param.name)))
    ]
    assert not rest, f"{where}: `{context.command_path}` takes no {rest}"
    assert not (whole and missing), f"{where}: `{context.command_path}` needs {missing}"


def is_given(value: object) -> bool:
    """Whether click's parser found a value; some versions say so with None, some with a mark of theirs."""
    return value is not None and str(value) != "Sentinel.UNSET"


def check_helm(words: list[str], where: str) -> None:
    """The chart that is named exists, and has every value that is set."""
    import yaml

    values = yaml.safe_load((ROOT / "helm" / "linkspan" / "values.yaml").read_text())
    for name, value in pairwise(words):
        if name == "--set":
            found = values
            for key in value.partition("=")[0].split("."):
                assert isinstance(found, dict), f"{where}: the chart has no value {value}"
                assert key in found, f"{where}: the chart has no value {value}"
                found = found[key]
    for word in words:
        assert not word.startswith("helm/") or (ROOT / word / "Chart.yaml").exists(), (
            f"{where}: there is no chart {word}"
        )


def broken_documents() -> Iterator[tuple[str, str]]:
    yield "```sh\nlinkspan nodes\n```\n", "say where the commands run"
    yield "<!-- run: somewhere -->\n```sh\nlinkspan nodes\n```\n", "say where the commands run"
    yield "```\nlinkspan nodes\n```\n", "say what the block is"
    yield "<!-- run: here -->\n```sh\nlinkspan nodes\n", "has no end"


@pytest.mark.parametrize(("text", "says"), list(broken_documents()))
def test_a_block_that_nobody_can_judge_is_a_mistake(text: str, says: str) -> None:
    """So that no command is forgotten; the text says what to write."""
    with pytest.raises(DocumentError, match=says):
        read_blocks("x.md", text)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("linkspan nosuch", "there is no `linkspan nosuch`"),
        ("linkspan token create --service web", "needs \\['node'\\]"),
        ("linkspan token create --node x --nosuch", "No such option"),
        ("until linkspan nodes extra", "takes no \\['extra'\\]"),
        ("PIN=x linkspan token", "needs a command"),
        ("make nosuch", "nosuch"),
        ("systemctl start linkspan-nosuch", "nosuch"),
        ("helm install x helm/linkspan --set no.such=1", "no.such"),
        ("nosuch --flag", "is there a program"),
        ("kubectl exec x -- linkspan nosuch", "there is no"),
    ],
)
def test_a_command_that_there_is_not_is_found(text: str, says: str) -> None:
    """Each kind of mistake that the checks above are for."""
    (words,) = read_commands(text)
    with pytest.raises(AssertionError, match=says):
        check_command(words, "x.md:1", whole=True)


def test_shell_is_read_as_the_shell_would() -> None:
    """Words of commands alone: no assignments, redirections, here-documents, comments or keywords."""
    text = 'A=1 linkspan nodes --format "a b" > x 2>&1 & # no\ncat <<END > y\nlinkspan none\nEND\nuntil a \\\n  b; do c | d && ! e; done\n'
    assert read_commands(text) == [["linkspan", "nodes", "--format", "a b"], ["cat"], ["a", "b"], ["c"], ["d"], ["e"]]
    assert inner_commands('x "$(grep a b)"') == ["grep a b"]
