"""One run of a swarm: its links, clock, keyboard and orders around the state machine, until it has left."""

import json
import random
import signal
import sys
import time
from collections.abc import Sequence

import trio

from yakt.address import Address
from yakt.client import open_client
from yakt.dev.keyboard import Keyboard
from yakt.errors import ConfigError
from yakt.ids import Instant
from yakt.metadata.answers import Pairs, Row
from yakt.swarm.link import Link, Watch
from yakt.swarm.listener import open_control
from yakt.swarm.machine import Changed, LeaveOrdered, Resynced, Stage, Swarm, SwarmEvent, TimerFired, named
from yakt.swarm.orders import HELP, Asked, Order, OrderError, Question, read_order
from yakt.swarm.settings import Answered, Ask, Chance, Settings, Tell

TICK_S = 0.02
"""What is due within one tick is asked in one piece."""
PROGRESS_S = 0.2
PROGRESS_PIPED_S = 5.0
BEATS_SILENCE_S = 5.0
WORK_SILENCE_S = 25.0
REACH_S = 5.0
"""How long a cluster may take to answer at all, at first."""
BASES = range(1001, 1_000_000, 1000)
"""Where to look for free ids: no node's, and hardly a real broker's."""


class Output:
    """What a run says: lines for people on standard output, or JSON objects; progress on standard error."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._is_terminal = sys.stderr.isatty()
        self._has_progress = False
        self.progress_s = PROGRESS_S if self._is_terminal else PROGRESS_PIPED_S

    def say(self, text: str) -> None:
        """Text for people; in JSON, nothing."""
        if not self._as_json:
            self._clear()
            print(text, flush=True)

    def tell(self, tell: Tell) -> None:
        """Something that happened just now."""
        now = time.time()
        if self._as_json:
            print(json.dumps({"event": tell.kind, "time": round(now, 3), **tell.pairs, "text": tell.text}), flush=True)
        else:
            clock = f"{time.strftime('%H:%M:%S', time.localtime(now))}.{int(now % 1 * 1000):03}"
            self.say(f"{clock} {tell.text}")

    def progress(self, text: str) -> None:
        """How far it is; on a terminal in place of what it said last. "" takes that away."""
        if self._is_terminal:
            self._clear()
            sys.stderr.write(text)
            self._has_progress = bool(text)
        elif text:
            sys.stderr.write(f"{text}\n")
        sys.stderr.flush()

    def _clear(self) -> None:
        if self._has_progress:
            sys.stderr.write("\r\033[K")
            sys.stderr.flush()
            self._has_progress = False


class Session:
    """See the module's words."""

    def __init__(
        self, settings: Settings, servers: Sequence[Address], seed: str, output: Output, *, keep: bool
    ) -> None:
        self._output = output
        self._keeps = keep
        self._seed = seed
        self._orders_chance: Chance = random.Random(f"{seed}/{settings.name}/orders").random
        self._swarm = Swarm(settings, lambda name: random.Random(f"{seed}/{settings.name}/{name}").random, self._now())
        self._beats = Link(servers, settings.name, BEATS_SILENCE_S, self._answered)
        self._work = Link(servers, settings.name, WORK_SILENCE_S, self._answered)
        self._watch = Watch(servers, settings.name, self._changed, lambda: self._step(Resynced()))
        self._sleeps_until = Instant(0.0)
        self._woken = trio.Event()
        self._is_ready = trio.Event()
        self._is_over = trio.Event()
        self._is_cut_short = False

    async def run(self) -> int:
        """Until it has left, or, to be kept, was told to end; the exit status. Raises ConfigError."""
        settings = self._swarm.settings
        begun = (
            f"swarm {settings.name}: brokers {settings.ids[0]} to {settings.ids[-1]}, seed {self._seed}; "
            "`help` tells what can be ordered, Ctrl-C has them leave"
        )
        with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as signals:
            async with open_control(settings.name, self._obey_line), trio.open_nursery() as nursery:
                pairs: Pairs = {"name": settings.name, "first": settings.ids[0], "last": settings.ids[-1]}
                self._output.tell(Tell("started", begun, {**pairs, "seed": self._seed}))
                nursery.start_soon(self._heed, signals)
                nursery.start_soon(self._watch.run)
                nursery.start_soon(self._beats.run)
                nursery.start_soon(self._work.run)
                nursery.start_soon(self._show_progress)
                nursery.start_soon(self._tick)
                nursery.start_soon(self._listen, Keyboard())
                await self._is_over.wait()
                nursery.cancel_scope.cancel()
        return 1 if self._is_cut_short else 0

    # --- the machine --------------------------------------------------------------------------------------------------

    def _step(self, event: SwarmEvent) -> None:
        for effect in self._swarm.step(self._now(), event):
            match effect:
                case Ask(lane="beats"):
                    self._beats.put(effect)
                case Ask():
                    self._work.put(effect)
                case Tell(kind=kind):
                    self._output.tell(effect)
                    if kind == "ready":
                        self._is_ready.set()
        if self._swarm.stage is Stage.GONE:
            self._is_over.set()
        if self._swarm.deadline < self._sleeps_until:
            self._woken.set()

    def _answered(self, answered: list[Answered]) -> None:
        for one in answered:
            self._step(one)

    def _changed(self, rows: Sequence[Row], end_offset: int) -> None:
        self._step(Changed(rows, end_offset))

    async def _tick(self) -> None:
        await self._watch.is_watching.wait()  # or what is changed from here on might be missed
        while True:
            self._woken = trio.Event()
            self._sleeps_until = self._swarm.deadline
            with trio.move_on_at(self._sleeps_until):
                await self._woken.wait()
            await trio.sleep(TICK_S)
            self._step(TimerFired())

    @staticmethod
    def _now() -> Instant:
        return Instant(trio.current_time())

    # --- people -------------------------------------------------------------------------------------------------------

    async def _heed(self, signals: object) -> None:
        """The first signal has the swarm leave, the second ends it at once."""
        async for _ in signals:  # type: ignore[attr-defined]  # what open_signal_receiver gives has no public name
            if self._swarm.stage is Stage.LEAVING:
                self._is_cut_short = True
                self._is_over.set()
            self._end()

    def _end(self) -> None:
        if self._keeps:
            text = "ended: brokers and topics stay, and the brokers are fenced when their sessions are over"
            self._output.tell(Tell("kept", text))
            self._is_over.set()
        elif self._swarm.stage is not Stage.LEAVING:
            self._output.say("leaving; once more ends it at once")
            self._step(LeaveOrdered())

    async def _listen(self, keyboard: Keyboard) -> None:
        """Do what is typed. The end of input ends the swarm at a terminal only: a script has none to begin with."""
        while (text := await keyboard.read_line()) is not None:
            answer = await self._obey_line(text)
            if answer.get("text"):
                self._output.say(str(answer["text"]))
        if keyboard.is_terminal:
            self._end()

    async def _obey_line(self, text: str) -> Pairs:
        """An order; `text` of the answer is for people, and `ok` tells whether it was taken."""
        try:
            found = read_order(text, self._swarm.settings, self._orders_chance)
        except OrderError as exc:
            return {"ok": False, "text": str(exc)}
        match found:
            case Order(deed=deed, ids=ids, for_s=for_s):
                if self._swarm.stage is Stage.LEAVING:
                    return {"ok": False, "text": "the swarm is leaving"}
                self._step(found)
                for_so_long = "" if for_s is None else f" for {for_s:g} s"
                return {"ok": True, "deed": deed, "ids": list(ids), "text": f"{deed}{for_so_long}: {named(ids)}"}
            case Asked(question=question):
                return await self._answer(question)
            case None:
                return {"ok": True, "text": ""}

    async def _answer(self, question: Question) -> Pairs:
        match question:
            case "help":
                return {"ok": True, "text": HELP}
            case "quit":
                self._end()
                return {"ok": True, "text": ""}
            case "wait":
                await self._is_ready.wait()
            case "status":
                pass
        status = self._swarm.status()
        return {"ok": question == "status" or status["problem"] is None, **status, "text": format_status(status)}

    async def _show_progress(self) -> None:
        """Until it is ready, and while it leaves."""
        while True:
            swarm, total = self._swarm, self._swarm.settings.brokers
            match swarm.stage:
                case Stage.STARTING | Stage.FILLING:
                    self._output.progress(
                        f"brokers {swarm.arrived if swarm.stage is Stage.STARTING else total:,}/{total:,}  "
                        f"partitions {swarm.topics.made:,}/{swarm.topics.wanted:,}"
                    )
                case Stage.LEAVING:
                    self._output.progress(f"brokers left {swarm.arrived:,}/{total:,}")
                case _:
                    self._output.progress("")
            await trio.sleep(self._output.progress_s)


