// The tail of events: newest first, held while somebody points, at most 500 rows however fast they come.

import { all, base, data, find, fragment, h, setText } from "./dom.js";
import { KINDS, clock, count, findingLink } from "./format.js";
import { EVENT_KINDS } from "./stream.js";

// where more come than can be read, the page turns once a second, where more than it holds, every other one: to draw
// 500 rows takes 100 ms with style, layout and painting
const MOST = 500, DRAW_MS = 250, MANY = 100, TURN_MS = 1000;

/** @param {any} event */
function noteOf(event) {
  if (event.exception) return `${event.exception.type}: ${event.exception.message}`;
  if (event.kind === "audit") return [event.action, event.target, event.result, event.reason].filter(Boolean).join(" · ");
  if (event.lost !== undefined) return `${event.lost} lost`;
  if (event.summary) return event.summary;
  if (event.function) return event.function;
  return event.reason ?? "";
}

/** @param {import("./app.js").Page} page */
export function start(page) {
  const body = find("#rows"), wrap = find("#wrap"), newer = find("#newer"), nothing = find("#nothing"), note = find("#tail-note");
  const field = /** @type {HTMLInputElement | null} */ (find("#q"));
  if (!body || !wrap) return;
  /** @type {any[]} */
  let waiting = [];
  /** @type {Map<string, string>} */
  const groups = new Map(data(body, "groups") ?? []);
  let turned = -2 * TURN_MS, seen = 0, missed = 0, needle = (field?.value ?? "").toLowerCase();
  let kinds = find("#kinds")?.dataset.asked ?? "";

  /** @param {any} event */
  const matches = (event) => !needle || [event.name, event.greenlet, event.group, groups.get(event.group), event.kind, noteOf(event)].some((value) => value != null && String(value).toLowerCase().includes(needle));

  /** @param {any} event */
  const rowOf = (event) => {
    const [glyph, tone] = KINDS[event.kind] ?? ["?", ""];
    const greenlet = h("td", { class: "c-greenlet" }), group = h("td", { class: "c-group" }), text = noteOf(event);
    if (event.greenlet) greenlet.append(h("a", { href: `${base}/greenlets/${event.greenlet}`, "data-row": true }, `${event.name ?? "greenlet"} `, h("span", { class: "dim" }, `#${event.greenlet}`)));
    if (event.group) group.append(h("a", { href: `${base}/groups/${event.group}` }, groups.get(event.group) ?? String(event.group)));
    return h("tr", { "data-seq": String(event.seq ?? "") },
      h("td", { class: "c-t" }, clock(event.t)),
      h("td", { class: "c-kind" }, h("span", { class: "kind", "data-tone": tone, "data-glyph": glyph }, event.kind.replace("_", " "))),
      greenlet, group,
      h("td", { class: "c-detail", title: text }, event.kind === "finding" && event.id ? h("a", { href: base + findingLink(event.id) }, text) : text),
      h("td", { class: "c-seq r" }, String(event.seq ?? "")));
  };

  const draw = () => {
    if (!waiting.length) return;
    const pointed = body.matches(":hover") || (body.contains(document.activeElement) && document.hasFocus()) || wrap.scrollTop > 40;
    if (newer) {
      newer.hidden = !pointed;
      newer.textContent = `${count(waiting.length)}${waiting.length >= MOST ? "+" : ""} newer`;
    }
    const turn = waiting.length >= MOST ? 2 * TURN_MS : waiting.length > MANY ? TURN_MS : 0;
    if (pointed || performance.now() - turned < turn) return;
    turned = performance.now();
    const batch = waiting.slice(-MOST);
    waiting = [];
    body.prepend(...batch.reverse().map(rowOf));
    while (body.childElementCount > MOST) body.lastElementChild?.remove();
    if (nothing) nothing.hidden = body.childElementCount > 0;
    setText(note, `${count(seen)} since this page was opened${missed ? `, ${count(missed)} lost` : ""}`);
  };
  setInterval(draw, DRAW_MS);
  newer?.addEventListener("click", () => {
    wrap.scrollTop = 0;
    /** @type {HTMLElement | null} */ (document.activeElement)?.blur();
    draw();
  });
  body.addEventListener("mouseleave", draw);
  find("#clear")?.addEventListener("click", () => {
    waiting = [];
    body.replaceChildren();
    if (nothing) nothing.hidden = false;
  });

  page.onEvent.push((event) => {
    if (event.group && event.group_name) groups.set(event.group, event.group_name);
    if (event.kind === "reset") return;
    if (event.kind === "gap") {
      if ((event.to ?? event.seq ?? Infinity) <= newest) return; // told again to a page that was hidden meanwhile
      missed += event.lost ?? 0;
      event.t ??= new Date().toISOString();
    }
    seen += 1;
    newest = event.seq ?? event.to ?? newest;
    if (!matches(event) || event.seq <= drawn) return;
    waiting.push(event);
    if (waiting.length > MOST * 2) waiting = waiting.slice(-MOST);
  });
  /** the newest that the server has drawn: what the stream tells of before is there already */
  let drawn = Number(find("tr", body)?.dataset.seq ?? 0);
  let newest = drawn;
  const connect = () => page.stream.open({ after: newest ? `${document.body.dataset.epoch}-${newest}` : "", kinds: kinds || EVENT_KINDS.filter((kind) => kind !== "gap" && kind !== "reset").join(), view: "events" });
  connect();

  find("#kinds")?.addEventListener("click", async (event) => {
    const chip = event.target instanceof Element ? /** @type {HTMLElement | null} */ (event.target.closest("[data-kinds]")) : null;
    if (!chip || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    for (const other of all("#kinds [aria-current]")) other.removeAttribute("aria-current");
    chip.setAttribute("aria-current", "true");
    kinds = chip.dataset.kinds ?? "";
    const wanted = new Set(kinds ? kinds.split(",") : EVENT_KINDS);
    waiting = [];
    for (const row of all("tr", body)) if (!wanted.has((find(".kind", row)?.textContent ?? "").replace(" ", "_"))) row.remove();
    const address = chip.getAttribute("href") ?? "";
    history.replaceState(null, "", address);
    connect();
    // of these kinds there may be older ones than are shown: the server draws its newest
    const answer = await fragment(address).catch(() => null), fresh = answer?.ok ? find("#rows", answer.content) : null;
    if (!fresh || kinds !== chip.dataset.kinds) return;
    drawn = Math.max(drawn, Number(find("tr", fresh)?.dataset.seq ?? 0));
    waiting = waiting.filter((one) => !(one.seq <= drawn));
    const later = all("tr", body).filter((row) => Number(row.dataset.seq) > drawn);
    body.replaceChildren(...later, ...Array.from(fresh.children));
    if (nothing) nothing.hidden = body.childElementCount > 0;
  });
  let typing = 0;
  field?.addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(() => {
      needle = field.value.trim().toLowerCase();
      for (const row of all("tr", body)) row.hidden = Boolean(needle) && !(row.textContent ?? "").toLowerCase().includes(needle);
      const parameters = new URLSearchParams(location.search);
      if (needle) parameters.set("q", needle);
      else parameters.delete("q");
      history.replaceState(null, "", `${location.pathname}${parameters.size ? `?${parameters}` : ""}`);
    }, 200);
  });
  field?.form?.addEventListener("submit", (event) => event.preventDefault());
}
