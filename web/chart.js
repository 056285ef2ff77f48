// SPDX-License-Identifier: Apache-2.0
// Copyright The Driveline authors

// A strip: the signals of one kind and unit over the shared time axis, drawn by dygraphs. The strip has
// no mouse handling of its own; the timeline over all strips has it.
import { h, setText } from '/dom.js';
import { number, timeTicks, valueTicks } from '/format.js';

// Only what draws: the legend plugin writes inline styles, which the page's policy forbids.
window.Dygraph.PLUGINS = [window.Dygraph.Plugins.Grid, window.Dygraph.Plugins.Axes];

const DASHES = [null, [7, 3], [2, 2], [9, 3, 2, 3], [4, 2]];
const AXIS_WIDTH = 44;
const LANE = 17;

let palette = null;
function readPalette() {
  const style = getComputedStyle(document.documentElement);
  const get = (name) => style.getPropertyValue(name).trim();
  palette = { lines: [1, 2, 3, 4, 5].map((i) => get(`--line${i}`)), grid: get('--grid'), axis: get('--border') };
}
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
  palette = null;
});
export function colours() {
  if (!palette) readPalette();
  return palette;
}

const SVG = 'http://www.w3.org/2000/svg';
function swatch(i, filled) {
  const svg = document.createElementNS(SVG, 'svg');
  svg.setAttribute('class', `swatch c${i % 5 + 1}`);
  svg.setAttribute('viewBox', '0 0 22 8');
  svg.setAttribute('aria-hidden', 'true');
  const shape = document.createElementNS(SVG, filled ? 'rect' : 'line');
  const at = filled ? { x: 0, y: 0, width: 22, height: 8, rx: 1.5 } : { x1: 0, x2: 22, y1: 4, y2: 4 };
  for (const [key, value] of Object.entries(at)) shape.setAttribute(key, value);
  if (!filled && DASHES[i % 5]) shape.setAttribute('stroke-dasharray', DASHES[i % 5].join(' '));
  svg.append(shape);
  return svg;
}

// A bar wherever the value is true: a lane for each signal, so it is read without its colour.
function lanePlotter(n) {
  return (e) => {
    const ctx = e.drawingContext;
    const top = e.plotArea.y + e.plotArea.h * e.seriesIndex / n;
    const height = e.plotArea.h / n;
    ctx.fillStyle = e.color;
    for (let i = 0; i < e.points.length; i++) {
      const p = e.points[i];
      if (p.yval === null || Number.isNaN(p.yval)) continue;
      const next = e.points[i + 1];
      const x = Math.round(p.canvasx); // whole pixels: neighbours meet without a seam
      const width = Math.max(1, (next ? Math.round(next.canvasx) : x + 2) - x);
      if (p.yval >= 0.5) ctx.fillRect(x, top + 3, width, height - 6);
      else ctx.fillRect(x, top + Math.floor(height / 2), width, 1);
    }
  };
}

export class Strip {
  constructor(spec, view) {
    Object.assign(this, { spec, view, graph: null, visible: true });
    this.names = spec.columns.map(([name]) => name);
    this.values = spec.columns.map(() => h('span', { class: 'v' }, '–'));
    this.plot = h('div', { class: 'plot', role: 'img', 'aria-label': spec.title });
    this.node = h('div', { class: `strip ${spec.kind}` },
      h('div', { class: 'legend' },
        h('div', { class: 'strip-title' }, spec.title, spec.unit ? h('span', { class: 'unit' }, ` ${spec.unit}`) : null),
        h('ul', {}, spec.columns.map(([, label], i) => h('li', {}, swatch(i, spec.kind === 'lanes'),
          h('span', { class: 'n' }, label), this.values[i])))),
      this.plot);
    this.plot.style.height = `${this.height()}px`;
  }

  height() {
    const n = this.spec.columns.length;
    return this.spec.kind === 'lanes' ? n * LANE + 6 : Math.max(70, n * LANE + 22);
  }

