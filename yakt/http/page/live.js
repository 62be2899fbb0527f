// The one store, and what feeds it: a cheap poll of this node, its stream of events, and lists asked again when something
// moved. Slow when nobody looks; backs off when the node is gone, and recovers by itself.

import { ask, containing, quoted } from "./lines.js";

const STATUS_MS = 500;
const QUORUM_MS = 1000;
const LISTS_MS = 1000;
const HIDDEN_MS = 10_000;
const RETRY_MS = [500, 1000, 2000, 4000];
const FEED_MAX = 150;
const POINTS_MAX = 300;
export const PAGE = 25;
export const PROBLEMS = 8;

export const state = {
  status: null, // of this node
  summary: null, // of what is shown: now, or the past
  health: null,
  quorum: null,
  lost: false,
  past: null, // an offset, while the past is shown
  pastWanted: null, // where the slider stands
  pastError: "",
  feed: [],
  feedPaused: false,
  feedTold: 0,
  problems: { leaderless: null, under: null, fenced: null },
  brokers: { rows: null, search: "", after: [], next: null, fenced: false },
  topics: { rows: null, search: "", after: [], next: null, problems: false },
  open: null, // what the dialog shows: {kind, name, after}
  opened: {}, // and what was found of it
  points: { time: [], p50: [], p99: [], lag: new Map() },
};

const listeners = new Set();
let drawn = false;

/** Call `draw` with the state, at most once a frame, whenever something changed. */
export function onChange(draw) {
  listeners.add(draw);
}

export function changed() {
  if (drawn) return;
  drawn = true;
  const draw = () => {
    drawn = false;
    for (const listener of listeners) listener(state);
  };
  if (document.hidden) setTimeout(draw, 1000);
  else requestAnimationFrame(draw);
}

// --- the poll

let failures = 0;
let listsAt = -1;
let listsWanted = true;
let listsBusy = null;

/** Ask for the lists anew, soon: a search, a page, another thing opened. */
export function refresh() {
  listsWanted = true;
  void lists();
}

export function start() {
  loop(STATUS_MS, status);
  loop(QUORUM_MS, quorum);
  loop(LISTS_MS, lists);
}

function loop(every, work) {
  const again = async () => {
    const began = performance.now();
    try {
      await work();
    } catch {
      /* said by `status`, which sees the same */
    }
    const pause = document.hidden ? HIDDEN_MS : state.lost ? RETRY_MS[Math.min(failures, RETRY_MS.length) - 1] ?? every : every;
    const timer = setTimeout(again, Math.max(50, pause - (performance.now() - began)));
    wake.set(work, () => {
      clearTimeout(timer);
      void again();
    });
  };
  void again();
}

const wake = new Map();
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) for (const go of [...wake.values()]) go();
});

async function status() {
  try {
    const [found, summary] = await ask(["STATUS", "SUMMARY read=local"], AbortSignal.timeout(4000));
    noticeLeader(state.status, found.pairs);
    state.status = found.pairs;
    if (state.past === null && summary.ok) state.summary = summary.pairs;
    if (state.lost || !stream) {
      state.lost = false;
      failures = 0;
      refresh();
      watch();
    }
  } catch (error) {
    failures += 1;
    if (failures >= 2 || !state.status) state.lost = true;
    changed();
    throw error;
  }
  failures = 0;
  changed();
}

function noticeLeader(before, now) {
  if (!before || (before.leader === now.leader && before.epoch === now.epoch)) return;
  const say = now.leader === null ? `nobody leads in epoch ${now.epoch}` : `node ${now.leader} leads in epoch ${now.epoch}`;
  if (before.leader !== now.leader) tell({ kind: "quorum", offset: now.log_end, say });
}

async function quorum() {
  if (state.lost) return;
  const [shown, figures, health] = await Promise.all(
    ["QUORUM SHOW timeout=900", "QUORUM FIGURES timeout=900", "HEALTH"].map(async (line) => (await ask([line], AbortSignal.timeout(4000)))[0]),
  );
  if (shown.ok) state.quorum = { pairs: shown.pairs, rows: shown.rows };
  state.health = health.ok ? health.pairs : null;
  point(shown, figures);
  changed();
}

let figuresBefore = null;

