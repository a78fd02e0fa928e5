// The page of one greenlet: each patch that concerns it makes the details look again, at most once a second.

import { find } from "./dom.js";
import { Detail } from "./detail.js";

/** @param {import("./app.js").Page} page */
export function start(page) {
  const root = find("#detail");
  if (!root) return;
  const detail = new Detail(root, () => "", 1);
  let due = 0, timer = 0;
  const look = () => {
    clearTimeout(timer);
    const wait = due - performance.now();
    timer = setTimeout(() => {
      due = performance.now() + 1000;
      detail.refresh();
    }, Math.max(0, wait));
  };
  page.onPatch.push((patch) => patch.greenlet && look());
  document.addEventListener("acted", look);
  setInterval(() => !page.stream.paused && !document.hidden && look(), 5000);
  page.stream.open({ view: "greenlet", id: detail.id });
}
