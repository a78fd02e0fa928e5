// The one connection of a page: live, reconnecting, stale or paused, and never a second one.
//
// A hidden tab closes it (browsers allow six per host); a visible one opens it again, gets a full first patch and what
// has happened since. An answer other than 200 closes an EventSource for good, so then it is rebuilt here with growing
// pauses. While paused, patches are folded into one, which is applied at the end of the pause.

import { base } from "./dom.js";
import { count } from "./format.js";

/** @typedef {{kinds?: string, view?: string, after?: string} & Record<string, string | undefined>} Wanted */
/** @typedef {"connecting" | "live" | "reconnecting" | "stale" | "paused"} Link */
/** @typedef {{link: Link, since: number, changes: string}} Status */

const STALE_MS = 35_000, LOST_MS = 12_000, MOST_BACKOFF_MS = 30_000;
export const EVENT_KINDS = ["spawned", "started", "succeeded", "failed", "killed", "kill_requested", "grouped", "ungrouped",
  "group_opened", "group_closed", "blocked", "finding", "audit", "gap", "reset"];

/** Fold a later patch into an earlier one: objects by key, all else replaced. @param {any} into @param {any} patch @returns {any} */
export function merge(into, patch) {
  for (const [key, value] of Object.entries(patch)) {
    const old = into[key];
    if (key === "gone" && Array.isArray(old)) into[key] = [...new Set([...old, ...value])];
    else if (value && old && typeof value === "object" && typeof old === "object" && !Array.isArray(value) && !Array.isArray(old)) merge(old, value);
    else into[key] = value;
  }
  return into;
}

/** Reloading helps after a restart, but not for ever under a server whose workers take turns. @returns {boolean} */
function mayReload() {
  const now = Date.now(), key = "greenscope_reloads";
  const recent = JSON.parse(sessionStorage.getItem(key) ?? "[]").filter((/** @type {number} */ when) => now - when < 15_000);
  if (recent.length >= 2) return false;
  sessionStorage.setItem(key, JSON.stringify([...recent, now]));
  return true;
}

export class Stream {
  /** @param {{onPatch: (patch: any) => void, onEvent?: (event: any) => void, onStatus: (status: Status) => void}} hooks */
  constructor(hooks) {
    this.hooks = hooks;
    /** @type {EventSource | null} */
    this.source = null;
    /** @type {Wanted} */
    this.wanted = {};
    /** the id up to which this page has been told what happened */
    this.told = "";
    this.rate = "0.5";
    this.paused = false;
    /** @type {any} */
    this.held = null;
    /** @type {any[]} */
    this.heldEvents = [];
    this.changes = 0;
    this.epoch = document.body.dataset.epoch ?? "";
    this.heard = performance.now();
    this.lastGood = Date.now();
    this.pausedAt = 0;
    this.backoff = 2000;
    /** @type {Link} */
    this.link = "connecting";
    this.retry = 0;
    document.addEventListener("visibilitychange", () => (document.hidden ? this.close() : this.open()));
    addEventListener("pagehide", () => this.close());
    addEventListener("pageshow", (event) => event.persisted && this.open());
    setInterval(() => this.check(), 1000);
  }

  /** Ask for something (else); the first patch that comes is full. @param {Wanted} [wanted] */
  open(wanted) {
    if (wanted) {
      this.wanted = wanted;
      this.told = wanted.after ?? "";
      this.heldEvents = [];
      this.changes = 0;
    }
    this.close();
    if (document.hidden) return;
    const parameters = new URLSearchParams();
    for (const [name, value] of Object.entries({ kinds: "none", together: "1", rate: this.rate, ...this.wanted, after: this.wanted.kinds && this.told })) if (value) parameters.set(name, value);
    const source = new EventSource(`${base}/events?${parameters}`);
    this.source = source;
    this.heard = performance.now();
    source.onopen = () => this.hear(null);
    source.onerror = () => this.fail(source);
    source.addEventListener("hb", (event) => this.hear(event));
    source.addEventListener("bye", () => this.say("reconnecting"));
    source.addEventListener("patch", (event) => this.receive(event));
    source.addEventListener("message", (event) => this.hear(event));
    source.addEventListener("events", (event) => this.happen(event));
    for (const kind of ["gap", "reset"]) source.addEventListener(kind, (event) => this.happen(event, kind));
  }

