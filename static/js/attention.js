// What is wrong, first: the server judges, this draws what it says.

import { base, find, h, setText } from "./dom.js";
import { SEVERITIES } from "./format.js";

/** A severity, and what one and several of it are called, as app/attention.py says them. */
const WORDS = [["critical", "critical", "critical"], ["warning", "warning", "warnings"], ["info", "note", "notes"]];

/** @typedef {{severity: string, summary: string, hint: string, link: string}} Item */

/** Redraw the list line by line; what did not change is not touched. @param {Item[]} items */
export function showAttention(items) {
  const list = find("#attention");
  if (!list) return;
  const fresh = items.map(({ severity, summary, hint, link }) =>
    h("li", { "data-severity": severity }, h("span", { class: "glyph", "aria-hidden": "true" }, SEVERITIES[severity] ?? "·"),
      h("span", {}, h("span", { class: "says" }, link ? h("a", { href: base + link, title: summary }, summary) : summary), h("span", { class: "sub", title: hint }, hint))));
  if (items.every((item) => item.severity === "info")) {
    fresh.unshift(h("li", { class: "calm" }, h("span", { class: "glyph good", "aria-hidden": "true" }, "✓"),
      h("span", {}, h("span", { class: "says good" }, "Nothing is wrong."), h("span", { class: "sub" }, "No line blocks, no pool runs dry, nobody died unseen."))));
  }
  fresh.forEach((item, index) => {
    const old = list.children[index];
    if (!old) list.append(item);
    else if (!old.isEqualNode(item) && !old.contains(document.activeElement)) old.replaceWith(item);
  });
  while (list.childElementCount > fresh.length) list.lastElementChild?.remove();
  const words = WORDS.map(([severity, one, many]) => [items.filter((item) => item.severity === severity).length, one, many]);
  setText(find("#attention-count"), words.filter(([number]) => number).map(([number, one, many]) => `${number} ${number === 1 ? one : many}`).join(", "));
}
