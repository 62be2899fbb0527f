// What the page shows of a state: pure functions from the state to descriptions of elements.

import { h, icon } from "./dom.js";
import { PAGE, PROBLEMS } from "./live.js";
import { brokerStatus, clock, condition, duration, isSilent, many, number, verdict } from "./words.js";

/** A link that opens the dialog; the address of a thing is the page's own. */
export const link = (kind, name, text = name) => h("a", { href: `#${kind}/${encodeURIComponent(name)}`, class: "name" }, text);

const sign = (level, text) => h("span", { class: `state ${level}` }, icon(level), text);

export function verdictView(state) {
  const { level, title, more } = verdict(state);
  const { summary } = state;
  const figures = summary && [
    ["Brokers", number(summary.brokers), summary.fenced ? `${number(summary.fenced)} fenced` : ""],
    ["Topics", number(summary.topics), ""],
    ["Partitions", number(summary.partitions), summary.reassigning ? `${number(summary.reassigning)} moving` : ""],
    ["Without a leader", number(summary.leaderless), ""],
    ["Short of replicas", number(summary.under_replicated), ""],
    ["Commits / s", state.past === null ? number(state.rate === undefined ? null : Math.round(state.rate)) : "–", ""],
    ["Offset", number(summary.offset), ""],
  ];
  return {
    level,
    said: `${title}. ${more}`,
    nodes: [
      h("div", {}, h("h1", {}, icon(level, level), h("span", {}, title)), h("p", { class: "more" }, more)),
      figures && h("dl", { class: "figures" }, figures.map(([name, value, aside]) => h("div", { key: name }, h("dt", {}, name), h("dd", {}, value, aside && h("small", {}, ` ${aside}`))))),
    ],
  };
}

// --- problems

export function problemsView(state) {
  const { summary, problems, quorum } = state;
  if (!summary) return [];
  const list = [];
  const say = (key, level, first, second) => list.push(h("li", { key }, icon(level, level), h("div", {}, h("p", {}, first), second && h("p", {}, second))));
  if (state.past === null && state.status?.leader === null)
    say("leader", "bad", ["No node leads. ", h("a", { href: "#write" }, "Explain")], "Reads of this page are of what this node last applied.");
  else if (state.past === null && state.health && !state.health.ready) say("health", "bad", ["A write would not commit. ", h("a", { href: "#write" }, "Explain")], state.health.reasons.join("; "));
  if (state.past === null && quorum)
    for (const row of quorum.rows)
      if (row._ === "voter" && isSilent(row) && state.status?.leader !== null)
        say(`voter-${row.id}`, "warn", `Node ${row.id} is silent`, row.last_fetch_ms === null ? "The leader has not heard of it since it leads." : `It last fetched ${duration(row.last_fetch_ms)} ago.`);
  const fenced = problems.fenced?.rows ?? [];
  const more = Math.max(0, summary.fenced - fenced.length);
  if (fenced.length > 3)
    say("fenced", "warn", `${many(summary.fenced, "broker")} are fenced`, [
      fenced.map((row, place) => [place ? ", " : "", link("broker", row.id)]),
      more > 0 && ` and ${number(more)} more: Brokers, fenced only, lists them all`,
    ]);
  for (const row of fenced.length > 3 ? [] : fenced)
    say(`broker-${row.id}`, "warn", [link("broker", row.id, `Broker ${row.id}`), " is fenced"], row.replicas ? `It holds ${many(row.replicas, "replica")}, ${number(row.out_of_sync)} of them out of sync.` : "It holds no replicas.");
  const partitions = new Map();
  for (const reply of [problems.leaderless, problems.under]) for (const row of reply?.rows ?? []) partitions.set(`${row.topic}:${row.partition}`, row);
  const rows = [...partitions.values()].slice(0, PROBLEMS);
  if (!list.length && !rows.length)
    return h("p", { class: "empty" }, sign("ok", state.past === null ? "Nothing is wrong that this node can see." : "Nothing was wrong with the metadata."));
  const total = summary.leaderless + summary.under_replicated;
  const found = [
    h("ul", { class: "problem-list", key: "list" }, list),
    rows.length > 0 && partitionTable(rows, "problems", total > rows.length ? `The first ${rows.length} of the partitions in trouble; Topics, with problems only, lists them all.` : "Partitions in trouble"),
  ];
  return summary.leaderless ? found.reverse() : found; // the worst first
}