  close() {
    clearTimeout(this.retry);
    this.source?.close();
    this.source = null;
  }

  /** @param {MessageEvent | null} event @returns {boolean} whether it is of the process that this page is of */
  hear(event) {
    const epoch = event?.lastEventId.split("-")[0];
    if (epoch && this.epoch && epoch !== this.epoch) {
      // another process answers now: its ids mean other greenlets, so nothing on this page holds any more
      this.close();
      if (mayReload()) location.reload();
      else this.again(); // several processes take turns at this address: ours may answer next time
      return false;
    }
    this.heard = performance.now();
    this.lastGood = Date.now();
    if (event) this.backoff = 2000;
    if (event?.lastEventId) this.told = event.lastEventId;
    if (this.link !== "live") this.say("live");
    return true;
  }

  /** @param {MessageEvent} event */
  receive(event) {
    if (!this.hear(event)) return;
    const patch = JSON.parse(event.data);
    if (!this.paused) return this.hooks.onPatch(patch);
    if (this.wanted.view !== "events") this.changes += patch.rows ? Object.keys(patch.rows).length : 1;
    this.held = this.held ? merge(this.held, patch) : patch;
    this.say("live");
  }

  /** Take in a list of events, or one of a kind that comes alone. @param {MessageEvent} message @param {string} [kind] */
  happen(message, kind) {
    if (!this.hear(message) || !this.hooks.onEvent) return;
    const told = JSON.parse(message.data), happened = kind ? [{ ...told, kind }] : told;
    if (!this.paused) {
      for (const event of happened) this.hooks.onEvent(event);
      return;
    }
    this.changes += happened.length;
    this.heldEvents.push(...happened);
    if (this.heldEvents.length > 1000) this.heldEvents.splice(0, this.heldEvents.length - 500);
  }

  /** @param {EventSource} source */
  fail(source) {
    if (source !== this.source) return;
    // each try that fails comes here: what is stale stays so until somebody answers
    if (this.link !== "stale") this.say("reconnecting");
    if (source.readyState === EventSource.CLOSED) this.again();
  }

  again() {
    if (this.link !== "stale") this.say("reconnecting");
    this.retry = setTimeout(() => this.rebuild(), this.backoff);
    this.backoff = Math.min(this.backoff * 2, MOST_BACKOFF_MS);
  }

  async rebuild() {
    try {
      const response = await fetch(`${base}/api/health`);
      if (response.status === 401) return location.reload(); // logged out: the door
    } catch {
      // not there yet: EventSource tells the rest
    }
    this.open();
  }

  check() {
    if (document.hidden) return;
    const silent = performance.now() - this.heard;
    if ((this.link === "live" && silent > STALE_MS) || (this.link !== "live" && silent > LOST_MS)) this.say("stale");
    else this.say(this.link);
    if (this.source?.readyState === EventSource.OPEN && silent > STALE_MS * 2) this.open();
  }

  /** @param {Link} link */
  say(link) {
    this.link = link;
    const paused = this.paused && link === "live";
    this.hooks.onStatus({ link: paused ? "paused" : link, since: paused ? this.pausedAt : this.lastGood, changes: `${count(this.changes)} ${this.wanted.view === "greenlets" ? "changes" : this.hooks.onEvent && this.wanted.view === "events" ? "events" : "updates"}` });
  }

  /** Whether what the page shows is of now: time may go on in it. */
  get follows() {
    return this.link === "live" && !this.paused && !document.hidden;
  }

  pause() {
    this.paused = true;
    this.pausedAt = Date.now();
    this.changes = 0;
    this.say(this.link);
  }

  resume() {
    this.paused = false;
    const { held, heldEvents } = this;
    this.held = null;
    this.heldEvents = [];
    if (held) this.hooks.onPatch(held);
    for (const event of heldEvents) this.hooks.onEvent?.(event);
    this.say(this.link);
  }
}
