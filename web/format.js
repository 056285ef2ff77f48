// SPDX-License-Identifier: Apache-2.0
// Copyright The Driveline authors

// Times and numbers as people read them. `zone.utc` is the page's one setting.
export const zone = {
  utc: localStorage.getItem('zone') === 'utc',
  set(utc) {
    this.utc = utc;
    localStorage.setItem('zone', utc ? 'utc' : 'local');
  },
  get name() {
    return this.utc ? 'UTC' : 'Local';
  },
};

const two = (n) => String(n).padStart(2, '0');

export function parts(ms) {
  const d = new Date(ms);
  return zone.utc
    ? { year: d.getUTCFullYear(), month: d.getUTCMonth() + 1, day: d.getUTCDate(), hour: d.getUTCHours(),
        minute: d.getUTCMinutes(), second: d.getUTCSeconds(), ms: d.getUTCMilliseconds() }
    : { year: d.getFullYear(), month: d.getMonth() + 1, day: d.getDate(), hour: d.getHours(),
        minute: d.getMinutes(), second: d.getSeconds(), ms: d.getMilliseconds() };
}

export function clock(ms, fraction = false) {
  const p = parts(ms);
  const text = `${two(p.hour)}:${two(p.minute)}:${two(p.second)}`;
  return fraction ? `${text}.${String(p.ms).padStart(3, '0')}` : text;
}

export function stamp(ms) {
  const p = parts(ms);
  return `${p.year}-${two(p.month)}-${two(p.day)} ${clock(ms)}`;
}

export function age(ms) {
  if (ms === null || ms === undefined) return 'never';
  const s = Math.max(0, ms / 1000);
  if (s < 1.5) return 'now';
  if (s < 60) return `${Math.floor(s)} s ago`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${Math.floor(s % 60)} s ago`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor(s % 3600 / 60)} min ago`;
  return `${Math.floor(s / 86400)} d ago`;
}

export function duration(ms) {
  if (ms === null || ms === undefined) return '–';
  const s = Math.max(0, ms) / 1000;
  if (s < 10) return `${s.toFixed(1)} s`;
  if (s < 60) return `${Math.round(s)} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${Math.round(s % 60)} s`;
  return `${Math.floor(s / 3600)} h ${Math.floor(s % 3600 / 60)} min`;
}

// Three to four significant digits, no exponent, a real minus sign.
export function number(value, digits) {
  if (value === null || value === undefined || Number.isNaN(value)) return '–';
  if (digits === undefined) {
    const a = Math.abs(value);
    digits = a >= 100 ? 0 : a >= 10 ? 1 : 2;
  }
  const text = value.toFixed(digits);
  return /^-0\.?0*$/.test(text) ? text.slice(1) : text.replace('-', '−');
}

const BYTES = ['B', 'kB', 'MB', 'GB'];
export function bytes(n) {
  let i = 0;
  while (n >= 1000 && i < BYTES.length - 1) {
    n /= 1000;
    i++;
  }
  return `${i ? n.toFixed(1) : n} ${BYTES[i]}`;
}

// Round values between `low` and `high`, at most `max` of them.
export function valueTicks(low, high, max) {
  const span = high - low;
  const base = 10 ** Math.floor(Math.log10(span / max));
  const step = [1, 2, 5, 10].map((f) => f * base).find((s) => span / s <= max);
  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  const ticks = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i++) ticks.push({ v: i * step, label: number(i * step, digits) });
  return ticks;
}

const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400]
  .map((s) => s * 1000);

// Round times between `from` and `to`, at most `max` of them: [{v, label}].
export function timeTicks(from, to, max) {
  const span = to - from;
  const step = STEPS.find((s) => span / s <= max) || Math.ceil(span / max / 86400000) * 86400000;
  const offset = zone.utc ? 0 : new Date(from).getTimezoneOffset() * 60000;
  const ticks = [];
  for (let v = Math.ceil((from - offset) / step) * step + offset; v <= to; v += step) {
    const p = parts(v);
    let label = `${two(p.hour)}:${two(p.minute)}`;
    if (step < 60000) label += `:${two(p.second)}`;
    if (step >= 86400000 || (p.hour === 0 && p.minute === 0 && p.second === 0)) label = `${two(p.month)}-${two(p.day)}`;
    ticks.push({ v, label });
  }
  return ticks;
}
