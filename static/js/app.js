// The start of every page: the strip, the theme, pause and rate, the keys, the one stream, then the page's own module.

import * as control from "./control.js";
import { all, base, data, fill, find, remember, setAttribute, setText, toast } from "./dom.js";
import { duration } from "./format.js";
import * as keys from "./keys.js";
import { Stream } from "./stream.js";

/** @typedef {{stream: Stream, onPatch: ((patch: any) => void)[], onEvent: ((event: any) => void)[]}} Page */

const THEMES = ["system", "light", "dark"];
const THEME_ICONS = { system: "sun-moon", light: "sun", dark: "moon" };
const TURNS_SHOWN = 72;
/** The longest turn of each of the last seconds: those before this page came with it. @type {(number | null)[]} */
const turns = data(find("#lag .spark"), "turns") ?? [];
/** The newest of what the strip is told. */
const newest = { lag: 0, turn: 0 };

/** @type {Record<string, () => Promise<{start: (page: Page) => void}>>} */
const MODULES = {
  overview: () => import("./overview.js"),
  greenlets: () => import("./greenlets.js"),
  greenlet: () => import("./greenlet.js"),
  groups: () => import("./groups.js"),
  group: () => import("./group.js"),
  findings: () => import("./look.js"),
  stacks: () => import("./look.js"),
  waits: () => import("./look.js"),
  tree: () => import("./look.js"),
  processes: () => import("./look.js"),
  tail: () => import("./events.js"),
  spawn: () => import("./spawn.js"),
  audit: () => import("./audit.js"),
};

/** @param {import("./stream.js").Status} status */
function showLink(status) {
  const badge = find("#badge");
  document.body.dataset.link = status.link;
  setAttribute(badge, "data-link", status.link);
  const since = new Date(status.since).toTimeString().slice(0, 8);
  const words = {
    connecting: "connecting",
    live: "live",
    reconnecting: "reconnecting",
    stale: `stale since ${since}`,
    paused: `paused ${duration(Math.round((Date.now() - status.since) / 1000))} · ${status.changes}`,
  };
  setText(badge, words[status.link]);
  setAttribute(badge, "title", status.link === "live" ? "This page follows the program" : status.link === "paused" ? "Only this view is paused; the program goes on" : `Shown is the state of ${since}`);
}

/** @param {any} patch */
function showHealth(patch) {
  const lag = patch.health?.hub_lag;
  if (patch.counts) patch.live_total = ["pending", "ready", "running", "waiting"].reduce((sum, state) => sum + (patch.counts[state] ?? 0), 0);
  if (patch.alerts) {
    patch.alerts_open = patch.alerts.critical + patch.alerts.warning;
    setAttribute(find("#alerts"), "data-level", patch.alerts.critical ? "bad" : patch.alerts.warning ? "near" : "");
  }
  fill(patch, find(".rail") ?? document);
  fill(patch, find(".strip") ?? document);
  if (patch.health) Object.assign(newest, { lag: lag ?? 0, turn: patch.health.longest_turn ?? 0 });
  if (lag !== undefined) setAttribute(find("#lag"), "data-level", lag > 1 ? "bad" : lag > 0.1 ? "near" : "");
}

function drawTurns() {
  // a logarithm from 0.1 ms to 10 s, so that both a healthy ripple and a stall have a shape
  const y = (/** @type {number | null} */ value) => 16 - Math.min(1, Math.max(0, (Math.log10(Math.max(value ?? 0, 1e-4)) + 4) / 5)) * 14;
  const path = turns.map((value, index) => `${index ? "L" : "M"}${TURNS_SHOWN - turns.length + index} ${y(value).toFixed(1)}`).join("");
  setAttribute(find("#lag .spark path"), "d", path);
}

/** A second is over: the sparkline moves on by one. */
function turn() {
  turns.push(Math.max(newest.lag, newest.turn));
  if (turns.length > TURNS_SHOWN) turns.shift();
  drawTurns();
}

/** @param {Stream} stream */
function listenStrip(stream) {
  const pause = find("#pause"), theme = find("#theme"), rate = /** @type {HTMLSelectElement | null} */ (find("#rate"));
  pause?.addEventListener("click", () => {
    if (stream.paused) stream.resume();
    else stream.pause();
    pause.setAttribute("aria-pressed", String(stream.paused));
    pause.setAttribute("aria-label", stream.paused ? "Resume" : "Pause");
    pause.querySelector("use")?.setAttribute("href", stream.paused ? "#i-play" : "#i-pause");
  });
  theme?.addEventListener("click", () => {
    const root = document.documentElement, now = root.dataset.theme ?? "system";
    const next = THEMES[(THEMES.indexOf(now) + 1) % THEMES.length];
    if (next === "system") delete root.dataset.theme;
    else root.dataset.theme = next;
    theme.title = `Theme: ${next}`;
    theme.setAttribute("aria-label", theme.title);
    theme.querySelector("use")?.setAttribute("href", `#i-${THEME_ICONS[/** @type {"system" | "light" | "dark"} */ (next)]}`);
    remember("theme", next);
    document.dispatchEvent(new CustomEvent("theme"));
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => document.dispatchEvent(new CustomEvent("theme")));
  find("#logout")?.addEventListener("click", async () => {
    await control.post("/api/logout", {});
    location.reload();
  });
  if (rate) stream.rate = rate.value;
  rate?.addEventListener("change", () => {
    stream.rate = rate.value;
    remember("rate", rate.value);
    stream.open();
  });
}

function listenDocument() {
  document.addEventListener("click", async (event) => {
    const target = event.target instanceof Element ? event.target : null;
    const button = /** @type {HTMLElement | null} */ (target?.closest("[data-copy]") ?? null);
    if (button) {
      try {
        await navigator.clipboard.writeText(button.dataset.copy ?? "");
        button.classList.add("done");
        setTimeout(() => button.classList.remove("done"), 1200);
      } catch {
        toast(`Copying is not allowed here: ${button.dataset.copy}`);
      }
    }
    for (const pop of all("details.pop[open]")) if (!pop.contains(target)) pop.removeAttribute("open");
  });
}

async function start() {
  const name = document.body.dataset.page ?? "";
  /** @type {Page} */
  const page = /** @type {any} */ ({ onPatch: [showHealth], onEvent: [] });
  page.stream = new Stream({
    onPatch: (patch) => page.onPatch.forEach((hook) => hook(patch)),
    onEvent: (event) => page.onEvent.forEach((hook) => hook(event)),
    onStatus: showLink,
  });
  listenStrip(page.stream);
  drawTurns();
  setInterval(() => page.stream.follows && turn(), 1000);
  listenDocument();
  keys.listen();
  control.listen();
  const load = MODULES[name];
  if (load) (await load()).start(page);
  else page.stream.open({ view: "overview" });
  document.documentElement.dataset.ready = "yes";
}

start();

export { base };
