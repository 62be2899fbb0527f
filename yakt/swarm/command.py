"""`yakt swarm`: run simulated brokers on a cluster, or order a swarm that runs."""

import argparse
import json
import secrets
import sys
from collections.abc import Sequence

from yakt.errors import ConfigError, NotReachedError, RefusedError
from yakt.one_shot import NOT_REACHED, REFUSED, USAGE, UsageError, parse_servers
from yakt.swarm.control import NAME, order
from yakt.swarm.orders import DEEDS, HELP, QUESTIONS
from yakt.swarm.settings import Settings

DEFAULT_NAME = "swarm"
BROKERS_MAX = 10_000
PARTITIONS_MAX = 1_000_000
EPILOG = f"""\
A swarm runs in the foreground until Ctrl-C, and takes orders: typed at it, or from another terminal
(`yakt swarm kill 3`). Its brokers register, heartbeat, keep their partitions' ISRs, and do what is ordered:

{HELP}

  yakt swarm 200 --topics 50                   200 brokers with 50 topics of 6 partitions, and Ctrl-C takes all away
  yakt swarm 30 --topics 20 --chaos 5          about every 5 s something befalls one of them
  yakt swarm 50 --name blue & yakt swarm wait --name blue; yakt swarm flap any=3 --name blue; yakt swarm quit
  yakt swarm status --json                     for programs

Exit status: 0 done, 1 refused, 2 usage, 3 no server reached."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what may follow `yakt swarm`."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EPILOG
    parser.add_argument(
        "words",
        nargs="*",
        metavar="COUNT | ORDER",
        help=f"how many brokers; or one of {', '.join((*DEEDS, *QUESTIONS))}",
    )
    parser.add_argument("--topics", type=int, default=0, metavar="N", help="topics to make (default 0)")
    parser.add_argument("--partitions", type=int, default=6, metavar="N", help="of each topic (default 6)")
    parser.add_argument("--replication", type=int, default=3, metavar="N", help="replicas of each (default 3)")
    parser.add_argument("--racks", type=int, default=3, metavar="N", help="r1 to rN, in turn (default 3)")
    parser.add_argument(
        "--base-id", type=int, metavar="ID", help="the first broker's id (default 1001, or 2001, … where that is taken)"
    )
    parser.add_argument("--name", default="", help=f"of the swarm, its hosts and topics (default {DEFAULT_NAME})")
    parser.add_argument("--session", type=float, default=9.0, metavar="S", help="a broker's session, s (default 9)")
    parser.add_argument("--heartbeat", type=float, default=2.0, metavar="S", help="between heartbeats, s (default 2)")
    parser.add_argument(
        "--chaos", type=float, metavar="S", help="about every S seconds one lags, flaps or dies a while"
    )
    parser.add_argument(
        "--seed", default="", help="what chance does is the same for the same seed (default: a new one)"
    )
    parser.add_argument("--keep", action="store_true", help="at the end, leave brokers and topics registered")
    parser.add_argument(
        "--server", default="", help="HOST:PORT, several by commas; else $YAKT_SERVER, else 127.0.0.1:7201 to 7203"
    )
    parser.add_argument("--json", action="store_true", help="JSON objects, one a line: what happens, or the answer")


def run(arguments: argparse.Namespace) -> int:
    """Run a swarm, or order one. Raises ConfigError and NoSwarmError."""
    words: list[str] = arguments.words
    if arguments.name and not NAME.fullmatch(arguments.name):
        raise ConfigError([f"yakt swarm: --name {arguments.name}: at most 24 of a-z, 0-9 and, within, -"])
    if words and words[0].isascii() and words[0].isdigit():
        if len(words) > 1:
            print(f"yakt swarm: {words[1]} after the number of brokers; yakt swarm --help", file=sys.stderr)
            return USAGE
        return _run_swarm(arguments, int(words[0]))
    return _order(words or ["status"], arguments.name, as_json=arguments.json)


def _order(words: Sequence[str], name: str, *, as_json: bool) -> int:
    if words[0].lower() not in (*DEEDS, *QUESTIONS):
        print(
            f"yakt swarm: {words[0]} is neither a number of brokers nor an order ({', '.join((*DEEDS, *QUESTIONS))})",
            file=sys.stderr,
        )
        return USAGE
    if words[0].lower() == "help":
        print(HELP)
        return 0
    answer = order(name, " ".join(words))
    is_taken = answer.pop("ok") is True
    text = str(answer.pop("text"))
    if as_json:
        print(json.dumps({"ok": is_taken, **(answer if is_taken else {"msg": text})}))
    elif text:
        print(text if is_taken else f"yakt swarm: {text}", file=sys.stdout if is_taken else sys.stderr)
    return 0 if is_taken else REFUSED


def _run_swarm(arguments: argparse.Namespace, brokers: int) -> int:
    import trio  # here, so that an order is given in tens of milliseconds

    from yakt.swarm.session import Output, Session, find_free_ids

    _check(arguments, brokers)
    try:
        servers = parse_servers(arguments.server)
    except UsageError as exc:
        raise ConfigError([f"yakt swarm: {exc}"]) from None
    name = arguments.name or DEFAULT_NAME
    seed = arguments.seed or secrets.token_hex(4)
    output = Output(as_json=arguments.json)

    async def main() -> int:
        base_id = await find_free_ids(servers, name, brokers, arguments.base_id)
        settings = Settings(
            name=name,
            brokers=brokers,
            base_id=base_id,
            racks=min(arguments.racks, brokers),
            topics=arguments.topics,
            partitions=arguments.partitions,
            replication=min(arguments.replication, brokers),
            session_ms=round(arguments.session * 1000),
            heartbeat_ms=round(arguments.heartbeat * 1000),
            chaos_s=arguments.chaos,
        )
        return await Session(settings, servers, seed, output, keep=arguments.keep).run()

    try:
        return trio.run(main)
    except NotReachedError as exc:
        print(f"yakt swarm: {exc}; start a cluster with yakt dev, or name one with --server", file=sys.stderr)
        return NOT_REACHED
    except RefusedError as exc:
        print(f"yakt swarm: {exc.code}: {exc.message}", file=sys.stderr)
        return NOT_REACHED if exc.code == "NO_LEADER" else REFUSED


def _check(arguments: argparse.Namespace, brokers: int) -> None:
    """Raises ConfigError with all that is wrong."""
    bounds = {
        "COUNT": (brokers, 1, BROKERS_MAX),
        "--topics": (arguments.topics, 0, PARTITIONS_MAX),
        "--partitions": (arguments.partitions, 1, PARTITIONS_MAX),
        "--replication": (arguments.replication, 1, 100),
        "--racks": (arguments.racks, 1, 1000),
        "--base-id": (arguments.base_id, 0, 2**31 - 1 - brokers),
        "--session": (arguments.session, 0.5, 3600),
        "--heartbeat": (arguments.heartbeat, 0.05, 3600),
        "--chaos": (arguments.chaos, 0.01, 3600),
    }
    problems = [
        f"yakt swarm: {key} {value} is not in {low} to {high}"
        for key, (value, low, high) in bounds.items()
        if value is not None and not low <= value <= high
    ]
    if arguments.topics * arguments.partitions > PARTITIONS_MAX:
        problems.append(f"yakt swarm: more than {PARTITIONS_MAX} partitions in all")
    if arguments.heartbeat * 2 > arguments.session:
        problems.append("yakt swarm: --session is to be at least two heartbeats long, or one late one fences a broker")
    if problems:
        raise ConfigError(problems)
