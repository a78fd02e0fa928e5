// What is wrong, first: the same rules as app/pages/attention.py, applied to the stream's figures.

import { base, find, h } from "./dom.js";
import { count, duration, place, rate } from "./format.js";

const SLOW_LAG = 0.1, STUCK_LAG = 1, OLD_SAMPLE = 5;
const GLYPHS = { critical: "✕", warning: "▲", info: "·" };
/** @typedef {{severity: "critical" | "warning" | "info", summary: string, hint: string, link: string}} Item */

/** @param {any} model @returns {Item[]} */
export function findAttention(model) {
  const { health = {}, groups = [], counts = {}, rates = {}, findings = [] } = model;
  /** @type {Item[]} */
  const items = [];
  /** @param {Item["severity"]} severity @param {string} summary @param {string} hint @param {string} [link] */
  const add = (severity, summary, hint, link = "") => items.push({ severity, summary, hint, link });
  for (const finding of findings) {
    const culprit = finding.culprit ?? {};
    add(finding.severity in GLYPHS ? finding.severity : "info", finding.summary ?? "", culprit.file ? place(culprit) : (finding.kind ?? ""), culprit.greenlet ? `/greenlets/${culprit.greenlet}` : "");
  }
  for (const hub of model.hubs ?? health.hubs ?? []) {
    if ((hub.lag ?? 0) < SLOW_LAG) continue;
    const blocked = hub.blocked_in?.at(-1);
    add(hub.lag >= STUCK_LAG ? "critical" : "warning", `Hub ${hub.thread || ""} has not turned for ${duration(hub.lag)}`,
      blocked ? `in ${place(blocked)}` : "All others wait until it gives way.", hub.running ? `/greenlets/${hub.running}` : "");
  }
  if (health.sample_age != null && health.sample_age >= OLD_SAMPLE) add("warning", `No sample for ${duration(health.sample_age)}`, "Something holds the interpreter; this recovers by itself.");
  if (health.fault) add("critical", `The watching itself failed: ${health.fault}`, "The program goes on; figures may be old.");
  for (const group of groups) {
    if (group.size && group.active >= group.size && group.waiters) {
      add("warning", `Pool ${group.name || group.id} is full: ${count(group.waiters)} wait for one of ${count(group.size)} slots`, "Resize it, or look at its longest running members.", `/groups/${group.id}`);
    }
  }
  const lately = rates["10s"]?.failed ?? 0, failures = "/greenlets?state=failed&sort=-ended";
  if (counts.failed && lately >= 0.05) add("warning", `${rate(lately)} failures a second`, `${count(counts.failed)} have failed so far.`, failures);
  else if (counts.failed) add("info", `${count(counts.failed)} failed so far`, "None in the last ten seconds.", failures);
  const dropped = Object.values(health.dropped ?? {}).reduce((sum, value) => sum + Number(value), 0);
  if (dropped) add("info", `${count(dropped)} events were dropped`, "They came faster than they could be kept; states are right, the tail has holes.");
  const order = Object.keys(GLYPHS);
  return items.sort((a, b) => order.indexOf(a.severity) - order.indexOf(b.severity));
}

/** Redraw the list line by line; what did not change is not touched. @param {any} model */
export function showAttention(model) {
  const list = find("#attention");
  if (!list) return;
  const items = findAttention(model);
  const fresh = items.map(({ severity, summary, hint, link }) =>
    h("li", { "data-severity": severity }, h("span", { class: "glyph", "aria-hidden": "true" }, GLYPHS[severity]),
      h("span", {}, link ? h("a", { href: base + link }, summary) : summary, h("br"), h("span", { class: "sub" }, hint))));
  if (!fresh.length) {
    fresh.push(h("li", { class: "calm" }, h("span", { class: "good" }, "✓ Nothing is wrong."), h("br"), h("span", { class: "sub" }, "No failures, no full pool, no slow hub, nothing dropped.")));
  }
  fresh.forEach((item, index) => {
    const old = list.children[index];
    if (!old) list.append(item);
    else if (!old.isEqualNode(item) && !old.contains(document.activeElement)) old.replaceWith(item);
  });
  while (list.childElementCount > fresh.length) list.lastElementChild?.remove();
}
