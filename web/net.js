// SPDX-License-Identifier: Apache-2.0
// Copyright The Driveline authors

// The server as the page knows it: JSON by GET, one event stream, and whether we can reach it.

export const server = {
  offset: 0, // server's clock minus ours, ms
  now() {
    return Date.now() + this.offset;
  },
};

export async function get(path, params = {}, signal = undefined) {
  const query = new URLSearchParams();
  for (const [key, value] of Object.entries(params)) {
    if (value !== undefined && value !== null && value !== '') query.set(key, value);
  }
  const text = query.toString();
  const answer = await fetch(`/api/${path}${text ? `?${text}` : ''}`, { signal });
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(body.error || `the server answered ${answer.status}`);
  return body;
}

const SILENCE_MS = 12000; // the server says something every 5 s
const NAMES = ['hello', 'ping', 'counts', 'fleet', 'telemetry', 'update', 'reset', 'rollouts', 'pipelines', 'log'];

// One EventSource, made anew with a growing delay when it breaks. The browser's own reconnection is not
// used: it gives up on an answer that is an error, as from a server that is just starting.
export class Events {
  constructor(onState) {
    Object.assign(this, { onState, params: null, handlers: {}, source: null, tries: 0, from: null, boot: null });
    this.heard = 0;
    setInterval(() => this.check(), 1000);
    addEventListener('online', () => this.retryNow());
    addEventListener('pagehide', () => this.close());
  }

  // Replaces what is listened to. `from` is the first offset of the stream that is wanted.
  listen(params, handlers, from = null) {
    this.close();
    Object.assign(this, { params, handlers, from, tries: 0 });
    this.open();
  }

  open() {
    clearTimeout(this.timer);
    const query = new URLSearchParams(this.params);
    if (this.from !== null) query.set('from', this.from);
    this.heard = Date.now();
    this.source = new EventSource(`/api/events?${query}`);
    this.source.onerror = () => this.broken();
    for (const name of NAMES) this.source.addEventListener(name, (event) => this.take(name, event));
  }

  close() {
    clearTimeout(this.timer);
    if (this.source) this.source.close();
    this.source = null;
  }

  take(name, event) {
    this.heard = Date.now();
    if (event.lastEventId) this.from = Number(event.lastEventId);
    const data = JSON.parse(event.data);
    if (name === 'hello' || name === 'ping') server.offset = data.now - Date.now();
    if (name === 'hello') {
      if (this.boot !== null && this.boot !== data.boot) {
        this.boot = data.boot;
        this.handlers.reset?.({});
      }
      this.boot = data.boot;
      this.tries = 0;
      this.onState('live');
    }
    this.handlers[name]?.(data);
  }

  broken() {
    this.close();
    const wait = Math.min(10000, 500 * 2 ** this.tries++);
    this.onState('lost', this.heard, wait);
    this.timer = setTimeout(() => this.open(), wait);
  }

  check() {
    if (this.source && Date.now() - this.heard > SILENCE_MS) this.broken();
  }

  retryNow() {
    if (this.params && !this.source) this.open();
  }
}
