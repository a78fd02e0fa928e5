// The audit page: each audit event on the stream makes it look again.

import { base, find, fragment } from "./dom.js";

/** @param {import("./app.js").Page} page */
export function start(page) {
  let timer = 0;
  const look = async () => {
    const { ok, content } = await fragment(`${base}/audit`);
    const fresh = find("#audit", content), old = find("#audit");
    if (ok && fresh && old && !old.isEqualNode(fresh)) old.replaceWith(fresh);
  };
  page.onEvent.push((event) => {
    if (event.kind !== "audit") return;
    clearTimeout(timer);
    timer = setTimeout(() => look().catch(() => {}), 200);
  });
  page.stream.open({ kinds: "audit", view: "overview" });
}