function partitionTable(rows, key, caption) {
  return h(
    "div",
    { class: "scroll", key },
    h(
      "table",
      {},
      h("caption", {}, caption),
      h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Partition"), h("th", { scope: "col", class: "n" }, "Leader"), h("th", { scope: "col", class: "less" }, "Replicas"), h("th", { scope: "col" }, "Condition"))),
      h("tbody", {}, rows.map((row) => {
        const { level, text } = condition(row);
        const name = `${row.topic}:${row.partition}`;
        return h("tr", { key: name }, h("th", { scope: "row" }, link("partition", name)), h("td", { class: "n" }, row.leader === -1 ? "none" : row.leader), h("td", { class: "less" }, row.replicas.join(", ")), h("td", {}, h("span", { class: `state ${level}` }, icon(level), text)));
      })),
    ),
  );
}

// --- quorum

export function quorumView(state) {
  const { quorum, status } = state;
  if (!quorum) return h("p", { class: "empty" }, "Asking the leader…");
  const rows = quorum.rows;
  const known = quorum.pairs.leader;
  return h(
    "div",
    { class: "scroll" },
    h(
      "table",
      {},
      h("caption", {}, `${known === null ? "As this node sees it: nobody is known to lead" : `As node ${known} sees it, which leads`}. Epoch ${number(quorum.pairs.epoch)}, committed below offset ${number(quorum.pairs.high_watermark)}.${state.past === null ? "" : " The quorum is shown as it is now."}`),
      h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Node"), h("th", { scope: "col" }, "Role"), h("th", { scope: "col", class: "n" }, "Behind"), h("th", { scope: "col", class: "n" }, "Last fetch"), h("th", { scope: "col", class: "n less" }, "Log end"), h("th", { scope: "col", class: "less" }, "Address"))),
      h("tbody", {}, rows.map((row) => {
        const silent = row._ === "voter" && isSilent(row);
        const role = row.role ?? (row._ === "observer" ? "observer" : "silent");
        const level = role === "leader" ? "lead" : silent ? "warn" : "ok";
        return h("tr", { key: `${row._}-${row.id}` }, h("th", { scope: "row" }, `Node ${row.id}`, row.id === status?.node && " (this)"),
          h("td", {}, h("span", { class: `state ${level === "lead" ? "move" : level}` }, icon(level), silent ? `${role === "silent" ? "" : `${role}, `}silent` : role)),
          h("td", { class: "n" }, number(row.lag)), h("td", { class: "n" }, row.role === "leader" || row.last_fetch_ms === null ? "–" : duration(row.last_fetch_ms)),
          h("td", { class: "n less" }, number(row.end)), h("td", { class: "less mono" }, row.address ?? "–"));
      })),
    ),
  );
}

// --- lists

function pager(list, what, total, turn) {
  const first = list.after.length * PAGE;
  return h("nav", { class: "pages", key: "pages", "aria-label": `Pages of ${what}` },
    h("span", {}, list.rows.length ? `${number(first + 1)} to ${number(first + list.rows.length)}${total === null ? "" : ` of ${number(total)}`}` : ""),
    h("button", { type: "button", disabled: !list.after.length, onclick: () => turn(null) }, "Back"),
    h("button", { type: "button", disabled: list.next === null, onclick: () => turn(list.next) }, "Next"));
}

export function topicsView(state, turn) {
  const { topics, summary } = state;
  if (!topics.rows) return h("p", { class: "empty" }, "Asking the node…");
  if (!topics.rows.length && !topics.after.length) {
    if (topics.search) return h("p", { class: "empty" }, `No topic's name contains “${topics.search}”.`);
    if (topics.problems) return h("p", { class: "empty" }, "No topic has a problem.");
    return h("p", { class: "empty" }, "There are no topics. To make one, at the line port: ", h("code", {}, "TOPIC CREATE orders partitions=6"));
  }
  return [
    h("div", { class: "scroll", key: "table" }, h("table", {},
      h("caption", { class: "heard" }, "Topics by name, and how their partitions are"),
      h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Topic"), h("th", { scope: "col", class: "n" }, "Partitions"), h("th", { scope: "col", class: "n less" }, "Replication"), h("th", { scope: "col" }, "Condition"))),
      h("tbody", {}, topics.rows.map((row) => h("tr", { key: row.name }, h("th", { scope: "row" }, link("topic", row.name)), h("td", { class: "n" }, number(row.partitions)), h("td", { class: "n less" }, row.replication), h("td", {}, topicCondition(row))))))),
    pager(topics, "topics", topics.search || topics.problems ? null : summary.topics, turn),
  ];
}

