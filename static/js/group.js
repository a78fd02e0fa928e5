// The page of one group or pool: server-drawn parts replaced when they differ, and a chart of its members and waiters.

import { Charts } from "./charts.js";
import { all, base, data, find, fragment, replaceParts } from "./dom.js";
import { listenForm } from "./spawn.js";

/** @param {import("./app.js").Page} page */
export function start(page) {
  const id = find("#group")?.dataset.group ?? "", parts = find("#parts");
  if (!parts) return;
  const lines = all('[data-chart="group"] [data-line]').map((button) => button.dataset.line ?? "");
  const charts = new Charts([{ key: "group", lines, format: "count", floor: 4 }], data(find("#charts"), "series") ?? { t: [] });
  let due = 0, timer = 0, busy = false;
  const look = () => {
    clearTimeout(timer);
    timer = setTimeout(async () => {
      if (busy) return;
      busy = true;
      due = performance.now() + 1000;
      try {
        const { ok, content } = await fragment(`${base}/groups/${id}`);
        const fresh = find("#parts", content);
        if (ok && fresh) replaceParts(parts, fresh);
      } catch {
        // the badge tells; the next patch tries again
      } finally {
        busy = false;
      }
    }, Math.max(0, due - performance.now()));
  };
  /** @type {any} */
  let group = {};
  page.onPatch.push((patch) => {
    const fields = patch.group ?? patch.groups?.find((/** @type {any} */ one) => one.id === id);
    if (fields) group = { ...group, ...fields };
    charts.push((patch.t ? Date.parse(patch.t) : Date.now()) / 1000, group);
    look();
  });
  document.addEventListener("acted", look);
  listenForm(page);
  page.stream.open({ view: "group", id });
}
