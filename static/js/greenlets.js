// The greenlets table: rows keyed by id and never by place, values that move, an order that holds while somebody points.
//
// The address carries everything (filter, search, order, window, open greenlet), so Back works and a link can be shared.

import { LiveRow } from "./cells.js";
import { all, base, data, find, remember, setAttribute, setText } from "./dom.js";
import { Detail } from "./detail.js";
import { count } from "./format.js";

const DEFAULTS = { state: "", group: "", q: "", sort: "id", offset: 0, limit: 100 };
/** @typedef {{state: string, group: string, q: string, sort: string, offset: number, limit: number}} Query */

/** @param {import("./app.js").Page} page */
export function start(page) {
  const table = find("#table");
  if (table) new GreenletTable(page, table).begin();
}

class GreenletTable {
  /** @param {import("./app.js").Page} page @param {HTMLElement} table */
  constructor(page, table) {
    this.page = page;
    this.table = table;
    this.body = /** @type {HTMLElement} */ (find("#rows"));
    this.wrap = /** @type {HTMLElement} */ (find("#wrap"));
    this.split = /** @type {HTMLElement} */ (find("#split"));
    this.drawer = /** @type {HTMLElement} */ (find("#drawer"));
    this.field = /** @type {HTMLInputElement} */ (find("#q"));
    /** @type {Query} */
    this.query = { ...DEFAULTS, ...data(table, "query") };
    /** @type {string[]} */
    this.columns = data(table, "columns");
    /** @type {Map<string, string>} */
    this.groups = new Map(data(table, "groups") ?? []);
    this.canKill = JSON.parse(document.body.dataset.controls ?? "{}").kill === true;
    /** @type {Map<string, LiveRow>} */
    this.rows = new Map();
    /** @type {string[]} */
    this.order = [];
    /** @type {string[] | null} an order that waits until nobody points */
    this.waiting = null;
    this.total = 0;
    this.matched = 0;
    /** @type {Record<string, number>} */
    this.counts = {};
    /** @type {Record<string, {severity: string, summary: string, finding: string}>} greenlets that a finding names */
    this.marks = {};
    this.asked = 0;
    this.typing = 0;
    this.forced = false;
    /** whether the first patch is still to come: the server may have drawn only the first rows of the window */
    this.first = true;
    /** the server's clock less ours, in ms: ages are counted on here and not sent again */
    this.ahead = 0;
    /** @type {Detail} */
    this.detail = new Detail(this.drawer, () => this.address({ open: "" }));
  }

  begin() {
    for (const tr of all("tr", this.body)) this.rows.set(tr.dataset.id ?? "", new LiveRow(/** @type {HTMLTableRowElement} */ (tr), this.columns, this.groups));
    this.order = [...this.rows.keys()];
    for (const [id, row] of this.rows) if (row.mark) this.marks[id] = row.mark;
    this.page.onPatch.push((patch) => this.apply(patch));
    setInterval(() => this.page.stream.follows && this.age(), 1000);
    this.listen();
    this.connect();
    if (this.detail.id) this.detail.follow(() => this.page.stream.paused);
    addEventListener("popstate", () => this.restore());
    document.addEventListener("acted", () => this.detail.refresh());
  }

  connect() {
    const { state, group, q, sort, offset, limit } = this.query;
    this.page.stream.open({ view: "greenlets", state, group, q, sort, offset: offset ? String(offset) : "", limit: String(limit) });
  }

  // -- address ------------------------------------------------------------------------------------------------

  /** The address of this table with something changed. @param {Partial<Query> & {open?: string}} [changes] @returns {string} */
  address(changes = {}) {
    const { open = this.detail.id, ...rest } = changes;
    const columns = new URLSearchParams(location.search).get("columns") ?? "";
    return `${base}/greenlets${this.parameters({ ...this.query, ...rest }, { open, columns })}`;
  }

  /** What is asked, as the API takes it; `more` is the page's own. @param {Query} query @param {Record<string, string>} [more] */
  parameters(query, more = {}) {
    const parameters = new URLSearchParams();
    for (const [name, value] of Object.entries(query)) {
      if (name in DEFAULTS && value && value !== DEFAULTS[/** @type {keyof Query} */ (name)]) parameters.set(name, String(value));
    }
    for (const [name, value] of Object.entries(more)) if (value) parameters.set(name, value);
    return parameters.size ? `?${parameters}` : "";
  }

