// Pages that the server draws and that look again: at once when a finding is told, else every two seconds while seen.

import { all, find, fragment, mergeKeyed, replaceParts } from "./dom.js";

const EVERY_MS = 2000;

/** @param {import("./app.js").Page} page */
export function start(page) {
  const main = find("#main");
  if (!main) return;
  let busy = false, last = performance.now();
  const look = async () => {
    if (busy || page.stream.paused || document.hidden || page.stream.link !== "live") return;
    busy = true;
    try {
      const { ok, content } = await fragment(location.pathname + location.search);
      const fresh = find("#main", content);
      if (!ok || !fresh) return;
      for (const list of all("[data-keyed]", main)) {
        const now = find(`[data-keyed="${list.dataset.keyed}"]`, fresh);
        if (now) mergeKeyed(list, now);
      }
      replaceParts(main, fresh);
    } catch {
      // the badge tells that nobody answers; the next turn tries again
    } finally {
      busy = false;
      last = performance.now();
    }
  };
  page.onPatch.push((patch) => patch.findings && !patch.full && performance.now() - last > 500 && look());
  setInterval(() => performance.now() - last >= EVERY_MS && look(), 250);
  page.stream.open({ view: document.body.dataset.view });
}
