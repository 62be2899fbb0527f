"""One simulated broker: what it asks next, and what becomes of it by the answers. Pure.

It does what a Kafka broker does (controller.md §2 to §4): registers a new incarnation at each start, heartbeats with
its epoch and with how far it has read the log, stops by a controlled shutdown, and gives up when another has its id.
"""

from enum import Enum

import attrs

from yakt.errors import RefusedError
from yakt.ids import Instant, Uuid, format_uuid
from yakt.metadata.answers import Answer, Result
from yakt.swarm.settings import NEVER, Ask, Chance, OfBroker, Settings

ASK_TIMEOUT_MS = 3000
"""Of a heartbeat, at the node: less than a session, so that a new leader is tried in time."""
AGAIN_S = 0.5
"""Before what failed is asked again."""
CATCH_UP_S = 0.1
"""Between the heartbeats of one that is still fenced because it has not read its own registration."""
STOPPING_S = 5.0
"""A controlled shutdown that is not granted by then is done without."""
LOUD_S = (2.0, 8.0)
"""How long one that flaps heartbeats before it falls silent again."""
SILENT_SESSIONS = (1.1, 1.6)
"""And how long it is silent, in sessions: long enough to be fenced."""


class Phase(Enum):
    """Where a broker is in its life."""

    DOWN = "down"
    REGISTERING = "registering"
    RUNNING = "running"
    STOPPING = "stopping"
    LEAVING = "leaving"
    """Down, and about to be unregistered."""
    GONE = "gone"


