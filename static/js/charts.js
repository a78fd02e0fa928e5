// Live charts over one time axis: uPlot, a shared cursor, drag to zoom all of them, colours read from the theme.
//
// A point a second is kept for ten minutes, whatever the refresh rate, so a tab that is open for days stays as it was.

import { all, find, setAttribute, setText } from "./dom.js";
import { FORMATS, compact } from "./format.js";

/** @typedef {{t: number[]} & Record<string, (number | null)[]>} Series */
/** @typedef {{key: string, lines: string[], format: string, floor?: number}} ChartSpec */

const MOST_POINTS = 600;
/** Steps of an axis that counts: there are no halves. */
const WHOLE = Array.from({ length: 10 }, (_, power) => [1, 2, 5].map((step) => step * 10 ** power)).flat();
const SYNC = "greenscope";

/** The colour that a custom property stands for now: asked of a computed `color`, because `light-dark()` is not resolved in the property itself. @param {Element} element @param {string} property */
function colourOf(element, property) {
  const probe = document.createElement("span");
  probe.style.setProperty("color", `var(${property})`);
  probe.hidden = true;
  element.append(probe);
  const colour = getComputedStyle(probe).color;
  probe.remove();
  return colour;
}

export class Charts {
  /** @param {ChartSpec[]} specs @param {Series} series */
  constructor(specs, series) {
    this.specs = specs;
    this.series = series;
    this.range = Number(sessionStorage.getItem("range") ?? "300");
    this.zoomed = false;
    /** @type {Map<string, uPlot>} */
    this.plots = new Map();
    /** @type {Set<string>} */
    this.hidden = new Set();
    this.hovered = false;
    for (const button of all("#range [data-range]")) {
      button.addEventListener("click", () => this.setRange(Number(button.dataset.range)));
    }
    find("#zoom-out")?.addEventListener("click", () => this.zoomOut());
    for (const button of all("[data-chart] [data-line]")) button.addEventListener("click", () => this.toggle(button));
    document.addEventListener("theme", () => this.build());
    new ResizeObserver(() => this.resize()).observe(document.body);
    this.build();
    this.setRange(this.range);
  }

  /** @param {ChartSpec} spec @returns {uPlot.AlignedData} */
  dataOf(spec) {
    return /** @type {any} */ ([this.series.t, ...spec.lines.map((line) => this.series[line] ?? this.series.t.map(() => null))]);
  }

  /** Make all plots anew, in the colours of the theme of now. */
  build() {
    for (const plot of this.plots.values()) plot.destroy();
    this.plots.clear();
    for (const spec of this.specs) {
      const box = find(`[data-chart="${spec.key}"] .chart`);
      if (!box) continue;
      box.replaceChildren();
      this.plots.set(spec.key, new uPlot(this.options(spec, box), this.dataOf(spec), box));
    }
    this.draw();
  }

  /** @param {ChartSpec} spec @param {HTMLElement} box @returns {any} */
  options(spec, box) {
    const ink = colourOf(box, "--ink-3"), line = colourOf(box, "--line");
    const font = `11px ${getComputedStyle(document.body).fontFamily}`;
    const write = FORMATS[spec.format];
    const legend = (/** @type {string} */ name) => find(`[data-chart="${spec.key}"] [data-line="${name}"]`);
    return {
      width: Math.max(box.clientWidth - 8, 50),
      height: box.clientHeight - 8,
      legend: { show: false },
      padding: [10, 26, 0, 0],
      cursor: { sync: { key: SYNC }, drag: { x: true, y: false }, points: { size: 5 } },
      scales: { x: { time: true }, y: { range: (/** @type {any} */ _, /** @type {number} */ low, /** @type {number} */ high) => [0, Math.max((high ?? 0) * 1.1, spec.floor ?? 1)] } },
      axes: [
        { stroke: ink, font, size: 22, gap: 6, space: 70, grid: { stroke: line, width: 1 }, ticks: { show: false },
          values: (/** @type {any} */ _, /** @type {number[]} */ splits) => splits.map((t) => new Date(t * 1000).toTimeString().slice(0, 8)) },
        { stroke: ink, font, size: 56, ...(spec.format === "count" && { incrs: WHOLE }), gap: 4, space: 32, grid: { stroke: line, width: 1 }, ticks: { show: false },
          values: (/** @type {any} */ _, /** @type {number[]} */ splits) => splits.map((value) => (spec.format === "duration" ? write(value) : compact(value, write))) },
      ],
      series: [{}, ...spec.lines.map((name) => ({
        label: name,
        show: !this.hidden.has(`${spec.key}.${name}`),
        stroke: colourOf(legend(name) ?? box, "--series"),
        width: 1.5,
        points: { show: false },
        spanGaps: false,
      }))],
      hooks: {
        setSelect: [(/** @type {any} */ plot) => this.zoomTo(plot)],
        setCursor: [(/** @type {any} */ plot) => this.tell(spec, plot.cursor.idx ?? null)],
      },
    };
  }

