// Buttons that act: they say what will happen, wait while it happens, and report what was seen, not what was hoped.

import { base, find, fragment, h } from "./dom.js";
import { place } from "./format.js";

/** @typedef {{outcome?: string, state?: string | null, place?: import("./format.js").Site | null, reason?: string, message?: string, id?: string, ids?: string[]}} Answer */

/** @returns {string} */
function makeKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/**
 * Post a control request.
 * @param {string} path @param {unknown} body @param {string} [key]
 * @returns {Promise<{status: number, answer: any}>} status 0 when the dashboard did not answer
 */
export async function post(path, body, key = "") {
  /** @type {Record<string, string>} */
  const headers = { "Content-Type": "application/json", Accept: "application/json" };
  if (key) headers["Idempotency-Key"] = key;
  // ids are of one process: another one that answers under this address must not act on them
  if (document.body.dataset.epoch) headers["Greenscope-Epoch"] = document.body.dataset.epoch;
  try {
    const response = await fetch(base + path, { method: "POST", headers, body: JSON.stringify(body) });
    return { status: response.status, answer: await response.json().catch(() => ({})) };
  } catch {
    return { status: 0, answer: { message: "The dashboard did not answer; whether it was done is not known." } };
  }
}

/** Say in words what was observed. @param {number} status @param {Answer} answer @param {string} done @returns {[string, string]} outcome and sentence */
export function observed(status, answer, done) {
  const reason = answer.reason || answer.message || "";
  if (status === 401) return ["fault", "You are not logged in any more. Reload the page."];
  if (status === 0) return ["fault", reason];
  if (status === 429) return ["fault", "Too many requests. Wait a moment."];
  if (answer.outcome === "alive")
    return ["alive", `Still alive${answer.place ? ` at ${place(answer.place)}` : ""}. ${reason || "It may catch what kills it."}`];
  if (answer.outcome === "queued" || status === 202) return ["queued", `Queued: ${reason || "the hub has not answered yet; the request stays posted."}`];
  if (answer.outcome === "gone") return ["done", `It had ended already${answer.state ? `: ${answer.state}` : ""}.`];
  if (status >= 400) return ["fault", reason || `Refused (${status}).`];
  return ["done", done];
}

const dialog = /** @type {HTMLDialogElement | null} */ (find("#dialog"));
/** Where the focus goes when the dialog closes. @type {(() => void) | null} */
let after = null;
dialog?.addEventListener("close", () => {
  dialog.replaceChildren();
  after?.();
  after = null;
});
addEventListener("click", (event) => {
  if (event.target instanceof Element && event.target.closest("[data-close]")) event.target.closest("dialog")?.close();
});

/** @param {HTMLFormElement} form @param {[string, string]} result */
function report(form, [outcome, sentence]) {
  const box = find(".outcome", form), button = /** @type {HTMLButtonElement | null} */ (find("[type=submit]", form)), close = find("[data-close]", form);
  if (box) {
    box.dataset.outcome = outcome;
    box.hidden = false;
    box.textContent = sentence;
  }
  if (outcome === "done" || outcome === "queued") {
    button?.remove();
    if (close) {
      close.textContent = "Close";
      close.focus();
    }
  } else if (button) {
    button.disabled = false;
    button.textContent = button.dataset.again ?? "Try again";
  }
}

/** Run what a dialog's form asks for, once at a time. @param {HTMLFormElement} form @param {string} busy @param {() => Promise<[string, string]>} act */
function whenSent(form, busy, act) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = /** @type {HTMLButtonElement | null} */ (find("[type=submit]", form));
    if (!button || button.disabled) return;
    button.disabled = true;
    button.textContent = busy;
    const result = await act();
    if (form.isConnected) report(form, result);
    document.dispatchEvent(new CustomEvent("acted"));
  });
}

