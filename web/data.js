// SPDX-License-Identifier: Apache-2.0
// Copyright The Driveline authors

// One subsystem's signals in columns, as the server sends them, grown at the end by live messages.

// 'Wheel1.Speed' of {Wheel1: {Speed: 3}}; booleans as 0 and 1, as in the store.
function member(object, path) {
  let value = object;
  for (const key of path.split('.')) value = value === null || value === undefined ? undefined : value[key];
  if (typeof value === 'boolean') return value ? 1 : 0;
  return typeof value === 'number' ? value : null;
}

// The columns of a subsystem's object, as the store names them.
export function columnNames(object, prefix = '') {
  return Object.entries(object).flatMap(([key, value]) => {
    if (value !== null && typeof value === 'object') return columnNames(value, `${prefix}${key}.`);
    return typeof value === 'number' || typeof value === 'boolean' ? [`${prefix}${key}`] : [];
  });
}

export class Table {
  constructor(columns) {
    this.columns = columns;
    this.index = new Map(columns.map((name, i) => [name, i]));
    this.clear();
  }

  clear() {
    this.times = [];
    this.values = this.columns.map(() => []);
    this.appended = 0; // rows since load(): they are not thinned out
  }

  load(series) {
    this.clear();
    this.times = series.times;
    series.columns.forEach((name, i) => {
      const at = this.index.get(name);
      if (at !== undefined) this.values[at] = series.values[i];
    });
    for (const list of this.values) while (list.length < this.times.length) list.push(null);
  }

  get last() {
    return this.times.length ? this.times[this.times.length - 1] : null;
  }

  // False if the row is not newer than what is there: it came with the series already.
  append(time, object) {
    if (this.last !== null && time <= this.last) return false;
    this.times.push(time);
    this.columns.forEach((name, i) => this.values[i].push(member(object, name)));
    this.appended++;
    return true;
  }

  // Forgets rows before `time`, in large pieces.
  trim(time) {
    const n = this.at(time);
    if (n < 500) return;
    this.times.splice(0, n);
    for (const list of this.values) list.splice(0, n);
  }

  // Index of the first row at or after `time`.
  at(time) {
    let low = 0;
    let high = this.times.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.times[middle] < time) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  // The row in force at `time`: the latest that is not later, and not much older. -1: none.
  near(time, reach) {
    const i = this.at(time + 1) - 1;
    return i >= 0 && time - this.times[i] <= reach ? i : -1;
  }

  // How far apart rows usually are, ms: nine of ten steps are not longer. A car may change its rate, so
  // the slower one counts; a few gaps don't.
  get period() {
    const n = this.times.length;
    if (n < 3) return 1000;
    const stride = Math.max(1, Math.floor(n / 200));
    const steps = [];
    for (let i = n - 1; i > 0; i -= stride) steps.push(this.times[i] - this.times[i - 1]);
    return Math.max(50, steps.sort((a, b) => a - b)[Math.floor(steps.length * 0.9)]);
  }

  // Rows [time, …] for the chart, with one more on each side of the window, and an empty one wherever
  // data is missing, so that a gap is seen as a gap. `step`: how far apart rows are when thinned out.
  rows(columns, from, to, step) {
    const lists = columns.map((name) => this.values[this.index.get(name)]);
    const limit = Math.max(this.period * 1.8, step * 2.5);
    const start = Math.max(0, this.at(from) - 1);
    const end = Math.min(this.times.length, this.at(to) + 1);
    const rows = [];
    for (let i = start; i < end; i++) {
      if (i > start && this.times[i] - this.times[i - 1] > limit) {
        rows.push([this.times[i - 1] + 1, ...lists.map(() => null)]);
      }
      rows.push([this.times[i], ...lists.map((list) => list[i])]);
    }
    return rows;
  }
}