  /** Show the values under the cursor, else the newest. @param {ChartSpec} spec @param {number | null} index */
  tell(spec, index) {
    const at = index ?? this.series.t.length - 1;
    for (const name of spec.lines) {
      setText(find(`[data-chart="${spec.key}"] [data-line="${name}"] .num`), FORMATS[spec.format](this.series[name]?.[at]));
    }
  }

  /** @param {any} plot */
  zoomTo(plot) {
    if (plot.select.width < 4) return;
    const min = plot.posToVal(plot.select.left, "x"), max = plot.posToVal(plot.select.left + plot.select.width, "x");
    plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
    this.zoomed = true;
    const button = find("#zoom-out");
    if (button) button.hidden = false;
    for (const other of this.plots.values()) other.setScale("x", { min, max });
  }

  zoomOut() {
    this.zoomed = false;
    const button = find("#zoom-out");
    if (button) button.hidden = true;
    this.draw();
  }

  /** @param {number} seconds */
  setRange(seconds) {
    this.range = seconds;
    sessionStorage.setItem("range", String(seconds));
    for (const button of all("#range [data-range]")) setAttribute(button, "aria-pressed", String(Number(button.dataset.range) === seconds));
    this.zoomOut();
  }

  /** @param {HTMLElement} button */
  toggle(button) {
    const key = button.closest("[data-chart]")?.getAttribute("data-chart") ?? "", name = button.dataset.line ?? "";
    const id = `${key}.${name}`, show = this.hidden.has(id);
    if (show) this.hidden.delete(id);
    else this.hidden.add(id);
    button.setAttribute("aria-pressed", String(show));
    const spec = this.specs.find((one) => one.key === key);
    if (spec) this.plots.get(key)?.setSeries(spec.lines.indexOf(name) + 1, { show });
  }

  /** Add a point; more than one within a second replace each other. @param {number} t seconds since 1970 @param {Record<string, number | null | undefined>} values */
  push(t, values) {
    const last = this.series.t.at(-1);
    const replace = last !== undefined && t - last < 0.5;
    const names = new Set(this.specs.flatMap((spec) => spec.lines));
    if (!replace) this.series.t.push(t);
    const end = this.series.t.length - 1;
    for (const name of names) {
      const column = (this.series[name] ??= Array(end).fill(null));
      column[end] = values[name] ?? null;
    }
    if (this.series.t.length > MOST_POINTS) {
      this.series.t.shift();
      for (const name of names) this.series[name].shift();
    }
    this.draw();
  }

  draw() {
    const end = this.series.t.at(-1) ?? Date.now() / 1000;
    // a history that is shorter than the range grows into it, so that a young program does not look empty
    const range = Math.min(this.range, Math.max(60, end - (this.series.t[0] ?? end)));
    for (const spec of this.specs) {
      const plot = this.plots.get(spec.key);
      if (!plot) continue;
      plot.batch(() => {
        plot.setData(this.dataOf(spec), false);
        if (!this.zoomed) plot.setScale("x", { min: end - range, max: end });
        else plot.redraw(true, false);
      });
      if (plot.cursor.idx == null) this.tell(spec, null);
    }
  }

  resize() {
    for (const [key, plot] of this.plots) {
      const box = find(`[data-chart="${key}"] .chart`);
      if (box && Math.abs(box.clientWidth - 8 - plot.width) > 1) plot.setSize({ width: Math.max(box.clientWidth - 8, 50), height: box.clientHeight - 8 });
    }
  }
}
