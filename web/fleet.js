// SPDX-License-Identifier: Apache-2.0
// Copyright The Driveline authors

// The fleet list: the server searches, filters, sorts and cuts into pages, so thousands of cars cost the
// page no more than a hundred.
import { h, fill, setText, badge, Keyed } from '/dom.js';
import { age, number, stamp } from '/format.js';
import { server } from '/net.js';

const PAGE = 100;
const STATES = [['', 'All', 'all'], ['online', 'Online'], ['stale', 'Stale'], ['offline', 'Offline'], ['never', 'Never heard'],
  ['updating', 'Updating'], ['failed', 'Update failed']];

export class FleetPage {
  constructor(params, app) {
    Object.assign(this, { app, page: null, title: 'Fleet' });
    this.query = { search: params.get('search') || '', state: params.get('state') || '', sort: params.get('sort') || 'name',
      offset: Number(params.get('offset')) || 0 };
  }

  async show(main) {
    fill(main, h('div', { class: 'head' }, h('h1', {}, 'Fleet'), this.buildFilter()), this.buildTable());
    this.listen();
    this.timer = setInterval(() => this.tick(), 1000);
  }

  close() {
    clearInterval(this.timer);
    clearTimeout(this.typing);
  }

  buildFilter() {
    this.chips = STATES.map(([value, label]) => h('button', { type: 'button', class: 'filter', 'aria-pressed': String(this.query.state === value),
      onclick: () => this.change({ state: value }) }, label, ' ', h('span', { class: 'count' }, '–')));
    this.search = h('input', { type: 'search', id: 'search', placeholder: 'Name, version or update state', value: this.query.search,
      autocomplete: 'off', spellcheck: 'false', oninput: () => this.typed() });
    const sort = h('select', { id: 'sort', onchange: (e) => this.change({ sort: e.target.value }) },
      [['name', 'Name'], ['seen', 'Last message'], ['version', 'Version']].map(([value, label]) =>
        h('option', { value, selected: value === this.query.sort }, label)));
    return h('div', { class: 'filters', role: 'search' },
      h('div', { class: 'filter-fields' }, h('label', { for: 'search', class: 'sr' }, 'Search'), this.search,
        h('span', { class: 'pair' }, h('label', { for: 'sort' }, 'Sort by'), sort)),
      h('div', { class: 'chips-row', role: 'group', 'aria-label': 'Show cars that are' }, this.chips));
  }

  buildTable() {
    this.body = h('tbody');
    this.rows = new Keyed(this.body, (car) => car.device, (car) => this.makeRow(car));
    this.empty = h('p', { class: 'empty' }, 'Loading…');
    this.where = h('span', { role: 'status' });
    this.previous = h('button', { type: 'button', onclick: () => this.turn(-PAGE) }, 'Previous');
    this.next = h('button', { type: 'button', onclick: () => this.turn(PAGE) }, 'Next');
    const col = (label, c) => h('th', { scope: 'col', class: c }, label);
    return h('section', { class: 'card', 'aria-label': 'Cars' },
      h('table', { class: 'fleet' },
        h('thead', {}, h('tr', {}, col('Car'), col('State'), col('Version'), col('Last message'), col('Charge', 'num'), col('Update'))), this.body),
      this.empty, h('div', { class: 'pager' }, this.where, this.previous, this.next));
  }

  makeRow(car) {
    const cells = { state: h('td', { 'data-label': 'State' }), version: h('td', { 'data-label': 'Version' }), age: h('td', { 'data-label': 'Last message' }),
      charge: h('td', { class: 'num', 'data-label': 'Charge' }), update: h('td', { 'data-label': 'Update' }) };
    const node = h('tr', {}, h('th', { scope: 'row' }, h('a', { href: `#/car/${encodeURIComponent(car.device)}` }, car.device)),
      Object.values(cells));
    let shown = '';
    return { node, update: (c) => {
      cells.age.dataset.seen = c.seen ?? '';
      cells.age.title = c.seen ? stamp(c.seen) : '';
      const key = JSON.stringify([c.link, c.version, c.assigned, c.charge, c.update]);
      if (key === shown) return;
      shown = key;
      fill(cells.state, badge(c.link, c.link === 'never' ? 'never heard' : c.link));
      setText(cells.version, c.version || '–');
      setText(cells.charge, c.charge === null ? '–' : `${number(c.charge, 1)} %`);
      this.fillUpdate(cells.update, c);
    } };
  }

  fillUpdate(cell, c) {
    const u = c.update;
    const waits = c.assigned && c.assigned !== c.version && !(u && u.to === c.assigned);
    if (waits) fill(cell, badge('wait', 'assigned'), ` ${c.assigned}`);
    else if (u) fill(cell, badge(u.state), ` ${u.from} → ${u.to}`, u.cause ? h('span', { class: 'cause', title: u.cause }, ` ${u.cause}`) : null);
    else setText(cell, '–');
  }

  typed() {
    clearTimeout(this.typing);
    this.typing = setTimeout(() => this.change({ search: this.search.value.trim() }), 200);
  }

  change(part) {
    Object.assign(this.query, { offset: 0 }, part);
    STATES.forEach(([value], i) => this.chips[i].setAttribute('aria-pressed', String(this.query.state === value)));
    const q = new URLSearchParams(Object.entries(this.query).filter(([k, v]) => v && !(k === 'sort' && v === 'name')));
    history.replaceState(null, '', `#/${q.size ? `?${q}` : ''}`);
    this.listen();
  }

  turn(by) {
    this.change({ offset: Math.max(0, this.query.offset + by) });
  }

  listen() {
    this.app.events.listen({ fleet: 1, limit: PAGE, ...this.query }, { fleet: (page) => this.take(page), counts: (c) => this.count(c),
      reset: () => {} });
  }

  count(counts) {
    STATES.forEach(([value, , key], i) => setText(this.chips[i].querySelector('.count'), String(counts[key || value])));
    this.counts = counts;
  }

  take(page) {
    this.page = page;
    this.rows.show(page.rows);
    this.empty.hidden = page.rows.length > 0;
    const filtered = this.query.search || this.query.state;
    setText(this.empty, filtered ? 'No car matches.' : 'No car so far. Make one with “driveline thing create” and start driveline-tcu with its certificate.');
    const last = page.offset + page.rows.length;
    setText(this.where, page.rows.length ? `${page.offset + 1}–${last} of ${page.matched}` : '');
    this.previous.disabled = page.offset === 0;
    this.next.disabled = last >= page.matched;
    this.previous.hidden = this.next.hidden = page.matched <= PAGE && page.offset === 0;
    this.tick();
  }

  tick() {
    for (const cell of this.body.querySelectorAll('[data-seen]')) {
      const seen = cell.dataset.seen;
      setText(cell, seen ? age(server.now() - Number(seen)) : 'never');
    }
  }
}