function topicCondition(row) {
  if (row.leaderless) return sign("bad", `${number(row.leaderless)} without a leader`);
  if (row.under_replicated) return sign("warn", `${number(row.under_replicated)} short of replicas`);
  return row.partitions ? sign("ok", "in sync") : sign("off", "no partitions");
}

export function brokersView(state, turn) {
  const { brokers, summary } = state;
  if (!brokers.rows) return h("p", { class: "empty" }, "Asking the node…");
  if (!brokers.rows.length && !brokers.after.length) {
    if (brokers.search) return h("p", { class: "empty" }, `No broker's id, host or rack contains “${brokers.search}”.`);
    if (brokers.fenced) return h("p", { class: "empty" }, "No broker is fenced.");
    return h("p", { class: "empty" }, "No broker has registered. To play one, at the line port: ", h("code", {}, "BROKER REGISTER 11 host=b1 port=9092 session=600000"), " then ", h("code", {}, "BROKER HEARTBEAT 11"));
  }
  return [
    h("div", { class: "scroll", key: "table" }, h("table", {},
      h("caption", { class: "heard" }, "Brokers by id"),
      h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Broker"), h("th", { scope: "col" }, "State"), h("th", { scope: "col", class: "n" }, "Leads"), h("th", { scope: "col", class: "n" }, "Replicas"), h("th", { scope: "col", class: "n less" }, "Out of sync"), h("th", { scope: "col", class: "less" }, "Rack"), h("th", { scope: "col", class: "less" }, "Address"))),
      h("tbody", {}, brokers.rows.map((row) => {
        const [level, word] = brokerStatus(row);
        return h("tr", { key: row.id }, h("th", { scope: "row" }, link("broker", row.id, `Broker ${row.id}`)), h("td", {}, sign(level, word)), h("td", { class: "n" }, number(row.leads)), h("td", { class: "n" }, number(row.replicas)), h("td", { class: "n less" }, number(row.out_of_sync)), h("td", { class: "less name" }, row.rack ?? "–"), h("td", { class: "less mono name" }, row.host ? `${row.host}:${row.port}` : "–"));
      })))),
    pager(brokers, "brokers", brokers.search || brokers.fenced ? null : summary.brokers, turn),
  ];
}

// --- feed

export function feedView(state) {
  if (!state.feed.length) return h("p", { class: "empty" }, "Nothing has happened since this page was opened. Each change of the metadata will be told here.");
  return h("ol", { class: "feed-list", reversed: true }, state.feed.map((event) => h("li", { key: event.number },
    h("span", { class: "when", title: `offset ${event.offset}` }, event.time ? clock(event.time) : `at ${event.offset}`),
    h("span", { class: event.kind }, event.of ? [h("a", { href: `#${event.of.kind}/${encodeURIComponent(event.of.name)}` }, event.say)] : event.say))));
}

// --- the dialog

export function detailView(state, { close, turn, tell }) {
  const { open, opened } = state;
  const title = { topic: "Topic", broker: "Broker", partition: "Partition", write: "Would a write commit?" }[open.kind];
  const parts = [h("div", { class: "top", key: "top" }, h("h2", { id: "detail-title" }, title, " ", open.name ?? ""), h("button", { type: "button", onclick: close, key: "close" }, "Close"))];
  if (state.past !== null && open.kind !== "write") parts.push(h("p", { class: "empty", key: "past" }, `As it was below offset ${number(state.past)}. Explain, history and blame tell of now.`));
  const refusal = Object.values(opened).find((reply) => reply && !reply.ok);
  if (refusal) parts.push(h("p", { class: "empty", key: "refusal" }, refusal.pairs.msg));
  parts.push(...({ topic: topicFacts, broker: brokerFacts, partition: partitionFacts, write: () => [] }[open.kind](state)));
  const entity = { topic: `topic/${open.name}`, broker: `broker/${open.name}`, partition: open.name }[open.kind];
  const asks = [];
  if (open.kind !== "topic") asks.push(["Explain", `EXPLAIN ${open.kind === "write" ? "write" : JSON.stringify(entity)}`]);
  if (entity) asks.push(["History", `HISTORY ${JSON.stringify(entity)} say=true`], ["Blame", `BLAME ${JSON.stringify(entity)} say=true`]);
  parts.push(h("div", { class: "links", key: "asks" }, asks.map(([word, line]) => h("button", { type: "button", key: word, "aria-pressed": String(open.asked === word), onclick: () => tell(word, line) }, word))));
  parts.push(toldView(open));
  if (["topic", "broker"].includes(open.kind) && opened.partitions?.ok) {
    const { rows, pairs } = opened.partitions;
    parts.push(h("h3", { key: "h" }, open.kind === "topic" ? "Partitions" : "Partitions with a replica here"));
    if (rows.length) {
      parts.push(partitionTable(rows, "partitions", `${many(rows.length, "partition")} on this page`));
      if (pairs.next !== undefined || open.after.length) parts.push(pager({ rows, after: open.after, next: pairs.next ?? null }, "partitions", null, turn));
    } else parts.push(h("p", { class: "empty", key: "none" }, "None."));
  }
  return parts;
}