  /** Ask something else; the answer is checked by the server before anything is changed. @param {Partial<Query>} changes @param {boolean} [typed] */
  async ask(changes, typed = false) {
    const query = { ...this.query, offset: 0, ...changes };
    const number = ++this.asked;
    const response = await fetch(`${base}/api/greenlets${this.parameters(query)}`).catch(() => null);
    if (number !== this.asked) return;
    const fault = find("#q-fault");
    if (!response) return setText(fault, "The program does not answer now.");
    const answer = await response.json();
    if (!response.ok) {
      this.field.setAttribute("aria-invalid", "true");
      return setText(fault, (answer.message ?? "This cannot be searched for.").replace(/^q /, "The search "));
    }
    this.field.removeAttribute("aria-invalid");
    setText(fault, "");
    this.query = query;
    history[typed ? "replaceState" : "pushState"](null, "", this.address());
    this.forced = true;
    const rows = Object.fromEntries(answer.rows.map((/** @type {any} */ row) => [row.id, row]));
    this.apply({ total: answer.total, matched: answer.matched, rows, order: answer.rows.map((/** @type {any} */ row) => row.id) });
    this.wrap.scrollTop = 0;
    this.mark();
    this.connect();
  }

  /** Back or forward: the address says what to show. */
  restore() {
    const parameters = new URLSearchParams(location.search);
    const query = { ...DEFAULTS };
    for (const name of /** @type {(keyof Query)[]} */ (Object.keys(DEFAULTS))) {
      const value = parameters.get(name);
      if (value !== null) /** @type {any} */ (query)[name] = typeof DEFAULTS[name] === "number" ? Number(value) : value;
    }
    const same = JSON.stringify(query) === JSON.stringify(this.query), open = parameters.get("open") ?? "";
    if (!same) {
      this.query = query;
      this.field.value = query.q;
      this.forced = true;
      this.mark();
      this.connect();
    }
    if (open !== this.detail.id) open ? this.openRow(open, false) : this.closeDrawer(false);
  }

  /** Show in chips, heads and links what is asked. */
  mark() {
    const field = this.query.sort.replace("-", ""), descending = this.query.sort.startsWith("-");
    for (const head of all("th", this.table)) {
      const link = find("a[data-sort]", head);
      setAttribute(head, "aria-sort", link && link.dataset.sort === field ? (descending ? "descending" : "ascending") : null);
      if (link) link.setAttribute("href", this.address({ sort: this.nextSort(link.dataset.sort ?? ""), offset: 0 }));
    }
    for (const chip of all("a[data-states]")) {
      setAttribute(chip, "aria-current", chip.dataset.states === this.query.state ? "true" : null);
      chip.setAttribute("href", this.address({ state: chip.dataset.states, offset: 0 }));
    }
    for (const input of /** @type {HTMLInputElement[]} */ (all("form input[type=hidden]"))) {
      const value = /** @type {any} */ (this.query)[input.name];
      if (value !== undefined) input.value = String(value);
    }
    for (const format of ["json", "csv"]) find(`#export-${format}`)?.setAttribute("href", `${base}/api/greenlets${this.parameters(this.query, { format })}`);
    find("#all-states")?.setAttribute("href", this.address({ state: "", offset: 0 }));
    this.summarise();
  }

  /** A number's first click shows the greatest first. @param {string} field */
  nextSort(field) {
    if (this.query.sort === field) return `-${field}`;
    if (this.query.sort === `-${field}`) return field;
    return find(`th.r a[data-sort="${field}"]`) ? `-${field}` : field;
  }

  // -- patches ------------------------------------------------------------------------------------------------

  /** @param {any} patch */
  apply(patch) {
    if (patch.t) this.ahead = Date.parse(patch.t) - Date.now();
    if (patch.total !== undefined) this.total = patch.total;
    if (patch.matched !== undefined) this.matched = patch.matched;
    if (patch.counts) this.counts = { ...this.counts, ...patch.counts };
    if (patch.groups) for (const group of patch.groups) this.groups.set(group.id, group.name);
    for (const [id, fields] of Object.entries(patch.rows ?? {})) {
      let row = this.rows.get(id);
      if (!row) {
        row = LiveRow.make(id, this.columns, this.groups, this.address({ open: id }));
        this.rows.set(id, row);
      }
      row.update(fields, this.canKill);
    }
    if (patch.marks) this.marks = patch.marks;
    if (patch.marks || patch.rows) for (const [id, row] of this.rows) row.warn(this.marks[id]);
    for (const id of patch.gone ?? []) this.rows.get(id)?.tr.classList.add("ended");
    if (patch.order) this.waiting = patch.order;
    if (patch.full && this.first) {
      this.first = false;
      this.forced = this.waiting !== null && this.waiting.length > this.order.length;
    }
    this.settle();
    this.summarise();
  }

