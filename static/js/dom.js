// The few things that every module does to the document: find, make, and change only what differs.

import { FORMATS } from "./format.js";

const SVG = "http://www.w3.org/2000/svg";

/** @param {string} selector @param {ParentNode} [root] @returns {HTMLElement | null} */
export const find = (selector, root = document) => root.querySelector(selector);

/** @param {string} selector @param {ParentNode} [root] @returns {HTMLElement[]} */
export const all = (selector, root = document) => Array.from(root.querySelectorAll(selector));

/** The mount point, without a slash at its end. */
export const base = document.body.dataset.base ?? "";

/**
 * Make an element; strings become text nodes, so nothing of the program's is ever read as markup.
 * @param {string} tag @param {Record<string, string | boolean | null | undefined>} [attributes] @param {(Node | string)[]} children
 * @returns {HTMLElement}
 */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

/** @param {string} name @param {boolean} [small] */
export function icon(name, small = false) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", small ? "i small" : "i");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `#i-${name}`);
  svg.append(use);
  return svg;
}

/** Change a text only if it differs: nothing moves that has not changed. @param {Element | null} element @param {string} text */
export function setText(element, text) {
  if (!element) return;
  const first = element.firstChild;
  if (first && first === element.lastChild && first.nodeType === 3) {
    if (first.nodeValue !== text) first.nodeValue = text;
  } else if (element.textContent !== text || element.childElementCount) element.textContent = text;
}

/** @param {Element | null} element @param {string} name @param {string | null} value */
export function setAttribute(element, name, value) {
  if (!element || element.getAttribute(name) === value) return;
  if (value === null) element.removeAttribute(name);
  else element.setAttribute(name, value);
}

/** Follow a dotted path into a model. @param {any} model @param {string} path @returns {any} */
export const dig = (model, path) => path.split(".").reduce((value, key) => (value == null ? undefined : value[key]), model);

/** Fill every `data-v` element whose value the model knows. @param {any} model @param {ParentNode} [root] */
export function fill(model, root = document) {
  for (const element of all("[data-v]", root)) {
    const value = dig(model, element.dataset.v ?? "");
    if (value !== undefined) setText(element, FORMATS[element.dataset.f ?? "text"](value));
  }
}

/** Parse a data attribute that a template wrote with tojson. @param {HTMLElement | null} element @param {string} name @returns {any} */
export function data(element, name) {
  const text = element?.dataset[name];
  return text ? JSON.parse(text) : null;
}

/** Replace those parts of a server-rendered fragment that differ; selections, focus and scroll elsewhere stay. @param {Element} root @param {Element} fresh */
export function replaceParts(root, fresh) {
  const old = all("[data-part]", root), now = all("[data-part]", fresh);
  const names = (/** @type {HTMLElement[]} */ parts) => parts.map((part) => part.dataset.part).join();
  if (names(old) !== names(now)) {
    root.replaceChildren(...fresh.childNodes);
    return;
  }
  const selection = document.getSelection();
  old.forEach((part, index) => {
    if (part.isEqualNode(now[index])) return;
    if (selection && !selection.isCollapsed && selection.containsNode(part, true)) return;
    const focused = part.contains(document.activeElement) ? document.activeElement : null;
    const key = focused?.getAttribute("href") ?? focused?.getAttribute("data-copy") ?? focused?.getAttribute("data-kill");
    part.replaceWith(now[index]);
    if (focused && key) all("a,button", now[index]).find((item) => [item.getAttribute("href"), item.dataset.copy, item.dataset.kill].includes(key))?.focus();
  });
}

const FOCUSABLE = "a,button,summary";

/** Bring a list of keyed elements to another's content: an unchanged one is not touched, an unfolded one stays so. @param {Element} old @param {Element} fresh */
export function mergeKeyed(old, fresh) {
  const there = new Map(/** @type {HTMLElement[]} */ (Array.from(old.children)).map((item) => [item.dataset.key, item]));
  const selection = document.getSelection();
  let cursor = old.firstElementChild;
  for (const item of /** @type {HTMLElement[]} */ (Array.from(fresh.children))) {
    const was = there.get(item.dataset.key);
    there.delete(item.dataset.key);
    /** @type {Element} */
    let use = item;
    if (was) {
      const folds = [was, ...all("details", was)].map((fold) => fold.hasAttribute("open"));
      [item, ...all("details", item)].forEach((fold, index) => folds[index] && fold.setAttribute("open", ""));
      if (was.isEqualNode(item) || (selection && !selection.isCollapsed && selection.containsNode(was, true))) use = was;
      else {
        const focus = all(FOCUSABLE, was).indexOf(/** @type {HTMLElement} */ (document.activeElement));
        if (cursor === was) cursor = item;
        was.replaceWith(item);
        if (focus >= 0) all(FOCUSABLE, item)[focus]?.focus({ preventScroll: true });
      }
    }
    if (use === cursor) cursor = cursor.nextElementSibling;
    else old.insertBefore(use, cursor);
  }
  for (const item of there.values()) item.remove();
}

/** Fetch a server-rendered fragment. @param {string} url @returns {Promise<{ok: boolean, status: number, content: HTMLElement}>} */
export async function fragment(url) {
  const response = await fetch(url, { headers: { Accept: "text/html" } });
  const parsed = new DOMParser().parseFromString(await response.text(), "text/html");
  const content = document.createElement("div");
  content.append(...Array.from(parsed.body.childNodes).map((node) => document.adoptNode(node)));
  return { ok: response.ok, status: response.status, content };
}

/** @param {string} text @param {string} [outcome] */
export function toast(text, outcome = "") {
  const box = find("#toast");
  if (!box) return;
  box.dataset.outcome = outcome;
  box.textContent = text;
  box.hidden = false;
  clearTimeout(Number(box.dataset.timer));
  box.dataset.timer = String(setTimeout(() => (box.hidden = true), 5000));
}

/** Remember a choice of this viewer's, so that the next page is right from its first paint. @param {string} name @param {string} value */
export function remember(name, value) {
  document.cookie = `greenscope_${name}=${encodeURIComponent(value)}; Path=${base || "/"}; Max-Age=31536000; SameSite=Strict`;
}
