// The page, put together: what is drawn where, and what clicks and keys do.

import { drawCharts, dropCharts } from "./charts.js";
import { patch } from "./dom.js";
import { changed, flushFeed, isTravelling, lookAgain, onChange, start, state, tellAbout, travel } from "./live.js";
import { brokersView, detailView, feedView, problemsView, quorumView, topicsView, verdictView } from "./views.js";
import { moment, number } from "./words.js";

const byId = (id) => document.getElementById(id);
const body = (id) => byId(id).querySelector(".body");

let saidBefore = "";
let feedDrawn = null;

function draw() {
  const { level, nodes } = verdictView(state);
  byId("verdict").className = level;
  patch(byId("verdict"), nodes);
  say(byId("verdict").querySelector("h1")?.textContent ?? "", state.status);
  const { status } = state;
  document.documentElement.classList.toggle("in-past", state.past !== null);
  if (status) {
    byId("cluster").textContent = status.cluster;
    byId("served").textContent = state.lost ? "Connection lost, trying again" : `Live from node ${status.node} (${status.role}), as it has applied`;
    document.title = `${byId("verdict").querySelector("h1").textContent} · YAKt ${status.cluster}`;
  }
  patch(body("problems"), problemsView(state));
  patch(body("quorum"), quorumView(state));
  patch(body("topics"), topicsView(state, (next) => turn(state.topics, next)));
  patch(body("brokers"), brokersView(state, (next) => turn(state.brokers, next)));
  if (feedDrawn !== state.feed) {
    feedDrawn = state.feed;
    patch(body("feed"), feedView(state));
  }
  drawTime();
  drawCharts(state);
  if (state.open) patch(body("detail"), detailView(state, { close, turn: (next) => turn(state.open, next), tell }));
}

/** To a screen reader: when the verdict or the leader is another, not when a number is. */
function say(title, status) {
  const kind = `${title.replace(/[\d,]+/g, "#")} ${state.past === null ? status?.leader : "past"}`;
  if (kind === saidBefore) return;
  saidBefore = kind;
  const leads = state.past !== null || !status || status.leader === null ? "" : ` Node ${status.leader} leads.`;
  byId("said").textContent = `${title}.${leads}`;
}

function turn(list, next) {
  if (next === null) list.after = list.after.slice(0, -1);
  else list.after = [...list.after, next];
  lookAgain();
}

// --- time

function drawTime() {
  const { status, summary, past, pastWanted, pastError } = state;
  if (!status) return;
  const range = byId("at");
  const exact = byId("at-number");
  range.min = exact.min = status.log_start;
  range.max = exact.max = status.applied;
  if (pastWanted === null && document.activeElement !== exact) exact.value = status.applied;
  if (pastWanted === null) range.value = status.applied;
  else if (document.activeElement !== range) range.value = pastWanted;
  range.setAttribute("aria-valuetext", pastWanted === null ? "now" : `below offset ${pastWanted}`);
  byId("now").disabled = pastWanted === null;
  byId("time-said").textContent = pastError
    ? pastError
    : isTravelling()
      ? `Reading the log up to offset ${number(pastWanted)}…`
      : past !== null
        ? `This is the past: the state below offset ${number(past)}, ${moment(summary.time)}.`
        : `Now. The log is kept from offset ${number(status.log_start)} on: move the slider to see the state as it was.`;
}

const goTo = (event) => {
  const offset = Number(event.target.value);
  const { status } = state;
  if (!status || event.target.value === "" || !Number.isInteger(offset)) return;
  if (event.target.id === "at") byId("at-number").value = offset;
  if (offset >= status.applied) travel(null);
  else travel(Math.max(offset, status.log_start));
};
byId("at").addEventListener("input", goTo);
byId("at-number").addEventListener("change", goTo);
byId("now").addEventListener("click", () => {
  travel(null);
  byId("at").focus();
});

// --- lists and feed

for (const [id, list] of [["topics", state.topics], ["brokers", state.brokers]]) {
  let timer = 0;
  byId(`${id}-search`).addEventListener("input", (event) => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      list.search = event.target.value.trim().slice(0, 200);
      list.after = [];
      lookAgain();
    }, 150);
  });
}
const filter = (id, list, key) =>
  byId(id).addEventListener("change", (event) => {
    list[key] = event.target.checked;
    list.after = [];
    lookAgain();
  });
filter("topics-problems", state.topics, "problems");
filter("brokers-fenced", state.brokers, "fenced");

byId("pause").addEventListener("click", () => {
  state.feedPaused = !state.feedPaused;
  byId("pause").setAttribute("aria-pressed", String(state.feedPaused));
  byId("pause").textContent = state.feedPaused ? "Go on" : "Pause";
  if (!state.feedPaused) flushFeed();
});

// --- the dialog, by the page's address: #topic/orders, #partition/orders:0, #broker/3, #write

const dialog = byId("detail");
let openedFrom = "";

function openHash() {
  const [, kind, name] = location.hash.match(/^#(topic|partition|broker|write)(?:\/(.*))?$/) ?? [];
  if (!kind || (kind !== "write" && !name)) {
    state.open = null;
    if (dialog.open) dialog.close();
    const link = [...document.querySelectorAll("main a")].find((one) => one.getAttribute("href") === openedFrom);
    openedFrom = "";
    link?.focus();
    return;
  }
  if (!openedFrom) openedFrom = location.hash;
  state.open = { kind, name: name === undefined ? undefined : decode(name), after: [] };
  state.opened = {};
  changed();
  draw();
  if (!dialog.open) dialog.showModal();
  dialog.querySelector("button")?.focus();
  dialog.scrollTop = 0;
  if (kind === "write") void tell("Explain", "EXPLAIN write");
  else if (kind !== "topic") void tell("Explain", `EXPLAIN ${JSON.stringify(kind === "broker" ? `broker/${state.open.name}` : state.open.name)}`);
  lookAgain();
}

function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

async function tell(word, line) {
  const { open } = state;
  open.asked = word;
  open.told = undefined;
  changed();
  const told = await tellAbout(line);
  if (open.asked === word) open.told = told;
  changed();
}

function close() {
  history.pushState(null, "", location.pathname);
  openHash();
}
dialog.addEventListener("cancel", (event) => {
  event.preventDefault();
  close();
});
dialog.addEventListener("click", (event) => {
  if (event.target === dialog) close();
});
addEventListener("hashchange", openHash);

// --- theme

const THEMES = ["system", "light", "dark"];
const WORDS = { system: "Theme: system", light: "Theme: light", dark: "Theme: dark" };
let theme = document.documentElement.dataset.theme ?? "system";
const showTheme = () => {
  byId("theme").textContent = WORDS[theme];
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  dropCharts();
  changed();
};
byId("theme").addEventListener("click", () => {
  theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
  try {
    localStorage.setItem("yakt-theme", theme);
  } catch {
    /* not kept, then */
  }
  showTheme();
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", showTheme);

onChange(draw);
showTheme();
openHash();
start();
