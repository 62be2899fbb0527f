"""`yakt-shell`: a prompt on a terminal; with a pipe on standard input, its lines one by one and then an exit status."""

import argparse
import signal
import sys
from collections.abc import Sequence

import trio

from yakt.address import Address
from yakt.errors import NotReachedError
from yakt.line.grammar import is_safe_to_repeat
from yakt.line.replies import ReplyLine
from yakt.one_shot import DONE, NOT_REACHED, UNKNOWN, USAGE, UsageError, exit_status, parse_servers
from yakt.shell.session import LostError, Session


def main(argv: Sequence[str] | None = None) -> int:
    """Run the shell; the exit status."""
    parser = argparse.ArgumentParser(
        prog="yakt-shell",
        description="Type commands at a cluster. With a pipe on standard input, do its lines and exit.",
    )
    parser.add_argument(
        "--server", default="", help="HOST:PORT, several by commas; else $YAKT_SERVER, else 127.0.0.1:7201 to 7203"
    )
    parser.add_argument("--json", action="store_true", help="replies as JSON objects, one a line")
    arguments = parser.parse_args(argv)
    try:
        servers = parse_servers(arguments.server)
    except UsageError as exc:
        print(f"yakt-shell: {exc}", file=sys.stderr)
        return USAGE
    return trio.run(_run_prompt if sys.stdin.isatty() else _run_pipe, servers, arguments.json)


def _complain(message: object) -> None:
    print(f"yakt-shell: {message}", file=sys.stderr, flush=True)


def _is_spoken(line: str) -> bool:
    """Whether the server answers it: blank lines and comments get no reply."""
    return bool(line.strip()) and not line.lstrip().startswith("#")


async def _do(session: Session, nursery: trio.Nursery, line: str) -> int:
    """Have a line answered, by another server if the first is lost and nothing can be done twice; its exit status."""
    for attempt in range(2):
        try:
            if not session.is_connected:
                await session.connect(nursery)
            end = await session.ask(line)
        except NotReachedError as exc:
            _complain(exc)
            return NOT_REACHED
        except LostError as exc:
            if attempt == 0 and is_safe_to_repeat(line):
                continue
            _complain(exc)
            return NOT_REACHED if is_safe_to_repeat(line) else UNKNOWN
        return exit_status(
            ok=end.kind == "ok",
            code=end.name,
            maybe=end.pairs.get("applied") == "maybe",
            ready=end.pairs.get("ready") is not False,
        )
    raise AssertionError  # the second attempt returns


# --- a pipe -----------------------------------------------------------------------------------------------------------


def _print(text: str, said: ReplyLine) -> None:
    print(text, flush=True)


async def _run_pipe(servers: Sequence[Address], as_json: bool) -> int:
    """Do every line, whatever became of those before; the exit status of the first that failed."""
    status = DONE
    session = Session(servers, as_json=as_json, on_line=_print, on_event=_print)
    async with trio.open_nursery() as nursery:
        async for raw in trio.wrap_file(sys.stdin.buffer):
            line = raw.decode(errors="replace").rstrip("\r\n")
            if not _is_spoken(line):
                continue
            got = await _do(session, nursery, line)
            status = status or got
            if got == NOT_REACHED or line.strip().upper() == "QUIT":
                break
        await session.close()
        nursery.cancel_scope.cancel()
    return status


# --- a terminal -------------------------------------------------------------------------------------------------------


async def _run_prompt(servers: Sequence[Address], as_json: bool) -> int:
    """Ask for lines until the person has enough."""
    from prompt_toolkit.patch_stdout import patch_stdout  # an extra, and slow to import
    from rich.console import Console

    from yakt.shell.prompt import make_prompt
    from yakt.shell.render import Renderer

    prompt = make_prompt()
    with patch_stdout(raw=True):
        console = Console(file=sys.stdout, force_terminal=True)
        renderer = Renderer(console)

        def lost() -> None:
            console.print("[yellow]the connection was lost; the next line goes to whoever takes it[/yellow]")

        session = Session(
            servers,
            as_json=as_json,
            on_line=_print if as_json else renderer.line,
            on_event=_print if as_json else renderer.event,
            on_lost=lost,
        )
        async with trio.open_nursery() as nursery:
            try:
                await session.connect(nursery)
                console.print(f"connected with node {session.node} at {session.server}; HELP lists the commands")
            except NotReachedError as exc:
                _complain(exc)
            while True:
                node = f" node {session.node}" if session.is_connected else ""
                try:
                    line = await trio.to_thread.run_sync(prompt, f"yakt{node}> ", abandon_on_cancel=True)
                except KeyboardInterrupt:
                    continue
                except EOFError:
                    break
                if line.strip().lower() in ("quit", "exit"):
                    break
                if _is_spoken(line):
                    await _do_at_prompt(session, nursery, line)
            await session.close()
            nursery.cancel_scope.cancel()
    return DONE


async def _do_at_prompt(session: Session, nursery: trio.Nursery, line: str) -> None:
    """As `_do`; Ctrl-C gives it up, and the connection with it, for its reply may still come."""
    with trio.CancelScope() as scope, trio.open_signal_receiver(signal.SIGINT) as signals:
        async with trio.open_nursery() as waiting:

            async def give_up_on_interrupt() -> None:
                async for _ in signals:
                    scope.cancel()

            waiting.start_soon(give_up_on_interrupt)
            await _do(session, nursery, line)
            waiting.cancel_scope.cancel()
    if scope.cancelled_caught:
        await session.close()
        _complain("given up; it may be done all the same")