function point(shown, figures) {
  const { points } = state;
  let p50 = null;
  let p99 = null;
  if (figures.ok) {
    const now = figures.pairs;
    const before = figuresBefore;
    if (before && before.node === now.node && before.commits <= now.commits) {
      const counts = now.counts.map((count, place) => count - before.counts[place]);
      p50 = quantile(0.5, counts, now.bounds_ms);
      p99 = quantile(0.99, counts, now.bounds_ms);
      state.rate = (now.commits - before.commits) / ((performance.now() - before.at) / 1000);
    }
    figuresBefore = { ...now, at: performance.now() };
  }
  points.time.push(Date.now() / 1000);
  points.p50.push(p50);
  points.p99.push(p99);
  const voters = shown.ok ? shown.rows.filter((row) => row._ === "voter") : [];
  for (const row of voters) if (!points.lag.has(row.id)) points.lag.set(row.id, new Array(points.time.length - 1).fill(null));
  for (const [id, lags] of points.lag) lags.push(voters.find((row) => row.id === id)?.lag ?? null);
  if (points.time.length > POINTS_MAX) for (const list of [points.time, points.p50, points.p99, ...points.lag.values()]) list.shift();
}

/** Of a histogram's counts, within its bucket as if evenly spread; null where nothing was counted. */
function quantile(q, counts, bounds) {
  const total = counts.reduce((sum, count) => sum + count, 0);
  if (!total) return null;
  let below = 0;
  for (let place = 0; place < counts.length; place += 1) {
    if (counts[place] && below + counts[place] >= q * total) {
      const low = place ? bounds[place - 1] : 0;
      const high = bounds[place] ?? low * 2;
      return low + ((high - low) * (q * total - below)) / counts[place];
    }
    below += counts[place];
  }
  return null;
}

// --- lists: what is on the screen and nothing more

/** Each list that is on the screen: the line that asks for it, and where the reply goes. */
function wanted(when) {
  const { brokers, topics, open } = state;
  const list = [
    [`PARTITION LIST leaderless=true limit=${PROBLEMS} ${when}`, (reply) => (state.problems.leaderless = reply)],
    [`PARTITION LIST under-replicated=true limit=${PROBLEMS} ${when}`, (reply) => (state.problems.under = reply)],
    [`BROKER LIST fenced=true counts=true limit=${PROBLEMS} ${when}`, (reply) => (state.problems.fenced = reply)],
    [
      `BROKER LIST counts=true limit=${PAGE} ${brokers.fenced ? "fenced=true " : ""}${paging(brokers)}${when}`,
      (reply) => fill(brokers, reply),
    ],
    [
      `TOPIC LIST counts=true limit=${PAGE} ${topics.problems ? "problems=true " : ""}${paging(topics)}${when}`,
      (reply) => fill(topics, reply),
    ],
  ];
  if (open) list.push(...wantedOf(open, when));
  return list;
}

function wantedOf(open, when) {
  const after = open.after?.length ? `after=${quoted(open.after.at(-1))} ` : "";
  const keep = (part) => (reply) => {
    if (state.open === open) state.opened[part] = reply;
  };
  const name = quoted(open.name);
  switch (open.kind) {
    case "topic":
      return [
        [`TOPIC LIST counts=true match=${quoted(open.name.replace(/[[*?]/g, "[$&]"))} ${when}`, keep("row")],
        [`TOPIC SHOW ${name} limit=${PAGE} ${after}${when}`, keep("partitions")],
        [`CONFIG GET ${quoted(`topic/${open.name}`)} ${when}`, keep("configs")],
      ];
    case "broker":
      return [
        [`BROKER SHOW ${open.name} counts=true ${when}`, keep("row")],
        [`PARTITION LIST broker=${open.name} limit=${PAGE} ${after}${when}`, keep("partitions")],
      ];
    case "partition": {
      const [, topic, partition] = open.name.match(/^(.*):(\d+)$/s) ?? [];
      if (topic === undefined) return [];
      const before = Number(partition) ? `after=${Number(partition) - 1} ` : "";
      return [[`TOPIC SHOW ${quoted(topic)} limit=1 ${before}${when}`, keep("partitions")]];
    }
    default:
      return [];
  }
}

const paging = ({ search, after }) =>
  (search ? `match=${containing(search)} ` : "") + (after.length ? `after=${quoted(after.at(-1))} ` : "");

function fill(list, reply) {
  if (!reply.ok) return;
  list.rows = reply.rows;
  list.next = reply.pairs.next ?? null;
}

