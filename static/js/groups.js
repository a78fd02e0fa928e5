// Groups and pools as rows, kept up to date by the stream; the overview and the page of all groups share it.

import { all, base, find, h, icon, setAttribute, setText } from "./dom.js";
import { count, rate } from "./format.js";
import { drawSlots } from "./slots.js";

/** @typedef {{id: string, name: string, kind: string, size: number | null, active: number, free: number | null, waiters: number | null, spawned: number, succeeded: number, failed: number, killed: number, peak: number, rate?: number | null, failure_rate?: number | null}} Group */

/** @param {Group} group */
export function slotsLabel(group) {
  return group.size === null ? `${count(group.active)} members` : `${count(group.active)} of ${count(group.size)} slots taken, ${count(group.waiters)} waiting for one`;
}

const SLOTS = '<path class="free"/><path class="taken"/><path class="queue"/>';

/** @param {Group} group @param {Record<string, boolean>} controls */
function makeRow(group, controls) {
  const name = group.name || `${group.kind} ${group.id}`;
  const slots = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  for (const [key, value] of Object.entries({ class: "slots", viewBox: "0 0 200 14", preserveAspectRatio: "none", role: "img" })) slots.setAttribute(key, value);
  slots.innerHTML = SLOTS; // a constant, nothing of the program's
  const cell = (/** @type {string} */ label, /** @type {string} */ key) => h("td", { class: "r", "data-label": label }, h("span", { "data-c": key }));
  const tools = h("td", { class: "tools-cell" });
  /** @param {Record<string, string>} attributes @param {string} glyph @param {string} [tag] */
  const tool = (attributes, glyph, tag = "button") => {
    const button = h(tag, attributes);
    button.append(icon(glyph, true));
    tools.append(button);
  };
  if (controls.spawn) tool({ class: "button icon plain", href: `${base}/spawn?group=${group.id}`, "aria-label": `Spawn into ${name}`, title: "Spawn into it" }, "circle-plus", "a");
  if (controls.resize && group.kind === "pool") tool({ type: "button", "data-resize": group.id, "data-size": String(group.size), "data-name": name, "aria-label": `Resize ${name}`, title: "Resize" }, "scaling");
  if (controls.kill) tool({ type: "button", class: "danger", "data-kill-group": group.id, "aria-label": `Kill all in ${name}`, title: "Kill all members" }, "octagon-x");
  return h("tr", { "data-group": group.id },
    h("td", { class: "c-group cut" }, h("a", { href: `${base}/groups/${group.id}` }, name), " ", h("span", { class: "dim" }, group.id.includes("-") ? `${group.kind} of ${group.id.split("-")[0]}` : group.kind)),
    h("td", { class: "c-slots" }, /** @type {any} */ (slots)),
    cell("In use", "use"), cell("Waiters", "waiters"), cell("Peak", "peak"), cell("Done/s", "rate"), cell("Failing/s", "failing"),
    cell("Succeeded", "succeeded"), cell("Failed", "failed"), cell("Killed", "killed"), tools);
}

/** @param {HTMLElement} row @param {Group} group */
function updateRow(row, group) {
  const part = (/** @type {string} */ key) => find(`[data-c="${key}"]`, row);
  const use = part("use");
  const text = group.size === null ? count(group.active) : `${count(group.active)} / ${count(group.size)}`;
  if (use && use.textContent !== text) use.replaceChildren(count(group.active), ...(group.size === null ? [] : [h("span", { class: "dim" }, ` / ${count(group.size)}`)]));
  for (const key of /** @type {const} */ (["waiters", "peak", "succeeded", "failed", "killed"])) setText(part(key), count(group[key]));
  setText(part("rate"), rate(group.rate));
  setText(part("failing"), rate(group.failure_rate));
  setAttribute(part("failing"), "class", (group.failure_rate ?? 0) >= 0.05 ? "bad" : "");
  setAttribute(part("waiters"), "class", group.waiters ? "near" : "");
  setAttribute(part("failed"), "class", group.failed ? "bad" : "");
  const slots = row.querySelector(".slots");
  if (slots) drawSlots(slots, group.active, group.size, group.waiters, slotsLabel(group));
  find("[data-resize]", row)?.setAttribute("data-size", String(group.size));
}

/** Bring the table to what the stream says; rows are keyed by group, and new ones come at the end. @param {Group[]} groups @param {number} [most] */
export function updateGroups(groups, most = 1000) {
  const body = find("#group-rows"), table = find("#groups"), empty = find("#no-groups"), more = find("#more-groups");
  if (!body || !table) return;
  const controls = JSON.parse(document.body.dataset.controls ?? "{}");
  const rows = new Map(all("tr", body).map((row) => [row.dataset.group ?? "", row]));
  const offset = Number(table.dataset.offset), end = offset + most;
  for (const group of groups.slice(offset, end)) {
    let row = rows.get(group.id);
    if (!row) {
      row = makeRow(group, controls);
      body.append(row);
    }
    updateRow(row, group);
    rows.delete(group.id);
  }
  for (const row of rows.values()) row.remove();
  table.hidden = groups.length === 0;
  if (empty) empty.hidden = groups.length > 0;
  if (more) {
    more.hidden = groups.length <= end;
    setText(more, `${count(groups.length - end)} more`);
    const pager = /** @type {HTMLElement | null} */ (more.closest(".pager"));
    if (pager) {
      setAttribute(more, "href", `${base}/groups?offset=${end}`);
      pager.hidden = more.hidden && !offset;
    }
  }
}

/** @param {import("./app.js").Page} page */
export function start(page) {
  page.onPatch.push((patch) => patch.groups && updateGroups(patch.groups));
  page.stream.open({ view: "overview" });
}
