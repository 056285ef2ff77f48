// SPDX-License-Identifier: Apache-2.0
// Copyright The Driveline authors

// What an update changed: key signals in equal windows before and after it, from the rows as they were
// sent. The two windows hold different driving, so the mean speed stands beside. Nothing is given per
// km: a simulated car may drive faster than the clock, and its telemetry has no odometer.
import { h, fill } from '/dom.js';
import { clock, duration, number } from '/format.js';
import { get, server } from '/net.js';

const MAX_WINDOW_MS = 5 * 60000;
const MIN_WINDOW_MS = 10000;
const POINTS = 4000;
const WHEELS = [1, 2, 3, 4].map((i) => `Wheel${i}.DiskTemperature`);
const NEEDS = { Battery: ['EnergyAdded', 'StateOfCharge'], ABS: [...WHEELS, 'BrakeActualPressure'], Engine: ['Speed'] };

// Equal windows on both sides that reach into no other update. Null: there is not enough yet.
export function windowsOf(markers, index, firstTime, now) {
  const m = markers[index];
  const before = markers[index - 1];
  const after = markers[index + 1];
  const end = m.stopped ?? m.started;
  const begin = m.switched ?? m.ended ?? m.time;
  const left = end - Math.max(firstTime, before ? before.ended ?? before.time : 0);
  const right = (after ? after.stopped ?? after.started : now) - begin;
  const length = Math.min(MAX_WINDOW_MS, left, right);
  if (!(length >= MIN_WINDOW_MS)) return null;
  return { length, before: [end - length, end], after: [begin, begin + length] };
}

const present = (list) => list.filter((v) => v !== null && v !== undefined);
const mean = (list) => (list.length ? list.reduce((a, b) => a + b, 0) / list.length : null);

// How much a counter grew; it begins at 0 again when the car starts.
export function growth(values) {
  const list = present(values);
  let sum = 0;
  for (let i = 1; i < list.length; i++) sum += list[i] >= list[i - 1] ? list[i] - list[i - 1] : list[i];
  return list.length > 1 ? sum : null;
}

export function summary({ Battery, ABS, Engine }) {
  const span = (s) => (s.times.length > 1 ? (s.times[s.times.length - 1] - s.times[0]) / 60000 : 0);
  const minutes = span(Battery);
  const energy = growth(Battery.values[0]);
  const charge = present(Battery.values[1]);
  const column = (name) => present(ABS.values[ABS.columns.indexOf(name)] ?? []);
  const discs = WHEELS.flatMap(column);
  return {
    energyPerMinute: energy === null || !minutes ? null : energy / minutes,
    discMean: mean(discs),
    discMax: discs.length ? discs.reduce((a, b) => Math.max(a, b)) : null,
    chargePerMinute: charge.length > 1 && minutes ? (charge[charge.length - 1] - charge[0]) / minutes : null,
    speedMean: mean(present(Engine.values[0])),
    brakePressure: mean(column('BrakeActualPressure')),
  };
}

const ROWS = [
  ['energyPerMinute', 'Energy returned', 'Wh/min', 1],
  ['discMean', 'Discs, mean', '°C', 1],
  ['discMax', 'Discs, highest', '°C', 1],
  ['brakePressure', 'Brake pressure, mean', 'bar', 2],
  ['chargePerMinute', 'State of charge', '%/min', 3],
  ['speedMean', 'Mean speed', 'km/h', 1],
];

function change(a, b, digits) {
  if (a === null || b === null) return '–';
  const d = b - a;
  const signed = (v, n) => (Number(v.toFixed(n)) > 0 ? `+${number(v, n)}` : number(v, n));
  return [h('b', {}, Math.abs(a) > 1e-6 ? `${signed(d / Math.abs(a) * 100, 0)} %` : ''),
    h('span', { class: 'unit block' }, signed(d, digits))];
}

export class EffectPanel {
  constructor(device) {
    Object.assign(this, { device, busy: false, due: 0, result: null });
    this.body = h('div', { class: 'effect-body' });
    this.node = h('section', { class: 'card effect', 'aria-labelledby': 'effect-title' },
      h('div', { class: 'card-head' }, h('h2', { id: 'effect-title' }, 'Effect of the last update')), this.body);
    fill(this.body, h('p', { class: 'note' }, 'No update so far.'));
  }

  // Called each second; loads when the windows can have changed.
  async show(markers, firstTime, now) {
    // One that failed changed nothing: then the last one that stayed is of interest.
    const stayed = markers.findLastIndex((m) => !m.failed && (m.ended || m.switched));
    const index = stayed >= 0 ? stayed : markers.findLastIndex((m) => m.ended);
    if (index < 0 || this.busy || firstTime === null) return;
    const key = `${markers[index].action}/${markers[index].state}/${markers.length}`;
    const windows = windowsOf(markers, index, firstTime, now);
    if (!windows) {
      this.wait(markers[index]);
      return;
    }
    const done = key === this.key && windows.length === this.length;
    if (done || (key === this.key && server.now() < this.due)) return;
    this.busy = true;
    try {
      const [before, after] = await Promise.all([this.load(windows.before), this.load(windows.after)]);
      Object.assign(this, { key, length: windows.length, due: server.now() + 5000 });
      this.render(markers[index], windows, summary(before), summary(after));
    } catch (error) {
      this.due = server.now() + 5000;
    } finally {
      this.busy = false;
    }
  }

  async load([from, to]) {
    const tables = Object.entries(NEEDS);
    const answers = await Promise.all(tables.map(([table, columns]) =>
      get('series', { device: this.device, table, columns: columns.join(','), from: Math.round(from), to: Math.round(to), points: POINTS })));
    return Object.fromEntries(tables.map(([table, columns], i) => {
      const none = { columns, times: [], values: columns.map(() => []) };
      return [table, answers[i].columns.length ? answers[i] : none];
    }));
  }

  wait(m) {
    if (this.key) return;
    fill(this.body, h('p', { class: 'note' }, `${m.from} → ${m.to}: comparing needs ${MIN_WINDOW_MS / 1000} s of data on both sides.`));
  }

  render(m, windows, before, after) {
    this.result = { marker: m, windows, before, after };
    fill(this.body,
      h('p', { class: 'note' }, h('b', {}, `${m.from} ${m.failed ? '✕' : '→'} ${m.to}`), ` at ${clock(m.time)}; ` +
        `${duration(windows.length)} on each side.`),
      h('table', { class: 'compact' },
        h('thead', {}, h('tr', {}, h('th', { scope: 'col' }, 'Signal'), h('th', { scope: 'col', class: 'num' }, 'Before'),
          h('th', { scope: 'col', class: 'num' }, 'After'), h('th', { scope: 'col', class: 'num' }, 'Change'))),
        h('tbody', {}, ROWS.map(([key, label, unit, digits]) => h('tr', { 'data-signal': key },
          h('th', { scope: 'row' }, label, h('span', { class: 'unit block' }, unit)),
          h('td', { class: 'num' }, number(before[key], digits)), h('td', { class: 'num' }, number(after[key], digits)),
          h('td', { class: 'num' }, change(before[key], after[key], digits)))))),
      m.failed ? h('p', { class: 'note' }, 'This update failed: the old software goes on, so no change is expected.') : null);
  }
}
