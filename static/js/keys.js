// The keyboard: / j k Enter Esc i space t x ? and g with a page's letter. Nothing fires while somebody types.

import { all, find } from "./dom.js";
import { askKill } from "./control.js";

const TYPING = "input:not([type=checkbox]),textarea,select,[contenteditable]";
let goUntil = 0;

/** Rows that the keys walk through. */
const links = () => all("a[data-row]").filter((link) => link.offsetParent !== null);

/** @param {number} step */
function move(step) {
  const rows = links();
  if (!rows.length) return;
  const at = rows.findIndex((link) => link === document.activeElement || link.closest("tr")?.contains(document.activeElement));
  const next = rows[Math.max(0, Math.min(rows.length - 1, at < 0 ? (step > 0 ? 0 : rows.length - 1) : at + step))];
  next.focus({ preventScroll: true });
  next.closest("tr")?.scrollIntoView({ block: "nearest" });
}

/** @param {KeyboardEvent} event @returns {boolean} whether the key was ours */
function press(event) {
  const target = event.target instanceof Element ? event.target : null;
  const dialog = find("dialog[open]");
  if (event.key === "Escape") {
    if (dialog) return false; // the dialog closes itself
    if (target?.matches(TYPING)) {
      /** @type {HTMLElement} */ (target).blur();
      return true;
    }
    const pop = find("details.pop[open]");
    if (pop) {
      pop.removeAttribute("open");
      find("summary", pop)?.focus();
      return true;
    }
    const close = find("#close");
    close?.click();
    return Boolean(close);
  }
  if (dialog || target?.matches(TYPING)) return false;
  if (performance.now() < goUntil) {
    goUntil = 0;
    const link = find(`.menu a[data-key="${CSS.escape(event.key)}"]`);
    link?.click();
    return Boolean(link);
  }
  const onButton = target?.matches("button,summary,input");
  switch (event.key) {
    case "/": find("#q")?.focus(); return Boolean(find("#q"));
    case "j": case "ArrowDown":
      if (event.key === "ArrowDown" && !links().length) return false;
      move(1); return true;
    case "k": case "ArrowUp":
      if (event.key === "ArrowUp" && !links().length) return false;
      move(-1); return true;
    case "i": find("th[aria-sort] a")?.click(); return true;
    case " ":
      if (onButton) return false;
      find("#pause")?.click(); return true;
    case "t": find("#theme")?.click(); return true;
    case "g": goUntil = performance.now() + 1500; return true;
    case "x": {
      const button = target?.closest("tr")?.querySelector("[data-kill]") ?? (links().includes(/** @type {HTMLElement} */ (target)) ? null : find("article.detail [data-kill]"));
      if (button instanceof HTMLElement) askKill("greenlets", button.dataset.kill ?? "");
      return Boolean(button);
    }
    case "?": /** @type {HTMLDialogElement | null} */ (find("#keys"))?.showModal(); return true;
  }
  return false;
}

export function listen() {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (press(event)) event.preventDefault();
  });
  find("#help")?.addEventListener("click", () => /** @type {HTMLDialogElement | null} */ (find("#keys"))?.showModal());
}
