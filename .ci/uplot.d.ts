// The part of uPlot that static/js/charts.js uses; the library itself is a vendored global.

declare namespace uPlot {
  type AlignedData = (number | null)[][];
}

declare class uPlot {
  constructor(options: unknown, data: uPlot.AlignedData, target: HTMLElement);
  width: number;
  cursor: { idx?: number | null };
  batch(work: () => void): void;
  setData(data: uPlot.AlignedData, resetScales?: boolean): void;
  setScale(key: string, range: { min: number; max: number }): void;
  setSeries(index: number, options: { show: boolean }): void;
  setSize(size: { width: number; height: number }): void;
  redraw(rebuildPaths?: boolean, recalcAxes?: boolean): void;
  destroy(): void;
}
