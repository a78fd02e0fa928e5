// Spawning from a form that was made from a signature: typed here, judged by the server, the new greenlet followed at once.

import { all, find, h, setText } from "./dom.js";
import { observed, post } from "./control.js";
import { Detail } from "./detail.js";

const LEFT_OUT = Symbol("left out");

/** @param {string} text @param {string} type @returns {unknown} what JSON should carry; what does not fit goes as text, and the server says what would be right */
function typed(text, type) {
  const bare = text.trim();
  if (type === "int" && /^[+-]?\d{1,15}$/.test(bare)) return Number(bare);
  if (type === "float" && bare !== "" && Number.isFinite(Number(bare))) return Number(bare);
  if (type === "bool" && (bare === "true" || bare === "false")) return bare === "true";
  return text;
}

/** @param {HTMLElement} box @returns {unknown} */
function valueOf(box) {
  const field = /** @type {HTMLInputElement | HTMLSelectElement | HTMLTextAreaElement} */ (box.querySelector("input,select,textarea"));
  const { type = "str", item = "str", nullable, required } = box.dataset;
  if (field instanceof HTMLInputElement && field.type === "checkbox") return field.checked;
  if (type === "list") {
    const lines = field.value.split("\n").filter((line) => line.trim() !== "");
    if (!lines.length && nullable) return null;
    return lines.map((line) => typed(line, item));
  }
  if (field.value === "") {
    if (nullable) return null;
    if (required || type !== "str") return LEFT_OUT;
  }
  return typed(field.value, type);
}

/** @param {import("./app.js").Page} page */
export function start(page) {
  page.stream.open({ view: "overview" });
  listenForm(page);
}

/** Let the form on this page spawn, if there is one. @param {import("./app.js").Page} page */
export function listenForm(page) {
  const form = /** @type {HTMLFormElement | null} */ (find("#spawn")), follow = find("#follow");
  if (!form || !follow) return;
  const detail = new Detail(follow, () => "");

  /** @param {Record<string, string>} errors */
  const showErrors = (errors) => {
    /** @type {HTMLElement | null} */
    let first = null;
    const rest = [];
    for (const fault of all(".fault", form)) setText(fault, "");
    for (const field of all("[aria-invalid]", form)) field.removeAttribute("aria-invalid");
    for (const [name, message] of Object.entries(errors)) {
      const fault = find(`#e-${CSS.escape(name)}`, form), field = find(`#f-${CSS.escape(name)}`, form);
      if (!fault || !field) rest.push(`${name}: ${message}`);
      setText(fault, message);
      field?.setAttribute("aria-invalid", "true");
      first ??= field;
    }
    first?.focus();
    return rest;
  };

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = /** @type {HTMLButtonElement} */ (find("[type=submit]", form)), outcome = find("#outcome");
    if (button.disabled) return;
    /** @type {Record<string, unknown>} */
    const args = {};
    for (const box of all("[data-name]", form)) {
      const value = valueOf(box);
      if (value !== LEFT_OUT) args[box.dataset.name ?? ""] = value;
    }
    const group = /** @type {HTMLSelectElement} */ (find("#f-group")).value, delay = /** @type {HTMLInputElement} */ (find("#f-delay")).value;
    const body = { target: form.dataset.target, arguments: args, ...(group && { group }), ...(delay.trim() && { delay: typed(delay, "float") }) };
    button.disabled = true;
    button.textContent = "Spawning…";
    const { status, answer } = await post("/api/spawn", body);
    button.disabled = false;
    button.textContent = "Spawn";
    const rest = showErrors(status === 422 ? (answer.errors ?? (answer.field ? { [answer.field]: answer.message } : {})) : {});
    if (!outcome) return;
    const id = answer.id ?? answer.ids?.[0];
    const [what, sentence] = status === 422 ? ["fault", rest.length ? rest.join(" ") : "Some values do not fit; see beside them."] : observed(status, answer, "Spawned.");
    outcome.dataset.outcome = what;
    outcome.hidden = false;
    outcome.replaceChildren(sentence);
    if (status === 201 && id) {
      outcome.append(" ", h("a", { href: `${document.body.dataset.base}/greenlets/${id}` }, `Greenlet ${id}`), " is followed here.");
      detail.show(id, true);
      detail.follow(() => page.stream.paused);
    }
  });
  document.addEventListener("acted", () => detail.refresh());
}