/** Ask before killing a greenlet or the members of a group. @param {"greenlets" | "groups"} what @param {string} id @param {() => void} [then] */
export async function askKill(what, id, then) {
  if (!dialog || dialog.open) return;
  const opener = document.activeElement;
  after = then ?? (() => opener instanceof HTMLElement && opener.isConnected && opener.focus());
  dialog.replaceChildren(h("div", { class: "body" }, h("h2", { id: "dialog-title" }, "Looking at what it would do…")));
  dialog.showModal();
  const asked = await fragment(`${base}/${what}/${id}/kill`).catch(() => null);
  const form = /** @type {HTMLFormElement | null} */ (asked && find("form.kill", asked.content));
  const elsewhere = form && form.dataset.epoch !== document.body.dataset.epoch;
  if (!form || elsewhere) {
    const why = elsewhere ? "Another process answers now. Reload the page."
      : asked === null ? "The dashboard does not answer. Nothing was done."
      : asked.status === 404 ? "It is not there any more." : `This cannot be asked now (${asked.status}).`;
    dialog.replaceChildren(h("div", { class: "body" }, h("h2", { id: "dialog-title" }, why)),
      h("footer", {}, h("button", { type: "button", "data-close": true, autofocus: true }, "Close")));
    return;
  }
  const key = makeKey();
  const dead = what === "greenlets" ? "Dead: seen to have ended." : "Dead: all members were seen to have ended.";
  whenSent(form, "Killing…", async () => {
    const { status, answer } = await post(`/api/${what}/${id}/kill`, {}, key);
    return observed(status, answer, answer.state && what === "greenlets" ? `Dead: it was seen as ${answer.state}.` : dead);
  });
  dialog.replaceChildren(form);
  find("[data-close]", form)?.focus();
}

/** Ask for a pool's new size. @param {string} id @param {string} name @param {string} size */
export function askResize(id, name, size) {
  if (!dialog || dialog.open) return;
  const opener = document.activeElement;
  after = () => opener instanceof HTMLElement && opener.isConnected && opener.focus();
  const field = /** @type {HTMLInputElement} */ (h("input", { id: "new-size", type: "number", min: "1", max: "1000000", step: "1", value: size, required: true, "aria-describedby": "size-fault" }));
  const fault = h("span", { class: "fault", id: "size-fault", role: "alert" });
  const form = /** @type {HTMLFormElement} */ (h("form", { novalidate: true },
    h("div", { class: "body" },
      h("h2", { id: "dialog-title" }, `Resize ${name}`),
      h("p", { class: "soft" }, "More slots let waiters in at once. Fewer slots kill nobody: members above the new size finish first."),
      h("div", { class: "field" }, h("label", { for: "new-size" }, "Slots"), field, fault),
      h("div", { class: "outcome", role: "status", hidden: true })),
    h("footer", {}, h("button", { type: "button", "data-close": true }, "Leave it"), h("button", { type: "submit", class: "primary" }, "Resize"))));
  whenSent(form, "Resizing…", async () => {
    const wanted = field.value.trim() === "" || !Number.isFinite(Number(field.value)) ? field.value : Number(field.value);
    const { status, answer } = await post(`/api/groups/${id}/resize`, { size: wanted });
    const wrong = status === 422 || status === 400;
    fault.textContent = wrong ? (answer.message ?? "This is not a size.") : "";
    field.setAttribute("aria-invalid", String(wrong));
    return observed(status, answer, `Done: ${name} has ${wanted} slots.`);
  });
  dialog.replaceChildren(form);
  dialog.showModal();
  field.select();
}

/** One listener for every such button, also those that arrive later. */
export function listen() {
  document.addEventListener("click", (event) => {
    const button = event.target instanceof Element ? /** @type {HTMLElement | null} */ (event.target.closest("[data-kill],[data-kill-group],[data-resize]")) : null;
    if (!button) return;
    event.preventDefault();
    if (button.dataset.kill) askKill("greenlets", button.dataset.kill, rowFocus(button));
    else if (button.dataset.killGroup) askKill("groups", button.dataset.killGroup);
    else if (button.dataset.resize) askResize(button.dataset.resize, button.dataset.name ?? "pool", button.dataset.size ?? "");
  });
}

/** After a kill the row may be gone: the focus moves on purpose to the same row, else to the next. @param {HTMLElement} button */
function rowFocus(button) {
  const row = button.closest("tr");
  if (!row) return undefined;
  const near = [row, row.nextElementSibling, row.previousElementSibling];
  return () => {
    for (const candidate of near) {
      const link = candidate?.isConnected ? /** @type {HTMLElement | null} */ (candidate.querySelector("a[data-row]")) : null;
      if (link) return link.focus();
    }
    find("#rows a[data-row]")?.focus();
  };
}