  /** Let the ages of the living grow. */
  age() {
    const now = Date.now() + this.ahead;
    for (const row of this.rows.values()) row.grow(now);
  }

  /** Take the order that waits, unless somebody points at the table or stands in it. */
  settle() {
    if (!this.waiting) return;
    const pointed = this.body.matches(":hover") || (this.body.contains(document.activeElement) && document.hasFocus());
    const moves = this.waiting.join() !== this.order.join();
    find("#held")?.classList.toggle("on", pointed && moves && !this.forced && this.order.length > 0);
    if (pointed && !this.forced && this.order.length) return;
    const order = this.waiting;
    this.waiting = null;
    this.forced = false;
    if (moves) this.reorder(order);
  }

  /** @param {string[]} order */
  reorder(order) {
    const keep = new Set(order);
    for (const [id, row] of this.rows) {
      if (keep.has(id)) continue;
      row.tr.remove();
      this.rows.delete(id);
    }
    const body = /** @type {HTMLElement & {moveBefore?: (node: Node, before: Node | null) => void}} */ (this.body);
    let cursor = body.firstElementChild;
    for (const id of order) {
      const tr = this.rows.get(id)?.tr;
      if (!tr) continue;
      if (tr === cursor) cursor = cursor.nextElementSibling;
      else if (tr.isConnected && body.moveBefore) body.moveBefore(tr, cursor);
      else body.insertBefore(tr, cursor);
    }
    this.order = order.filter((id) => this.rows.has(id));
    this.select();
  }

  summarise() {
    const { counts } = this, live = ["pending", "ready", "running", "waiting"];
    const sum = live.reduce((total, state) => total + (counts[state] ?? 0), 0);
    if (counts.running !== undefined) {
      const parts = ["running", "ready", "waiting"].map((state) => `${count(counts[state] ?? 0)} ${state}`);
      setText(find("#headline"), `Greenlets ${count(sum)}: ${parts.join(", ")}`);
      for (const chip of all("a[data-states]")) {
        const states = chip.dataset.states;
        const value = states === "live" ? sum : states === "" ? this.total : (counts[states ?? ""] ?? 0);
        setText(find(".num", chip), count(value));
      }
    }
    const { offset, limit } = this.query, last = Math.min(offset + limit, this.matched);
    if (this.total || this.matched || this.order.length === 0) setText(find("#window"), this.matched ? `${count(Math.min(offset + 1, last))}–${count(last)} of ${count(this.matched)}` : "0 of 0");
    this.turn("#earlier", offset > 0, Math.max(0, offset - limit));
    this.turn("#later", offset + limit < this.matched, offset + limit);
    const nothing = find("#nothing");
    if (nothing) nothing.hidden = this.order.length > 0;
  }

  /** @param {string} selector @param {boolean} there @param {number} offset */
  turn(selector, there, offset) {
    const link = find(selector);
    setAttribute(link, "aria-disabled", String(!there));
    setAttribute(link, "href", there ? this.address({ offset }) : null);
    setAttribute(link, "data-offset", String(offset));
  }

  // -- drawer -------------------------------------------------------------------------------------------------

  /** @param {string} id @param {boolean} [push] @param {boolean} [focus] */
  async openRow(id, push = true, focus = false) {
    this.detail.id = id;
    if (push) history.pushState(null, "", this.address({ open: id }));
    this.split.classList.add("open");
    this.drawer.hidden = false;
    this.select();
    await this.detail.show(id);
    this.detail.follow(() => this.page.stream.paused);
    if (focus) this.drawer.focus({ preventScroll: true });
  }

