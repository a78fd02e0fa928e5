// The door: takes the token from the address (its fragment never reaches a server or a log), exchanges it for a cookie,
// and replaces the address, so that the token stays in no history either.

import { base, find } from "./dom.js";

const form = find("#login"), fault = find("#login-fault");
const field = /** @type {HTMLInputElement | null} */ (find("#token"));

/** @param {string} token */
async function enter(token) {
  const button = /** @type {HTMLButtonElement | null} */ (find("button", form ?? document));
  if (button) button.disabled = true;
  try {
    const response = await fetch(`${base}/api/login`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ token }),
    });
    if (response.ok) {
      const here = location.pathname === `${base}/login` ? `${base}/` : location.pathname + location.search;
      history.replaceState(null, "", here);
      location.replace(here);
      return;
    }
    const answer = await response.json().catch(() => ({}));
    if (fault) fault.textContent = response.status === 429 ? "Too many attempts. Wait a moment." : (answer.message ?? "This is not the token of this dashboard.");
  } catch {
    if (fault) fault.textContent = "The dashboard does not answer. Is the program still running?";
  }
  if (button) button.disabled = false;
  field?.setAttribute("aria-invalid", "true");
  field?.focus();
}

form?.addEventListener("submit", (event) => {
  event.preventDefault();
  if (field?.value.trim()) enter(field.value.trim());
});

/** @returns {boolean} */
function takeFragment() {
  const token = new URLSearchParams(location.hash.slice(1)).get("token");
  if (!token) return false;
  history.replaceState(null, "", location.pathname + location.search);
  enter(token);
  return true;
}

addEventListener("hashchange", takeFragment);
if (!takeFragment()) field?.focus();
