// Numbers and times as people read them; the same rules as the templates' filters, held together by a test.
// A figure has a fixed number of significant digits and its unit, so that a column keeps its width while it changes.
// null means "not measured" and is shown as a dash, never as 0.

export const DASH = "–";
const THIN = "\u202f";

/** @type {Record<string, string>} */
export const GLYPHS = { pending: "·", ready: "◐", running: "●", waiting: "○", succeeded: "✓", failed: "✕", killed: "⊘" };

/** @type {Record<string, string>} */
export const SEVERITIES = { critical: "✕", warning: "▲", info: "·" };

/** Glyph and tone of each kind of event. @type {Record<string, [string, string]>} */
export const KINDS = {
  spawned: ["+", ""], started: ["▸", ""], succeeded: ["✓", "good"], failed: ["✕", "bad"], killed: ["⊘", "near"],
  kill_requested: ["⊘", "near"], grouped: ["∈", "dim"], ungrouped: ["∉", "dim"], group_opened: ["{", "dim"],
  group_closed: ["}", "dim"], blocked: ["■", "bad"], finding: ["!", "near"], audit: ["¶", ""], gap: ["…", "near"], reset: ["↺", "near"],
};

/** @typedef {number | null | undefined} Figure */
/** @typedef {{file?: string, line?: number, function?: string}} Site */

/** @param {number} value */
const digits = (value) => (value < 9.995 ? value.toFixed(2) : value < 99.95 ? value.toFixed(1) : value.toFixed(0));

/** @param {number} value */
const grouped = (value) => String(value).replace(/\B(?=(\d{3})+(?!\d))/g, ",");

/** @param {Figure} value */
export const count = (value) => (value == null ? DASH : grouped(Math.trunc(value)));

/** @param {number} value */
const two = (value) => String(value).padStart(2, "0");

/** Seconds with three digits and a unit: 340 µs, 12.3 ms, 4.21 s, 3m 12s, 2h 05m. @param {Figure} seconds */
export function duration(seconds) {
  if (seconds == null) return DASH;
  const s = seconds;
  if (s <= 0) return `0${THIN}ms`;
  if (s * 1e6 < 999.5) return digits(s * 1e6) + THIN + "µs";
  if (s * 1e3 < 999.5) return digits(s * 1e3) + THIN + "ms";
  if (s < 59.95) return (s < 9.995 ? s.toFixed(2) : s.toFixed(1)) + THIN + "s";
  const whole = Math.round(s);
  if (whole < 3600) return `${Math.floor(whole / 60)}m${THIN}${two(whole % 60)}s`;
  if (whole < 86400) return `${Math.floor(whole / 3600)}h${THIN}${two(Math.floor((whole % 3600) / 60))}m`;
  return `${Math.floor(whole / 86400)}d${THIN}${two(Math.floor((whole % 86400) / 3600))}h`;
}

/** @param {Figure} value */
export function rate(value) {
  if (value == null) return DASH;
  return value < 0.05 ? "0" : value < 99.95 ? value.toFixed(1) : grouped(Math.round(value));
}

const COMPACT = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 2 });

/** A number where there is little room, on an axis: as it is up to 9,999, then 10K, 1.5M. @param {number} value @param {(value: number) => string} write */
export const compact = (value, write) => (value < 10_000 ? write(value) : COMPACT.format(value));

/** @param {Figure} share */
export function percent(share) {
  if (share == null) return DASH;
  const p = share * 100;
  return (p < 0.995 ? p.toFixed(2) : p < 9.95 ? p.toFixed(1) : p.toFixed(0)) + THIN + "%";
}

/** The time of day of an RFC 3339 moment, with milliseconds. @param {string | null | undefined} moment */
export function clock(moment) {
  if (!moment || !moment.includes("T")) return DASH;
  return moment.slice(moment.indexOf("T") + 1).replace(/Z$/, "").split("+")[0].slice(0, 12);
}

/** `fetch.py:31 get`. @param {Site | string | null | undefined} site */
export function place(site) {
  if (!site) return DASH;
  if (typeof site === "string") return site;
  const file = site.file || "?";
  const text = `${file.slice(file.lastIndexOf("/") + 1)}:${site.line ?? "?"}`;
  return site.function ? `${text} ${site.function}` : text;
}

/** @param {Site | string | null | undefined} site */
export const fullplace = (site) => (!site ? "" : typeof site === "string" ? site : `${site.file}:${site.line}`);

/** Where a finding is told in whole, below the mount point, as app/attention.py says it. @param {string} id */
export const findingLink = (id) => `/findings?stack=${encodeURIComponent(id)}#${encodeURIComponent(id)}`;

/** @param {unknown} value */
export const text = (value) => (value == null || value === "" ? DASH : String(value));

/** @type {Record<string, (value: any) => string>} */
export const FORMATS = { count, duration, rate, percent, clock, place, fullplace, text };
