// What is wrong, first: the server judges, this draws what it says.

import { base, find, h } from "./dom.js";
import { SEVERITIES } from "./format.js";

/** @typedef {{severity: string, summary: string, hint: string, link: string}} Item */

/** Redraw the list line by line; what did not change is not touched. @param {Item[]} items */
export function showAttention(items) {
  const list = find("#attention");
  if (!list) return;
  const fresh = items.map(({ severity, summary, hint, link }) =>
    h("li", { "data-severity": severity }, h("span", { class: "glyph", "aria-hidden": "true" }, SEVERITIES[severity] ?? "·"),
      h("span", {}, h("span", { class: "says" }, link ? h("a", { href: base + link, title: summary }, summary) : summary), h("span", { class: "sub", title: hint }, hint))));
  if (!fresh.length) {
    fresh.push(h("li", { class: "calm" }, h("span", { class: "good" }, "✓ Nothing is wrong."), h("span", { class: "sub" }, "No line blocks, no pool is dry, nothing failed lately, nothing was dropped.")));
  }
  fresh.forEach((item, index) => {
    const old = list.children[index];
    if (!old) list.append(item);
    else if (!old.isEqualNode(item) && !old.contains(document.activeElement)) old.replaceWith(item);
  });
  while (list.childElementCount > fresh.length) list.lastElementChild?.remove();
}
