// SPDX-License-Identifier: Apache-2.0
// Copyright The Driveline authors

// Elements without a framework. Text goes in as text nodes only, so nothing that a car sends can
// become markup.
export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [key, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (key === 'class') element.className = value;
    else if (key.startsWith('on')) element.addEventListener(key.slice(2), value);
    else if (key in element && typeof value === 'boolean') element[key] = value;
    else element.setAttribute(key, value === true ? '' : value);
  }
  add(element, children);
  return element;
}

function add(element, children) {
  for (const child of children.flat(9)) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : String(child));
  }
}

export function fill(element, ...children) {
  element.replaceChildren();
  add(element, children);
  return element;
}

// Writes only what changed: screen readers and the selection stay calm.
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

// Keeps one child for each item, in order; `make(item)` returns {node, update(item)}.
export class Keyed {
  constructor(parent, key, make) {
    Object.assign(this, { parent, key, make, live: new Map() });
  }

  show(items) {
    const seen = new Set();
    let place = this.parent.firstChild;
    for (const item of items) {
      const key = this.key(item);
      seen.add(key);
      let row = this.live.get(key);
      if (!row) this.live.set(key, row = this.make(item));
      row.update(item);
      if (row.node === place) place = place.nextSibling;
      else this.parent.insertBefore(row.node, place);
    }
    for (const [key, row] of this.live) {
      if (seen.has(key)) continue;
      row.node.remove();
      this.live.delete(key);
    }
  }
}

const STATES = {
  online: 'ok', confirmed: 'ok', finished: 'ok', succeeded: 'ok', in_sync: 'ok', active: 'ok',
  running: 'run', downloading: 'run', downloaded: 'run', installing: 'run', trial: 'run', pending: 'run', retrieved: 'run', download: 'run',
  creating: 'run', starting: 'run', stopping: 'run', deleting: 'run',
  stale: 'warn', paused: 'warn', canceled: 'warn', cancelled: 'warn', canceling: 'warn', cancel_rejected: 'warn', warning: 'warn', stopped: 'warn',
  overdue: 'warn', waiting_for_approval: 'warn', wait_for_confirmation: 'warn', invalid: 'bad', incomplete: 'warn',
  rolled_back: 'bad', offline: 'bad', failed: 'bad', error: 'bad', approval_denied: 'bad',
};
const SIGNS = { ok: '✓', run: '▸', warn: '!', bad: '✕', wait: '·' };

// A word with a sign and a colour, so that colour is never alone.
export function sign(kind, text) {
  return h('span', { class: 'badge', 'data-state': kind },
    h('span', { 'aria-hidden': 'true' }, SIGNS[kind], ' '), String(text).replaceAll('_', ' '));
}

export function badge(state, text = state) {
  return sign(STATES[String(state).toLowerCase()] || 'wait', text);
}
