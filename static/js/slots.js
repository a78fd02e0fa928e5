// The picture of a pool, as app/pages/slots.py draws it: slots taken and free, and the queue behind them.

const WIDTH = 200, HEIGHT = 14, QUEUE_WIDTH = 40, QUEUE_MOST = 16, SINGLE_MOST = 48;

/** @param {number} x @param {number} width */
const box = (x, width) => `M${x.toFixed(2)} 0h${width.toFixed(2)}v${HEIGHT}h-${width.toFixed(2)}z`;
/** @param {number} x */
const tick = (x) => `M${x.toFixed(2)} 3h1.25v8h-1.25z`;

/**
 * @param {number} active @param {number | null} size @param {number | null} waiters
 * @returns {{taken: string, free: string, queue: string, level: string}}
 */
export function slotBar(active, size, waiters) {
  const room = WIDTH - QUEUE_WIDTH;
  const slots = size || Math.max(active, 1);
  const shown = Math.max(slots, active);
  let taken = "", free = "", end = room;
  if (shown <= SINGLE_MOST) {
    const step = Math.min(room / shown, 14), gap = step >= 5 ? 2 : 1;
    for (let i = 0; i < active; i++) taken += box(i * step, step - gap);
    for (let i = active; i < slots; i++) free += box(i * step, step - gap);
    end = shown * step;
  } else {
    const part = room * Math.min(active / shown, 1);
    if (active) taken = box(0, part);
    if (part < room && size) free = box(part, room - part);
  }
  let queue = "";
  for (let i = 0; i < Math.min(waiters ?? 0, QUEUE_MOST); i++) queue += tick(end + 4 + i * 2.25);
  const level = !size ? "" : active >= size && waiters ? "bad" : active / size > 0.85 ? "near" : "";
  return { taken, free, queue, level };
}

/** Redraw one bar; untouched when nothing changed. @param {Element} svg @param {number} active @param {number | null} size @param {number | null} waiters @param {string} label */
export function drawSlots(svg, active, size, waiters, label) {
  if (svg.getAttribute("aria-label") === label) return;
  const bar = slotBar(active, size, waiters);
  svg.setAttribute("aria-label", label);
  svg.setAttribute("data-level", bar.level);
  svg.querySelector(".taken")?.setAttribute("d", bar.taken);
  svg.querySelector(".free")?.setAttribute("d", bar.free);
  svg.querySelector(".queue")?.setAttribute("d", bar.queue);
}
