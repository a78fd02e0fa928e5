// The overview: figures filled in by their paths, groups by their keys, charts a point a second.

import { showAttention } from "./attention.js";
import { Charts } from "./charts.js";
import { data, fill, find, setAttribute, setText } from "./dom.js";
import { count, duration } from "./format.js";
import { updateGroups } from "./groups.js";

const MOST_GROUPS = 20;
const SPECS = [
  { key: "rates", lines: ["spawned", "finished", "failed"], format: "rate", floor: 4 },
  { key: "states", lines: ["running", "ready", "waiting"], format: "count", floor: 4 },
  { key: "lag", lines: ["hub_lag"], format: "duration", floor: 0.01 },
  { key: "switches", lines: ["switches"], format: "rate", floor: 4 },
];

/** @param {import("./app.js").Page} page */
export function start(page) {
  /** @type {any} */
  const model = {};
  const charts = new Charts(SPECS, data(find("#charts"), "series") ?? { t: [] });
  page.onPatch.push((patch) => {
    Object.assign(model, patch);
    const { health, rates } = model;
    if (health) {
      const dropped = Object.entries(health.dropped ?? {}).filter(([, value]) => Number(value));
      model.dropped_total = dropped.reduce((sum, [, value]) => sum + Number(value), 0);
      const { hook_ns: hook = null, share = null, traced = null } = health.cost ?? {};
      model.cost = { hook: hook === null ? null : hook / 1e9, share, traced };
      setText(find("#dropped"), dropped.map(([kind, value]) => `${count(Number(value))} ${kind.replace("_", " ")}`).join(", "));
      const lag = health.hub_lag ?? 0;
      setAttribute(find('[data-tile="lag"]'), "data-level", lag >= 1 ? "bad" : lag >= 0.1 ? "near" : "");
    }
    setAttribute(find('[data-tile="failed"]'), "data-level", (rates?.["10s"]?.failed ?? 0) >= 0.05 ? "bad" : "");
    if (patch.groups) updateGroups(patch.groups, MOST_GROUPS);
    if (patch.attention) showAttention(patch.attention);
    model.group_count = model.groups?.length;
    fill(model);
    if (patch.point) charts.push(patch.point.t, patch.point);
  });
  const up = find("#up"), begun = performance.now() - Number(up?.dataset.uptime ?? 0) * 1000;
  setInterval(() => page.stream.follows && setText(up, duration((performance.now() - begun) / 1000)), 1000);
  page.stream.open({ view: "overview" });
}