async function lists() {
  if (state.past !== null || state.lost || !state.summary) return;
  if (listsBusy) return;
  if (!listsWanted && state.summary.offset === listsAt) return;
  listsWanted = false;
  listsBusy = true;
  try {
    const asked = wanted("read=local");
    const replies = await ask(asked.map(([line]) => line), AbortSignal.timeout(8000));
    if (state.past !== null) return;
    asked.forEach(([, take], place) => take(replies[place]));
    listsAt = replies[0].pairs.offset ?? -1;
    changed();
  } finally {
    listsBusy = null;
    if (listsWanted) void lists().catch(() => {});
  }
}

// --- the past

let pastTimer = 0;
let pastBusy = false;

/** Show the state below `offset`; null: now. One question at a time, and only the newest is asked. */
export function travel(offset) {
  state.pastWanted = offset;
  clearTimeout(pastTimer);
  if (offset === null) {
    state.past = null;
    state.pastError = "";
    state.summary = state.summaryNow ?? state.summary;
    void status().catch(() => {});
    refresh();
    changed();
    return;
  }
  pastTimer = setTimeout(() => void look().catch(() => {}), 200);
  changed();
}

/** Whatever of the past is on the screen, again: a page or a search was asked for. */
export function lookAgain() {
  if (state.pastWanted === null) refresh();
  else travel(state.pastWanted);
}

async function look() {
  if (pastBusy) return;
  const offset = state.pastWanted;
  if (offset === null) return;
  pastBusy = true;
  changed();
  try {
    const when = `at=${offset} read=local timeout=60000`;
    const asked = wanted(when);
    const replies = await ask([`SUMMARY ${when}`, ...asked.map(([line]) => line)], AbortSignal.timeout(90_000));
    if (state.pastWanted === null) return;
    if (replies[0].ok) {
      state.past = offset;
      state.pastError = "";
      state.summary = replies[0].pairs;
      asked.forEach(([, take], place) => take(replies[place + 1]));
    } else state.pastError = replies[0].pairs.msg;
  } catch (error) {
    state.pastError = `The past could not be read: ${error.message}`;
  } finally {
    pastBusy = false;
    if (state.pastWanted !== null && state.pastWanted !== offset) pastTimer = setTimeout(() => void look().catch(() => {}), 50);
    changed();
  }
}

export const isTravelling = () => state.pastWanted !== null && state.pastWanted !== state.past && !state.pastError;

// --- the feed

let stream = null;
let heard = 0;

function watch() {
  stream?.close();
  const status = state.status;
  const since = status && !heard ? Math.max(status.log_start, status.applied - 40) : heard ? heard + 1 : null;
  const present = status?.applied ?? 0; // what lies below was before: when, the stream does not tell
  stream = new EventSource(since === null ? "/v1/watch" : `/v1/watch?since=${since}`);
  const hear = (message) => {
    const event = JSON.parse(message.data);
    heard = Math.max(heard, event.offset);
    tell({ kind: event._, offset: event.offset, say: event.say, of: thing(event), time: event.offset < present ? null : Date.now() });
  };
  for (const kind of ["broker", "topic", "partition", "config", "feature", "producer", "pid", "quota", "scram", "acl", "token"])
    stream.addEventListener(kind, hear);
  stream.addEventListener("lost", () => {
    heard = 0;
    watch();
  });
}

function thing(event) {
  if (event._ === "broker") return { kind: "broker", name: String(event.id) };
  if (event._ === "partition") return { kind: "partition", name: `${event.topic}:${event.partition}` };
  if (event._ === "topic") return { kind: "topic", name: event.name };
  if (event._ === "config" && event.entity?.startsWith("topic/")) return { kind: "topic", name: event.entity.slice(6) };
  return null;
}

let waiting = [];

function tell(event) {
  state.feedTold += 1;
  waiting.push({ time: Date.now(), ...event, number: state.feedTold });
  if (waiting.length > FEED_MAX) waiting.splice(0, waiting.length - FEED_MAX);
  if (!state.feedPaused) flushFeed();
}

export function flushFeed() {
  if (!waiting.length) return;
  state.feed = [...waiting.reverse(), ...state.feed].slice(0, FEED_MAX);
  waiting = [];
  changed();
}

// --- asked on click

/** Lines for people about a thing: EXPLAIN, HISTORY, BLAME. */
export async function tellAbout(line) {
  try {
    return (await ask([`${line} timeout=20000`], AbortSignal.timeout(25_000)))[0];
  } catch (error) {
    return { ok: false, pairs: { msg: error.message }, rows: [] };
  }
}
