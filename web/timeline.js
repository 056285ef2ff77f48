// SPDX-License-Identifier: Apache-2.0
// Copyright The Driveline authors

// The one time axis of a car's page: which window is shown, the cursor, the ruler with the update
// markers, and the mouse, touch and keyboard that move them.
import { h, fill, setText } from '/dom.js';
import { clock, duration, timeTicks } from '/format.js';
import { server } from '/net.js';

export class View {
  constructor(windowMs) {
    Object.assign(this, { windowMs, live: true, cursor: null, skew: 0, first: null, width: 800, step: 0, period: 1000 });
    this.to = server.now();
    this.from = this.to - windowMs;
  }

  // Where live data ends: the server's clock, or the car's where the two differ.
  now() {
    return server.now() + this.skew;
  }

  follow() {
    if (!this.live) return;
    this.to = this.now();
    this.from = this.windowMs ? this.to - this.windowMs : Math.min(this.first ?? this.to - 60000, this.to - 10000);
  }

  maxTicks() {
    return Math.max(2, Math.floor(this.width / 90));
  }

  x(time) {
    return (time - this.from) / (this.to - this.from) * this.width;
  }

  time(x) {
    return this.from + x / this.width * (this.to - this.from);
  }
}

export function markerText(m) {
  if (m.failed) return `${m.from} ✕ ${m.to}`;
  return `${m.from} → ${m.to}`;
}

export function gapText(m) {
  return m.gap ? `gap ${(m.gap.ms / 1000).toFixed(1)} s` : '';
}

export class Timeline {
  // `charts` is the element over which the cursor runs; `act` has what the gestures do.
  constructor(view, charts, act) {
    Object.assign(this, { view, charts, act, markers: [] });
    this.ticks = h('div', { class: 'ticks', 'aria-hidden': 'true' });
    this.chips = h('div', { class: 'chips' });
    this.ruler = h('div', { class: 'ruler' }, this.chips, this.ticks);
    this.cursorLine = h('div', { class: 'cursor', hidden: true });
    this.selection = h('div', { class: 'selection', hidden: true });
    this.lines = h('div', { class: 'lines' });
    this.overlay = h('div', { class: 'overlay', 'aria-hidden': 'true' }, this.lines, this.selection, this.cursorLine);
    this.chip = h('div', { class: 'cursor-time', hidden: true });
    this.ruler.append(this.chip);
    this.listen();
  }

  listen() {
    const c = this.charts;
    c.addEventListener('pointermove', (e) => this.move(e));
    c.addEventListener('pointerleave', () => this.setCursor(null));
    c.addEventListener('pointerdown', (e) => this.press(e));
    c.addEventListener('pointerup', (e) => this.release(e));
    c.addEventListener('pointercancel', () => this.drop());
    c.addEventListener('dblclick', (e) => this.inPlot(e) && this.act.goLive());
    c.addEventListener('keydown', (e) => this.key(e));
  }

  inPlot(e) {
    return e.target.closest?.('.plot');
  }

  xOf(e) {
    return Math.min(this.view.width, Math.max(0, e.clientX - this.overlay.getBoundingClientRect().left));
  }

  move(e) {
    if (this.start !== undefined) {
      const x = this.xOf(e);
      this.selection.hidden = Math.abs(x - this.start) < 4;
      this.selection.style.left = `${Math.min(x, this.start)}px`;
      this.selection.style.width = `${Math.abs(x - this.start)}px`;
    }
    if (this.inPlot(e)) this.setCursor(this.view.time(this.xOf(e)));
    else if (e.pointerType === 'mouse' && this.start === undefined) this.setCursor(null);
  }

  press(e) {
    if (!this.inPlot(e) || e.button !== 0) return;
    this.setCursor(this.view.time(this.xOf(e)));
    if (e.pointerType === 'mouse') this.start = this.xOf(e); // touch moves the cursor; it scrolls the page too
  }

  release(e) {
    if (this.start === undefined) return;
    const [a, b] = [this.start, this.xOf(e)].sort((p, q) => p - q);
    this.drop();
    if (b - a >= 4) this.act.zoom(this.view.time(a), this.view.time(b));
  }

  drop() {
    this.start = undefined;
    this.selection.hidden = true;
  }

