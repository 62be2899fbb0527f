// Descriptions of elements, and the least change that makes a part of the page look like them. Text is only ever text.

const SVG = "http://www.w3.org/2000/svg";

/** Describe an element: attributes, `on…` handlers, `key` (who it is among its siblings), then children; null is left out. */
export function h(tag, attributes, ...children) {
  const { key, ...rest } = attributes ?? {};
  const kept = children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false);
  return { tag, key, attributes: rest, children: kept };
}

/** One of the symbols in index.html; what it says is said in words beside it. */
export function icon(name, kind = "") {
  return h("svg", { class: `icon ${kind}`, "aria-hidden": "true", focusable: "false" }, h("use", { href: `#i-${name}` }));
}

/** Make the children of `parent` these. Elements of the same key and tag stay, and with them focus and selection. */
export function patch(parent, wanted) {
  const list = (Array.isArray(wanted) ? wanted : [wanted]).flat(Infinity).filter((one) => one || one === 0);
  const keyed = new Map();
  for (const node of parent.childNodes) if (node.yaktKey !== undefined) keyed.set(node.yaktKey, node);
  let at = parent.firstChild;
  for (const one of list) {
    let node = null;
    if (typeof one !== "object") {
      if (at && at.nodeType === 3) node = at;
      else parent.insertBefore((node = document.createTextNode("")), at);
      if (node.data !== String(one)) node.data = String(one);
    } else {
      if (one.key !== undefined) node = keyed.get(one.key) ?? null;
      else if (at && at.nodeType === 1 && at.yaktKey === undefined && at.localName === one.tag) node = at;
      if (node && node.localName !== one.tag) node = null;
      node ??= create(one, parent);
      if (node !== at) parent.insertBefore(node, at);
      dress(node, one.attributes);
      patch(node, one.children);
    }
    at = node.nextSibling;
  }
  while (at) {
    const next = at.nextSibling;
    at.remove();
    at = next;
  }
}

function create(one, parent) {
  const isDrawn = one.tag === "svg" || parent.namespaceURI === SVG;
  const node = isDrawn ? document.createElementNS(SVG, one.tag) : document.createElement(one.tag);
  node.yaktKey = one.key;
  node.yaktHad = {};
  return node;
}

function dress(node, attributes) {
  const had = node.yaktHad ?? (node.yaktHad = {});
  for (const name of Object.keys(had)) {
    if (name in attributes) continue;
    if (name.startsWith("on")) node[name] = null;
    else node.removeAttribute(name);
  }
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node[name] = value;
    else if (name === "value" || name === "disabled" || name === "open") {
      if (node[name] !== value) node[name] = value;
    } else if (value === null || value === undefined || value === false) node.removeAttribute(name);
    else if (had[name] !== value) node.setAttribute(name, value === true ? "" : String(value));
  }
  node.yaktHad = attributes;
}
