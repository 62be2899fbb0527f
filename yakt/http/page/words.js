// What a state means, in words: pure functions of the state that `live.js` gathers.

const whole = new Intl.NumberFormat("en-GB");
export const number = (value) => (value === null || value === undefined ? "–" : whole.format(value));
export const many = (count, one, more = `${one}s`) => `${number(count)} ${count === 1 ? one : more}`;

/** Milliseconds, to three digits: 0.42 ms, 12.3 ms, 1.20 s. */
export function duration(ms) {
  if (ms === null || ms === undefined || Number.isNaN(ms)) return "–";
  if (ms >= 1000) return `${(ms / 1000).toFixed(2)} s`;
  return `${ms >= 100 ? ms.toFixed(0) : ms >= 10 ? ms.toFixed(1) : ms.toFixed(2)} ms`;
}

const clockForm = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const dayForm = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", second: "2-digit" });
export const clock = (ms) => (ms ? clockForm.format(ms) : "");
export const moment = (ms) => (ms ? dayForm.format(ms) : "before the first record");

/** Who leads and whether all is well: `level` ok, warn, bad or wait; `title` is a sentence, `more` another. */
export function verdict(state) {
  const { status, summary, past } = state;
  if (!summary || (!status && !past)) return { level: "wait", title: "Asking the node…", more: "" };
  const inPast = past !== null;
  const lead = inPast ? `Below offset ${number(past)}, in epoch ${summary.epoch}.` : leadership(state);
  if (!inPast && state.lost) return { level: "bad", title: "Connection lost", more: "What is shown is the last that was known. Trying again…" };
  if (!inPast && status.leader === null)
    return { level: "bad", title: "Nobody leads", more: "Nothing can be written until a majority of the voters elects a leader." };
  if (!inPast && state.health && !state.health.ready)
    return { level: "bad", title: "A write would not commit now", more: state.health.reasons.join("; ") };
  if (summary.leaderless > 0)
    return { level: "bad", title: `${many(summary.leaderless, "partition")} without a leader`, more: `Nothing can be written to or read from ${summary.leaderless === 1 ? "it" : "them"}. ${lead}` };
  if (summary.fenced > 0 && summary.under_replicated === 0)
    return { level: "warn", title: `${many(summary.fenced, "broker")} fenced`, more: `Every partition has a leader and all its replicas in sync. ${lead}` };
  if (summary.under_replicated > 0)
    return { level: "warn", title: `${many(summary.under_replicated, "partition")} short of replicas`, more: `All can be written and read, with less redundancy than asked for. ${lead}` };
  if (!inPast && state.quorum?.rows.some((row) => row._ === "voter" && isSilent(row)))
    return { level: "warn", title: "A voter is silent", more: `The quorum goes on without it. ${lead}` };
  const title = inPast ? "All was well" : "All is well";
  if (summary.brokers === 0) return { level: "ok", title, more: `No broker has registered yet. ${lead}` };
  return { level: "ok", title, more: `${many(summary.brokers, "broker")} alive, ${many(summary.partitions, "partition")} with leader and all replicas in sync. ${lead}` };
}

function leadership({ status }) {
  return status.leader === status.node ? `Node ${status.leader}, this one, leads in epoch ${status.epoch}.` : `Node ${status.leader} leads in epoch ${status.epoch}.`;
}

export const isSilent = (row) => row.role !== "leader" && (row.last_fetch_ms === null || row.last_fetch_ms > 3000);

/** What is wrong with a partition: a level and a few words. */
export function condition(row) {
  const missing = row.replicas.filter((id) => !row.isr.includes(id));
  if (row.leader === -1) return { level: "bad", text: `no leader; last in sync: ${row.isr.join(", ") || "none"}` };
  if (row.adding.length || row.removing.length) return { level: "move", text: `moving: + ${row.adding.join(", ") || "none"}, − ${row.removing.join(", ") || "none"}` };
  if (missing.length) return { level: "warn", text: `out of sync: ${missing.length === 1 ? "broker" : "brokers"} ${missing.join(", ")}` };
  return { level: "ok", text: "in sync" };
}

const STATUSES = { ALIVE: ["ok", "alive"], FENCED: ["warn", "fenced"], SHUTTING_DOWN: ["move", "shutting down"], CLOSED: ["off", "unregistered"] };
export const brokerStatus = (row) => STATUSES[row.status] ?? ["off", String(row.status).toLowerCase()];
