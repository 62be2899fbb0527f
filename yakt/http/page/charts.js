// Two charts of the last minutes. What they show is said in words in their captions.

import { h, patch } from "./dom.js";
import { duration, number } from "./words.js";

const SERIES = ["--series-1", "--series-2", "--series-3", "--series-4", "--series-5"];
const HEIGHT = 150;
const charts = new Map();

export function drawCharts(state) {
  const { points } = state;
  if (!points.time.length || !globalThis.uPlot) return;
  const last = (list) => list.findLast((value) => value !== null);
  draw("latency", [points.time, points.p50, points.p99], (value) => duration(value));
  patch(document.getElementById("latency-said"), [h("span", { class: "key s1" }), `median ${duration(last(points.p50))}`, h("span", { class: "key s2" }), `99 % ${duration(last(points.p99))}`]);
  const voters = [...points.lag.keys()].sort((a, b) => a - b);
  draw("lag", [points.time, ...voters.map((id) => points.lag.get(id))], (value) => number(value));
  patch(document.getElementById("lag-said"), voters.map((id, place) => [h("span", { class: `key s${(place % SERIES.length) + 1}` }), `node ${id}: ${number(points.lag.get(id).at(-1))}`]));
}

/** After the theme or the width changed. */
export function dropCharts() {
  for (const { plot } of charts.values()) plot.destroy();
  charts.clear();
}

function draw(id, data, form) {
  const place = document.getElementById(id);
  const width = place.clientWidth;
  const known = charts.get(id);
  if (known && known.width === width && known.count === data.length) {
    known.plot.setData(data);
    return;
  }
  known?.plot.destroy();
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const axis = { stroke: colour("--muted"), font: "12px system-ui, sans-serif", ticks: { show: false } };
  const plot = new globalThis.uPlot(
    {
      width,
      height: HEIGHT,
      padding: [10, 8, 0, 0],
      legend: { show: false },
      cursor: { show: false },
      scales: { x: { range: (_, low, high) => [Math.min(low, high - 120), high] }, y: { range: (_, low, high) => [0, Math.max(high ?? 0, 1) * 1.15] } },
      axes: [
        { ...axis, grid: { show: false }, size: 28, space: 90, values: (_, splits) => splits.map((at) => new Date(at * 1000).toLocaleTimeString("en-GB")) },
        { ...axis, grid: { stroke: colour("--line"), width: 1 }, size: 62, space: 32, values: (_, splits) => splits.map((value) => form(value)) },
      ],
      series: [{}, ...data.slice(1).map((_, number) => ({ stroke: colour(SERIES[number % SERIES.length]), width: 1.75, points: { show: false }, spanGaps: true, dash: number % 2 ? [6, 3] : [] }))],
    },
    data,
    place,
  );
  charts.set(id, { plot, width, count: data.length });
}