const facts = (pairs) => h("dl", { class: "facts", key: "facts" }, pairs.map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));

function topicFacts({ opened }) {
  const row = opened.row?.rows?.[0];
  if (!row) return [];
  const configs = opened.configs?.rows ?? [];
  return [facts([["Condition", topicCondition(row)], ["Partitions", number(row.partitions)], ["Replication", row.replication], ["Id", h("span", { class: "mono" }, row.id)], ["Configs", configs.length ? configs.map((one) => h("div", {}, h("span", { class: "mono" }, `${one.key} = ${one.value}`))) : "none of its own"]])];
}

function brokerFacts({ opened }) {
  const row = opened.row?.rows?.[0];
  if (!row) return [];
  const [level, word] = brokerStatus(row);
  return [facts([["State", sign(level, word)], ["Address", `${row.host}:${row.port} (${row.protocol})`], ["Rack", row.rack ?? "none"], ["Leads", row.leads === undefined ? "–" : many(row.leads, "partition")], ["Holds", row.replicas === undefined ? "–" : `${many(row.replicas, "replica")}, ${number(row.out_of_sync)} out of sync`], ["Broker epoch", number(row.epoch)], ["Incarnation", h("span", { class: "mono" }, row.uuid)]])];
}

function partitionFacts({ open, opened }) {
  const row = opened.partitions?.rows?.[0];
  if (!row) return [];
  const { level, text } = condition(row);
  const ids = (list) => (list.length ? list.map((id, place) => [place ? ", " : "", link("broker", id, `broker ${id}`)]) : "none");
  return [facts([["Condition", sign(level, text)], ["Topic", link("topic", row.topic)], ["Leader", row.leader === -1 ? "none" : link("broker", row.leader, `broker ${row.leader}`)], ["Replicas", ids(row.replicas)], ["In sync", ids(row.isr)], ["Leader epoch", number(row.leader_epoch)], ["Partition epoch", number(row.partition_epoch)]])];
}

function toldView(open) {
  const { told } = open;
  const body = [];
  if (told === undefined) body.push(h("p", { class: "wait" }, open.asked ? "Asking…" : "Explain tells why it is so, History what happened to it, Blame who did it."));
  else {
    for (const row of told.rows) body.push(row._ === "text" ? h("p", { class: /^\s*(Type: |>)/.test(row.text) ? "type" : "" }, row.text) : h("p", {}, inWords(row)));
    if (!told.ok) body.push(h("p", {}, `${told.pairs.msg ?? told.pairs.code}`));
    else if (!told.rows.length) body.push(h("p", {}, "Nothing is known of it in the kept log."));
  }
  return h("div", { class: "told", key: "told", role: "status", "aria-live": "polite" }, body);
}

function inWords(row) {
  const who = [row.by && `by ${row.by}`, row.client && `client ${row.client}`, row.address && `from ${row.address}`, row.reason && `“${row.reason}”`].filter(Boolean).join(", ");
  const what = row.say ?? Object.entries(row).filter(([key]) => !["_", "tag", "offset", "time", "by", "client", "address", "reason", "request"].includes(key)).map(([key, value]) => `${key}=${typeof value === "string" ? value : JSON.stringify(value)}`).join(" ");
  return `${number(row.offset)}  ${row.time ? clock(row.time) : ""}  ${row.say ? "" : `${row._} `}${what}${who ? `  (${who})` : ""}`;
}
