// The line protocol over HTTP: lines in, a reply for each out. This page only ever asks.

/** A reply: `ok` false for a refusal; `pairs` of its last line, `rows` of those before it, each with its kind in `_`. */
export async function ask(lines, signal) {
  const response = await fetch("/v1/lines", {
    method: "POST",
    headers: { "content-type": "text/plain; charset=utf-8" },
    body: lines.join("\n") + "\n",
    signal,
    cache: "no-store",
  });
  if (!response.ok) throw new Error(`the node answered ${response.status}`);
  const replies = [];
  let rows = [];
  for (const line of (await response.text()).split("\n")) {
    if (!line) continue;
    const pairs = JSON.parse(line);
    if (pairs._ === "ok" || pairs._ === "err") {
      replies.push({ ok: pairs._ === "ok", pairs, rows });
      rows = [];
    } else rows.push(pairs);
  }
  return replies;
}

/** A value as a line takes it, whatever it holds. */
export const quoted = (value) => JSON.stringify(String(value));

/** A glob for whatever contains this text. */
export const containing = (text) => quoted(`*${text.replace(/[[*?]/g, "[$&]")}*`);