  options(rows) {
    const n = this.names.length;
    const c = colours();
    const lanes = this.spec.kind === 'lanes';
    return {
      file: rows, dateWindow: [this.view.from, this.view.to],
      valueRange: lanes ? [0, n] : this.range(rows), colors: this.names.map((_, i) => c.lines[i % 5]),
      gridLineColor: c.grid, axisLineColor: c.axis,
    };
  }

  create(rows) {
    const n = this.names.length;
    const lanes = this.spec.kind === 'lanes';
    const series = {};
    this.names.forEach((name, i) => {
      series[name] = { strokePattern: lanes ? null : DASHES[i % 5] };
    });
    const { file, ...options } = this.options(rows);
    this.graph = new window.Dygraph(this.plot, file, {
      ...options, series, labels: ['time', ...this.names], legend: 'never', interactionModel: {}, strokeWidth: 1.5,
      highlightCircleSize: 0, rightGap: 4, xRangePad: 0, connectSeparatedPoints: false, gridLineWidth: 1,
      ...(lanes ? { plotter: lanePlotter(n) } : {}),
      axes: {
        x: { drawAxis: false, drawGrid: true, ticker: (a, b) => timeTicks(this.view.from, this.view.to, this.view.maxTicks()) },
        y: {
          drawAxis: true, drawGrid: !lanes, axisLabelWidth: AXIS_WIDTH,
          ticker: lanes ? () => [] : (a, b, pixels) => valueTicks(a, b, Math.max(3, Math.floor(pixels / 24))),
        },
      },
    });
  }

  // The smallest round range that holds what is in the window and isn't narrower than the signal's span.
  range(rows) {
    let low = Infinity;
    let high = -Infinity;
    for (const row of rows) {
      if (row[0] < this.view.from || row[0] > this.view.to) continue;
      for (let i = 1; i < row.length; i++) {
        if (row[i] === null) continue;
        if (row[i] < low) low = row[i];
        if (row[i] > high) high = row[i];
      }
    }
    if (low > high) return [0, this.spec.span || 1];
    if (this.spec.zero) low = Math.min(0, low);
    const need = Math.max(this.spec.span, (high - low) * 1.12, Math.abs(high) * 1e-6, 1e-6);
    const floor = this.spec.zero && low === 0 ? 0 : low - (need - (high - low)) / 2;
    return [floor, floor + need];
  }

  draw(table) {
    this.table = table;
    if (!this.visible) return;
    const rows = table.rows(this.names, this.view.from, this.view.to, this.view.step);
    if (!rows.length) rows.push([this.view.from - 1, ...this.names.map(() => null)]);
    if (!this.graph) this.create(rows);
    else this.graph.updateOptions(this.options(rows));
    this.readout();
  }

  // The values at the cursor, or the newest in the window.
  readout() {
    if (!this.table) return;
    const { table, view } = this;
    const at = view.cursor === null ? view.to : view.cursor;
    const i = table.near(at, view.cursor === null ? Infinity : Math.max(table.period * 2.5, view.step * 2));
    this.names.forEach((name, s) => {
      const value = i < 0 ? null : table.values[table.index.get(name)][i];
      setText(this.values[s], this.say(value));
    });
    const words = this.spec.columns.map(([, label], s) => `${label} ${this.values[s].textContent}`).join(', ');
    this.plot.setAttribute('aria-label', `${this.spec.title}${this.spec.unit ? ` in ${this.spec.unit}` : ''}: ${words}`);
  }

  say(value) {
    if (this.spec.kind === 'lanes') return value === null ? '–' : value >= 0.5 ? 'yes' : 'no';
    return number(value, this.spec.digits);
  }

  resize() {
    if (this.graph) this.graph.resize();
  }

  // Pixels of the drawing area, relative to the page's left edge.
  area() {
    if (!this.graph) return null;
    const box = this.plot.getBoundingClientRect();
    const area = this.graph.getArea();
    return { left: box.left + area.x, width: area.w };
  }

  destroy() {
    if (this.graph) this.graph.destroy();
    this.graph = null;
  }
}