  key(e) {
    if (e.target !== this.charts || e.ctrlKey || e.metaKey || e.altKey) return;
    const v = this.view;
    const span = v.to - v.from;
    const steps = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10 };
    if (e.key in steps) {
      const at = v.cursor ?? v.to;
      this.setCursor(Math.min(v.to, Math.max(v.from, at + steps[e.key] * Math.max(1000, span / 120))), true);
    } else if (e.key === '+' || e.key === '=') this.zoomAt(0.5);
    else if (e.key === '-') this.zoomAt(2);
    else if (e.key === 'Home') this.act.goLive();
    else if (e.key === ' ') this.act.toggle();
    else if (e.key === 'Escape') this.setCursor(null);
    else return;
    e.preventDefault();
  }

  zoomAt(factor) {
    const v = this.view;
    const at = v.cursor ?? (v.from + v.to) / 2;
    this.act.zoom(at - (at - v.from) * factor, at + (v.to - at) * factor);
  }

  setCursor(time, say = false) {
    this.view.cursor = time;
    this.showCursor();
    this.act.cursor(say);
  }

  showCursor() {
    const { view } = this;
    const hidden = view.cursor === null || view.cursor < view.from || view.cursor > view.to;
    this.cursorLine.hidden = this.chip.hidden = hidden;
    if (hidden) return;
    const x = view.x(view.cursor);
    this.cursorLine.style.transform = `translateX(${x}px)`;
    setText(this.chip, clock(view.cursor, view.to - view.from < 120000));
    this.chip.style.left = `${Math.min(view.width - 40, Math.max(40, x))}px`;
  }

  // Lays ruler and overlay over the strips' drawing area.
  place(area) {
    const left = this.charts.getBoundingClientRect().left;
    for (const part of [this.ruler, this.overlay]) {
      part.style.marginLeft = `${area.left - left}px`;
      part.style.width = `${area.width}px`;
    }
    this.view.width = area.width;
  }

  draw() {
    const { view } = this;
    fill(this.ticks, timeTicks(view.from, view.to, view.maxTicks()).map(({ v, label }) => {
      const x = view.x(v);
      if (x < 18 || x > view.width - 18) return null;
      const tick = h('span', {}, label);
      tick.style.left = `${x}px`;
      return tick;
    }));
    this.drawMarkers();
    this.showCursor();
  }

  // The chips are buttons; they are kept as long as their markers, so that focus stays where it is.
  setMarkers(markers) {
    this.markers = markers;
    this.nodes = markers.map((m) => this.makeMarker(m));
    fill(this.chips, this.nodes.map((n) => n.chip));
    fill(this.lines, this.nodes.flatMap((n) => [n.shade, n.line]));
    this.drawMarkers();
  }

  makeMarker(m) {
    const kind = m.failed ? 'bad' : m.ended ? 'ok' : 'run';
    const words = `Update ${m.from} to ${m.to}: ${m.state.replaceAll('_', ' ')}${m.cause ? `, ${m.cause}` : ''}` +
      `${m.gap ? `, telemetry gap ${duration(m.gap.ms)}` : ''}, at ${clock(m.time)}`;
    return {
      m,
      chip: h('button', { type: 'button', class: 'chip', 'data-state': kind, 'aria-label': words, title: words,
        onclick: () => this.act.focus(m) }, h('b', {}, markerText(m)), ` ${gapText(m)}`),
      line: h('div', { class: 'marker', 'data-state': kind }),
      shade: h('div', { class: 'shade' }),
    };
  }

  drawMarkers() {
    const { view } = this;
    const ends = []; // right end of the last chip of each row
    for (const { m, chip, line, shade } of this.nodes || []) {
      const seen = m.time >= view.from && m.time <= view.to;
      chip.hidden = line.hidden = !seen;
      shade.hidden = !seen || !m.gap || m.gap.ms < view.period * 1.5; // as far apart as ever: no gap to see
      if (!seen) continue;
      const x = view.x(m.time);
      line.style.transform = `translateX(${x}px)`;
      if (!shade.hidden) {
        const from = Math.max(0, view.x(m.gap.from));
        shade.style.left = `${from}px`;
        shade.style.width = `${Math.max(1, Math.min(view.width, view.x(m.gap.to)) - from)}px`;
      }
      const width = chip.offsetWidth || 120;
      const left = Math.min(Math.max(0, x - width / 2), Math.max(0, view.width - width));
      let row = ends.findIndex((end) => end + 4 <= left);
      if (row < 0) row = ends.length < 3 ? ends.push(0) - 1 : 2;
      ends[row] = left + width;
      chip.style.transform = `translate(${left}px, ${row * 22}px)`;
    }
    this.chips.style.height = `${Math.max(1, ends.length) * 22}px`;
  }
}