async def find_free_ids(servers: Sequence[Address], name: str, count: int, base_id: int | None) -> int:
    """The first id for so many brokers: as asked for, or where nobody else's are. Raises ConfigError, NotReachedError.

    Brokers that an earlier swarm of this name has left count as its own.
    """
    taken: set[int] = set()
    async with open_client(servers, name=name, timeout=REACH_S) as client:
        after = None
        while True:
            answer = await client.ask("BROKER LIST", limit=10_000, after=after)
            for row in answer.rows:
                number = row.pairs.get("id")
                if isinstance(number, int) and not str(row.pairs.get("host")).endswith(f".{name}.swarm"):
                    taken.add(number)
            following = answer.pairs.get("next")
            if following is None:
                break
            after = str(following)
    for base in BASES if base_id is None else (base_id,):
        if taken.isdisjoint(range(base, base + count)):
            return base
    met = min(taken.intersection(range(base_id or 0, (base_id or 0) + count)))
    raise ConfigError(
        [f"yakt swarm: broker {met} is registered and not of a swarm called {name}; try another --base-id"]
    )


def format_status(status: Pairs) -> str:
    """For people: a line for the whole, and one for each broker that is not simply running, as far as they fit."""
    states = status["states"]
    assert isinstance(states, dict)
    lines = [
        f"swarm {status['name']}: {status['stage']}; brokers {status['first']} to {status['last']}, "
        + ", ".join(f"{count} {state}" for state, count in states.items()),
        f"  {status['topics']} topics, {status['partitions']:,} of {status['partitions_wanted']:,} partitions made, "
        f"{status['isr_changes_due']} not in sync",
    ]
    if status["problem"]:
        lines.append(f"  {status['problem']}")
    unusual = status["unusual"]
    assert isinstance(unusual, list)
    for row in unusual[:20]:
        assert isinstance(row, dict)
        lines.append(
            f"  broker {row['id']} ({row['rack']}) {row['state']}{': ' + str(row['why']) if row.get('why') else ''}"
        )
    if len(unusual) > 20:
        lines.append(f"  and {len(unusual) - 20} more; --json has all")
    return "\n".join(lines)
