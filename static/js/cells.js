// One row of the greenlets table, cell by cell, as templates/_partials/greenlet_row.html writes it.

import { base, h, icon, setAttribute, setText } from "./dom.js";
import { GLYPHS, SEVERITIES, clock, count, duration, findingLink, fullplace, place, text } from "./format.js";

/** @typedef {{id: string, state: string, name: string, function: string} & Record<string, any>} Row */

const LIVE = new Set(["pending", "ready", "running", "waiting"]);
const NUMERIC = new Set(["age", "run_time", "ready_time", "wait_time", "switches", "longest_run"]);

/** @param {string} state */
export const isLive = (state) => LIVE.has(state);

/** The fields that a column is made of, where they are not its own name. @type {Record<string, string[]>} */
const MADE_OF = { name: ["name", "function"], waiting_on: ["waiting_on", "exception", "state"] };

/** @param {Row} row @param {Map<string, string>} groups */
const groupNames = (row, groups) => {
  const ids = row.groups ?? [], names = ids.slice(0, 3).map((/** @type {string} */ id) => groups.get(id) ?? `group ${id}`).join(", ");
  return ids.length > 3 ? `${names} and ${count(ids.length - 3)} more` : names || "–";
};

/** @param {any} waiting */
export function waitingText(waiting) {
  if (!waiting) return "–";
  return waiting.name ? `${waiting.kind} ${waiting.name}` : waiting.kind;
}

/** Write one cell. @param {HTMLElement} cell @param {string} key @param {Row} row @param {Map<string, string>} groups */
function write(cell, key, row, groups) {
  const inner = cell.firstElementChild;
  switch (key) {
    case "name": setText(inner, row.name || row.function || "?"); setAttribute(inner, "title", row.name); return;
    case "state": setText(inner, row.state); setAttribute(inner, "data-state", row.state); setAttribute(inner, "data-glyph", GLYPHS[row.state] ?? "?"); return;
    case "place": setText(inner, place(row.place)); setAttribute(inner, "title", fullplace(row.place)); return;
    case "spawn_site": setText(inner, place(row.spawn_site)); setAttribute(inner, "title", fullplace(row.spawn_site)); return;
    case "waiting_on":
      setText(cell, row.state === "failed" && row.exception ? `${row.exception.type}: ${row.exception.message}` : waitingText(row.waiting_on));
      cell.classList.toggle("bad", row.state === "failed");
      return;
    case "groups": setText(cell, groupNames(row, groups)); return;
    case "exception": setText(cell, row.exception ? `${row.exception.type}: ${row.exception.message}` : ""); return;
    case "created": case "ended": setText(cell, clock(row[key])); return;
    case "switches": setText(cell, count(row.switches)); return;
    default: setText(cell, NUMERIC.has(key) ? duration(row[key]) : text(row[key]));
  }
}

export class LiveRow {
  /** @param {HTMLTableRowElement} tr @param {string[]} columns @param {Map<string, string>} groups */
  constructor(tr, columns, groups) {
    this.tr = tr;
    this.columns = columns;
    this.groups = groups;
    /** @type {Row} */
    this.row = { id: tr.dataset.id ?? "", state: "", name: "", function: "" };
  }

  /** Make the cells of a row that the server has not drawn. @param {string} id @param {string[]} columns @param {Map<string, string>} groups @param {string} link */
  static make(id, columns, groups, link) {
    const tr = /** @type {HTMLTableRowElement} */ (h("tr", { "data-id": id }));
    for (const key of columns) {
      const cell = h("td", { class: `c-${key}${NUMERIC.has(key) ? " r" : ""}` });
      if (key === "name") cell.append(h("a", { href: link, "data-row": true }));
      else if (key === "state") cell.append(h("span", { class: "state" }));
      else if (key === "place" || key === "spawn_site") cell.append(h("span"));
      tr.append(cell);
    }
    tr.append(h("td", { class: "c-do" }));
    return new LiveRow(tr, columns, groups);
  }

  /** Take changed fields and redraw only their cells. @param {Partial<Row>} fields @param {boolean} canKill */
  update(fields, canKill) {
    const wasLive = isLive(this.row.state);
    Object.assign(this.row, fields);
    this.columns.forEach((key, index) => {
      const sources = MADE_OF[key] ?? [key];
      if (sources.some((field) => field in fields)) write(/** @type {HTMLElement} */ (this.tr.cells[index]), key, this.row, this.groups);
    });
    const live = isLive(this.row.state);
    if (live !== wasLive || !this.tr.dataset.known) {
      this.tr.dataset.known = "yes";
      this.tr.classList.toggle("ended", !live);
      this.#offerKill(canKill && live);
    }
  }

  /** The mark that the server has drawn. */
  get mark() {
    const link = /** @type {HTMLElement | null} */ (this.tr.querySelector(".mark"));
    return link && { severity: link.dataset.severity ?? "", summary: link.title, finding: decodeURIComponent(/** @type {HTMLAnchorElement} */ (link).hash.slice(1)) };
  }

  /** Show that a finding names it, or no longer. @param {{severity: string, summary: string, finding: string} | undefined} mark */
  warn(mark) {
    const cell = this.tr.cells[this.columns.indexOf("name")], old = cell?.querySelector(".mark");
    if (!mark) old?.remove();
    else if (cell && old?.getAttribute("title") !== mark.summary) {
      const link = h("a", { class: "mark", href: base + findingLink(mark.finding), "data-severity": mark.severity, title: mark.summary, "aria-label": `${mark.severity}: ${mark.summary}` }, SEVERITIES[mark.severity] ?? "·");
      if (old) old.replaceWith(link);
      else cell.append(" ", link);
    }
  }

  /** Let the age of a living one grow. @param {number} now milliseconds since 1970 by the server's clock */
  grow(now) {
    const index = this.columns.indexOf("age");
    if (index < 0 || !this.row.created || !isLive(this.row.state)) return;
    setText(this.tr.cells[index], duration((now - Date.parse(this.row.created)) / 1000));
  }

  /** @param {boolean} offer */
  #offerKill(offer) {
    const cell = this.tr.cells[this.columns.length];
    const old = cell.querySelector("button");
    if (!offer) {
      if (old === document.activeElement) this.tr.querySelector("a")?.focus();
      old?.remove();
    } else if (!old) {
      const button = h("button", { type: "button", class: "js", "data-kill": this.row.id, "aria-label": `Kill ${this.row.name} ${this.row.id}`, title: "Kill" });
      button.append(icon("octagon-x", true));
      cell.append(button);
    }
  }
}