@attrs.define(eq=False)
class Broker:
    """Its state. `due`: when `act` has something to do; NEVER while it waits for an answer or an order."""

    id: int
    rack: str
    settings: Settings
    chance: Chance
    phase: Phase = Phase.DOWN
    due: Instant = NEVER
    epoch: int = -1
    is_fenced: bool = True
    """As the answer to its last heartbeat has it."""
    lags: bool = False
    flaps: bool = False
    is_silent: bool = False
    """It flaps, and just now sends nothing."""
    until: Instant = NEVER
    """When what was ordered for a while is over."""
    turn: int = 0
    incarnation: str = ""
    """Of this start: asked again after a lost connection, it is the same."""
    said: str = ""
    """Why it is down though nobody ordered it, or not yet registered."""
    seen_offset: int = -1
    """How far it has read the log, while it lags."""
    _turns_at: Instant = NEVER
    """When one that flaps falls silent or speaks again."""
    _gives_up_at: Instant = NEVER

    @property
    def state(self) -> str:
        """In a word, as `status` shows it."""
        if self.phase is Phase.RUNNING:
            if self.flaps:
                return "flapping"
            if self.lags:
                return "lagging"
            return "starting" if self.is_fenced else "running"
        return str(self.phase.value)

    @property
    def can_lead(self) -> bool:
        """Whether it may ask for the partitions that it leads."""
        return self.phase in (Phase.RUNNING, Phase.STOPPING) and not self.is_fenced and not self.is_silent

    @property
    def is_in_sync(self) -> bool:
        """Whether its replicas keep up with their leaders."""
        return self.phase is Phase.RUNNING and not (self.is_fenced or self.is_silent or self.lags)

    # --- orders -------------------------------------------------------------------------------------------------------

    def start(self, now: Instant) -> None:
        """Begin, or, if it runs, go on as usual."""
        self.until = NEVER
        if self.phase is Phase.RUNNING:
            self._behave(now)
        elif self.phase is not Phase.REGISTERING:
            self._become(Phase.REGISTERING, now)
            self.incarnation = _uuid(self.chance)

    def kill(self) -> None:
        """As kill -9: it says nothing more, and is fenced when its session is over."""
        self._become(Phase.DOWN, NEVER)

    def stop(self, now: Instant) -> None:
        """A controlled shutdown: its leaderships move first."""
        if self.phase is Phase.RUNNING:
            self._become(Phase.STOPPING, now)
            self._gives_up_at = Instant(now + STOPPING_S)
        elif self.phase is not Phase.STOPPING:
            self._become(Phase.DOWN, NEVER)

    def leave(self, now: Instant) -> None:
        """Out of the cluster for good; down already."""
        if self.phase is not Phase.GONE:
            self._become(Phase.LEAVING, now)

    def lag(self, seen_offset: int) -> None:
        """Fall behind: it heartbeats, but reads no further, and its replicas leave the ISRs."""
        self.lags, self.seen_offset = True, seen_offset

    def flap(self, now: Instant) -> None:
        """Be silent until it is fenced, come back, and again."""
        self.flaps, self.is_silent = True, False
        self._turns_at = now
        self.due = min(self.due, now)

    def _become(self, phase: Phase, due: Instant) -> None:
        self.phase, self.due = phase, due
        self.turn += 1
        self.epoch, self.is_fenced = (self.epoch, self.is_fenced) if phase is Phase.STOPPING else (-1, True)
        self.lags = self.flaps = self.is_silent = False
        self.until = self._turns_at = self._gives_up_at = NEVER
        self.said = ""

    def _behave(self, now: Instant) -> None:
        self.lags = self.flaps = False
        self._turns_at = NEVER
        if self.is_silent:
            self.is_silent, self.due = False, now

    # --- what it does -------------------------------------------------------------------------------------------------

    @property
    def wakes_at(self) -> Instant:
        """When `act` is next worth calling."""
        return min(self.due, self.until)

    def act(self, now: Instant, seen_offset: int) -> Ask | None:
        """What it asks now that it woke; `seen_offset` is the last that the swarm has read of the log."""
        if now >= self.until:
            self.start(now)
        if now < self.due:
            return None
        self.due = NEVER
        match self.phase:
            case Phase.REGISTERING:
                return self._ask(
                    f"REGISTER {self.id} host=b{self.id}{self.settings.host_suffix} port=9092 rack={self.rack} "
                    f"session={self.settings.session_ms} incarnation={self.incarnation}"
                )
            case Phase.RUNNING:
                if self.flaps and now >= self._turns_at:
                    self._turn_over(now)
                if self.is_silent:
                    self.due = self._turns_at
                    return None
                return self._ask(self._heartbeat(seen_offset))
            case Phase.STOPPING if now < self._gives_up_at:
                return self._ask(f"{self._heartbeat(seen_offset)} shutdown=true")
            case Phase.STOPPING:
                self._become(Phase.DOWN, NEVER)
                return None
            case Phase.LEAVING:
                return self._ask(f"UNREGISTER {self.id}")
            case Phase.DOWN | Phase.GONE:
                return None

    def _ask(self, words: str) -> Ask:
        return Ask(f"BROKER {words} timeout={ASK_TIMEOUT_MS}", OfBroker(self.id, self.turn), "beats")

    def _heartbeat(self, seen_offset: int) -> str:
        return f"HEARTBEAT {self.id} epoch={self.epoch} at={self.seen_offset if self.lags else seen_offset}"

    def _turn_over(self, now: Instant) -> None:
        self.is_silent = not self.is_silent
        low, high = LOUD_S
        if self.is_silent:
            low, high = (length * self.settings.session_ms / 1000 for length in SILENT_SESSIONS)
        self._turns_at = Instant(now + low + self.chance() * (high - low))

    # --- what it is answered ------------------------------------------------------------------------------------------

    def answered(self, now: Instant, result: Result | None) -> None:
        """Take the answer to what it asked last in this turn; None: it was lost on the way."""
        match self.phase:
            case Phase.REGISTERING:
                self._registered(now, result)
            case Phase.RUNNING:
                self._heard(now, result)
            case Phase.STOPPING:
                if is_disowned(result) or (isinstance(result, Answer) and result.pairs.get("shutdown") is True):
                    self._become(Phase.DOWN, NEVER)
                else:
                    self.due = Instant(now + AGAIN_S)
            case Phase.LEAVING:
                if is_disowned(result) or isinstance(result, Answer):
                    self._become(Phase.GONE, NEVER)
                else:
                    self.due = Instant(now + AGAIN_S)
            case Phase.DOWN | Phase.GONE:
                pass

    def _registered(self, now: Instant, result: Result | None) -> None:
        if isinstance(result, Answer):
            epoch = result.pairs["epoch"]
            assert isinstance(epoch, int)
            until = self.until
            self._become(Phase.RUNNING, now)
            self.epoch, self.until = epoch, until
            return
        self.said = "" if result is None else f"{result.code}: {result.message}"
        if result is None or result.retry or result.code == "DUPLICATE_BROKER":  # the session before has to end first
            self.due = Instant(now + AGAIN_S)
        else:
            self._fail()

    def _heard(self, now: Instant, result: Result | None) -> None:
        if isinstance(result, Answer):
            was_fenced, self.is_fenced = self.is_fenced, result.pairs.get("fenced") is not False
            pause = self.settings.heartbeat_ms / 1000
            if self.is_fenced:
                pause = CATCH_UP_S
            elif was_fenced:
                pause *= self.chance()  # from here on, brokers that started together are spread out
            self.due = Instant(now + pause)
        elif is_disowned(result):
            assert result is not None
            self.said = f"{result.code}: {result.message}"
            self._fail()
        else:
            self.due = Instant(now + AGAIN_S)

    def _fail(self) -> None:
        said = self.said
        self._become(Phase.DOWN, NEVER)
        self.said = said


def is_disowned(result: Result | None) -> bool:
    """Whether the cluster says that this is no broker of its any more: unregistered, or another process has its id."""
    return isinstance(result, RefusedError) and result.code in ("UNKNOWN_BROKER", "STALE_BROKER_EPOCH")


def _uuid(chance: Chance) -> str:
    """Version 4, in Kafka's form; it does not begin with `-`."""
    made = bytearray(int(chance() * 256) for _ in range(16))
    made[0] &= 0x7F
    made[6] = made[6] & 0x0F | 0x40
    made[8] = made[8] & 0x3F | 0x80
    return format_uuid(Uuid(bytes(made)))