  /** @param {boolean} [push] */
  closeDrawer(push = true) {
    const id = this.detail.id;
    this.detail.hide();
    this.split.classList.remove("open");
    this.drawer.hidden = true;
    if (push) history.pushState(null, "", this.address({ open: "" }));
    this.select();
    // its row may be gone meanwhile, and the focus must not be lost with it
    const next = this.rows.get(id)?.tr.querySelector("a") ?? find("a[data-row]", this.body) ?? this.wrap;
    /** @type {HTMLElement} */ (next).focus({ preventScroll: true });
  }

  select() {
    for (const [id, row] of this.rows) {
      setAttribute(row.tr, "aria-selected", id === this.detail.id ? "true" : null);
      row.tr.classList.toggle("chosen", id === this.detail.id);
    }
  }

  // -- what the viewer does -------------------------------------------------------------------------------------

  listen() {
    this.body.addEventListener("click", (event) => this.click(event));
    this.drawer.addEventListener("click", (event) => {
      const target = event.target instanceof Element ? event.target : null;
      const other = /** @type {HTMLElement | null} */ (target?.closest("[data-open]") ?? null);
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      if (target?.closest("#close")) {
        event.preventDefault();
        this.closeDrawer();
      } else if (other?.dataset.open) {
        event.preventDefault();
        this.openRow(other.dataset.open, true, true);
      }
    });
    this.table.querySelector("thead")?.addEventListener("click", (event) => {
      const link = event.target instanceof Element ? /** @type {HTMLElement | null} */ (event.target.closest("a[data-sort]")) : null;
      if (!link || event.ctrlKey || event.metaKey) return;
      event.preventDefault();
      this.ask({ sort: this.nextSort(link.dataset.sort ?? "") });
    });
    find("#chips")?.addEventListener("click", (event) => {
      const chip = event.target instanceof Element ? /** @type {HTMLElement | null} */ (event.target.closest("a[data-states]")) : null;
      if (!chip || event.ctrlKey || event.metaKey) return;
      event.preventDefault();
      this.ask({ state: chip.dataset.states ?? "" });
    });
    for (const selector of ["#earlier", "#later"]) {
      find(selector)?.addEventListener("click", (event) => {
        event.preventDefault();
        const link = /** @type {HTMLElement} */ (event.currentTarget);
        if (link.getAttribute("aria-disabled") !== "true") this.ask({ offset: Number(link.dataset.offset) });
      });
    }
    this.field.addEventListener("input", () => {
      clearTimeout(this.typing);
      this.typing = setTimeout(() => this.ask({ q: this.field.value.trim() }, true), 300);
    });
    this.field.form?.addEventListener("submit", (event) => {
      event.preventDefault();
      clearTimeout(this.typing);
      this.ask({ q: this.field.value.trim() });
    });
    find("#limit")?.addEventListener("change", (event) => this.ask({ limit: Number(/** @type {HTMLSelectElement} */ (event.target).value) }));
    find("#columns")?.addEventListener("submit", (event) => this.chooseColumns(event));
    this.body.addEventListener("mouseover", (event) => {
      // what does not fit is told in whole where it is pointed at; the cells that change often stay small
      const cell = event.target instanceof Element ? event.target.closest("td") : null;
      if (cell && !cell.querySelector("[title]")) setAttribute(cell, "title", cell.scrollWidth > cell.clientWidth ? cell.textContent : null);
    });
    this.body.addEventListener("mouseleave", () => this.settle());
    this.body.addEventListener("focusout", () => setTimeout(() => this.settle(), 0));
  }

  /** @param {MouseEvent} event */
  click(event) {
    const target = event.target instanceof Element ? event.target : null;
    const tr = target?.closest("tr");
    if (!tr || target?.closest("button,.mark") || event.ctrlKey || event.metaKey || event.shiftKey || !document.getSelection()?.isCollapsed) return;
    event.preventDefault();
    const id = tr.dataset.id ?? "";
    const byKey = event.detail === 0;
    if (id === this.detail.id && !byKey) this.closeDrawer();
    else this.openRow(id, true, byKey);
  }

  /** @param {Event} event */
  chooseColumns(event) {
    event.preventDefault();
    const boxes = /** @type {HTMLInputElement[]} */ (all("#columns input[type=checkbox]"));
    remember("columns", boxes.filter((box) => box.checked).map((box) => box.value).join("."));
    const parameters = new URLSearchParams(location.search);
    parameters.delete("columns");
    location.assign(`${base}/greenlets${parameters.size ? `?${parameters}` : ""}`);
  }
}
