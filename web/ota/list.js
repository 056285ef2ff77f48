// SPDX-License-Identifier: Apache-2.0
// Copyright The Driveline authors

// A paged table: the server sorts, filters and cuts, so a hundred thousand rows cost no more than a page.
// Beside it, where there is room, the details of the row that is open.
import { h, fill, setText } from './dom.js';
import { get } from './api.js';

const SIZES = [50, 100, 200];

// options: {path, params(), columns: [{label, sort, cell(row), kind}], key(row), name, nothing, state: {sort, offset, limit},
// onState(), href(row), selectable, onSelect(), onError(error)}
export class List {
  constructor(options) {
    Object.assign(this, { total: 0, rows: [], selected: new Map(), open: null }, options);
    this.state = { sort: '', offset: 0, limit: SIZES[0], ...options.state };
    this.node = this.build();
  }

  build() {
    this.body = h('tbody');
    this.headRow = h('tr');
    this.empty = h('p', { class: 'empty' }, 'Loading…');
    return h('section', { class: 'card', 'aria-label': this.name },
      h('div', { class: 'scroll' }, h('table', { class: 'list' }, h('thead', {}, this.headRow), this.body)), this.empty, this.buildPager());
  }

  buildPager() {
    const step = (label, to) => h('button', { type: 'button', onclick: () => this.go(to()) }, label);
    const { state } = this;
    this.where = h('span', { role: 'status', class: 'where' });
    this.first = step('First', () => 0);
    this.previous = step('Previous', () => state.offset - state.limit);
    this.next = step('Next', () => state.offset + state.limit);
    this.last = step('Last', () => (Math.ceil(this.total / state.limit) - 1) * state.limit);
    this.size = h('select', { 'aria-label': 'Rows a page', onchange: () => this.change({ limit: Number(this.size.value), offset: 0 }) },
      SIZES.map((n) => h('option', { value: n, selected: n === state.limit }, `${n} rows`)));
    return h('div', { class: 'pager' }, this.where, this.size, this.first, this.previous, this.next, this.last);
  }

  drawHead() {
    if (this.headFor === this.state.sort) return;
    this.headFor = this.state.sort;
    const [field, direction] = this.state.sort.split(':');
    const sortable = (c) => h('th', { scope: 'col', class: c.kind, 'aria-sort': c.sort !== field ? undefined : direction === 'DESC' ? 'descending' : 'ascending' },
      h('button', { type: 'button', class: 'sort', onclick: () => this.sortBy(c.sort) }, c.label,
        h('span', { 'aria-hidden': 'true' }, c.sort !== field ? '' : direction === 'DESC' ? ' ▾' : ' ▴')));
    const held = this.headRow.contains(document.activeElement) ? [...this.headRow.querySelectorAll('button, input')].indexOf(document.activeElement) : -1;
    fill(this.headRow, this.selectable ? h('th', { class: 'pick' }, this.pickAll()) : null,
      this.columns.map((c) => c.sort ? sortable(c) : h('th', { scope: 'col', class: c.kind }, c.label)));
    if (held >= 0) this.headRow.querySelectorAll('button, input')[held]?.focus();
  }

  pickAll() {
    this.all = h('input', { type: 'checkbox', 'aria-label': 'Select every row of this page', onchange: () => {
      for (const row of this.rows) this.mark(row, this.all.checked);
      this.drawRows();
    } });
    return this.all;
  }

  sortBy(field) {
    const [now, direction] = this.state.sort.split(':');
    this.change({ sort: `${field}:${now === field && direction === 'ASC' ? 'DESC' : 'ASC'}`, offset: 0 });
  }

  go(offset) {
    this.change({ offset: Math.max(0, Math.min(offset, Math.max(0, this.total - 1))) });
  }

  change(part) {
    Object.assign(this.state, part);
    this.onState?.();
    return this.load();
  }

  // Asks anew; an older question that is still open is dropped.
  async load() {
    this.asking?.abort();
    const asking = this.asking = new AbortController();
    this.node.setAttribute('aria-busy', 'true');
    try {
      const { sort, offset, limit } = this.state;
      const page = await get(this.path, { sort, offset, limit, ...this.params?.() }, asking.signal);
      if (this.asking !== asking) return;
      if (!page.content.length && page.total > 0 && offset > 0) return void this.go((Math.ceil(page.total / limit) - 1) * limit);
      this.show(page);
      this.onError?.(null);
    } catch (error) {
      if (error.name === 'AbortError' || this.asking !== asking) return;
      this.onError?.(error);
      if (!this.rows.length) setText(this.empty, 'Nothing to show.');
    } finally {
      if (this.asking === asking) {
        this.asking = null;
        this.node.removeAttribute('aria-busy');
      }
    }
  }

  // As `load`, unless one is under way.
  async refresh() {
    if (!this.asking) await this.load();
  }

  show(page) {
    this.rows = page.content;
    this.total = page.total;
    this.onPage?.(page);
    this.drawHead();
    this.drawRows();
    this.drawPager();
  }

  drawPager() {
    const { offset, limit } = this.state;
    const end = offset + this.rows.length;
    const count = (n) => n.toLocaleString('en');
    setText(this.where, this.rows.length ? `${count(offset + 1)}–${count(end)} of ${count(this.total)}` : '');
    this.first.disabled = this.previous.disabled = offset === 0;
    this.next.disabled = this.last.disabled = end >= this.total;
    const one = this.total <= limit && offset === 0;
    for (const b of [this.first, this.previous, this.next, this.last]) b.hidden = one;
    this.size.hidden = this.total <= SIZES[0];
    this.empty.hidden = this.rows.length > 0;
    setText(this.empty, this.nothing);
  }

  // Rows that did not change keep their elements, so focus and selection stay where they are.
  drawRows() {
    this.drawn ||= new Map();
    const next = new Map();
    const nodes = this.rows.map((row) => {
      const key = this.key(row);
      const text = JSON.stringify([row, this.selected.has(key), this.open === String(key)]);
      const old = this.drawn.get(key);
      const node = old?.text === text ? old.node : this.makeRow(row, key, old?.node);
      next.set(key, { text, node });
      return node;
    });
    this.drawn = next;
    if (nodes.length !== this.body.children.length || nodes.some((node, i) => node !== this.body.children[i])) this.replaceRows(nodes);
    if (this.all) this.all.checked = this.rows.length > 0 && this.rows.every((row) => this.selected.has(this.key(row)));
  }

  replaceRows(nodes) {
    const held = document.activeElement;
    const mark = this.body.contains(held) ? [held.closest('tr').dataset.key, [...held.closest('tr').querySelectorAll('a, input, button')].indexOf(held)] : null;
    this.body.replaceChildren(...nodes);
    if (!mark) return;
    const row = nodes.find((node) => node.dataset.key === mark[0]);
    row?.querySelectorAll('a, input, button')[mark[1]]?.focus({ preventScroll: true });
  }

  makeRow(row, key) {
    const pick = this.selectable ? h('td', { class: 'pick' }, h('input', { type: 'checkbox', checked: this.selected.has(key),
      'aria-label': `Select ${key}`, onchange: (event) => {
        this.mark(row, event.target.checked);
        this.drawRows();
      } })) : null;
    const cells = this.columns.map((c, i) => i === 0
      ? h('th', { scope: 'row' }, this.href ? h('a', { href: this.href(row) }, c.cell(row)) : c.cell(row))
      : h('td', { class: c.kind, 'data-label': c.label }, c.cell(row)));
    const node = h('tr', { class: this.open === String(key) ? 'open' : '' }, pick, cells);
    node.dataset.key = key;
    return node;
  }

  mark(row, on) {
    if (on) this.selected.set(this.key(row), row);
    else this.selected.delete(this.key(row));
    this.onSelect?.();
  }

  clear() {
    this.selected.clear();
    this.drawRows();
    this.onSelect?.();
  }

  focusRow(key) {
    [...this.body.children].find((node) => node.dataset.key === String(key))?.querySelector('a')?.focus({ preventScroll: true });
  }

  setOpen(key) {
    this.open = key;
    if (this.rows.length) this.drawRows();
  }
}

// A view with a list and a pane. The address is `#/VIEW/KEY?q=…&sort=…&offset=…`: a permalink. Subclasses
// give `view`, `makeList()`, `makePane(key)`, `tools()`.
export class ListPage {
  constructor(key, params, app) {
    Object.assign(this, { key, params, app, query: params.get('q') || '' });
    this.state = { sort: params.get('sort') || '', offset: Number(params.get('offset')) || 0, limit: Number(params.get('limit')) || SIZES[0] };
  }

  async show(main) {
    this.list = this.makeList();
    this.side = h('aside', { class: 'side', 'aria-label': 'Details' });
    this.columns = h('div', { class: 'columns' }, h('div', { class: 'stack' }, this.list.node), this.side);
    fill(main, this.tools(), this.columns);
    this.openPane(this.key);
    await this.list.load();
  }

  close() {
    this.list?.asking?.abort();
    this.pane?.close?.();
  }

  // Another row of the same list: the list stays.
  turn(key, params) {
    const same = ['q', 'sort', 'offset', 'limit'].every((name) => (params.get(name) || '') === (this.params.get(name) || ''));
    if (!same) return false;
    const left = this.key;
    this.key = key;
    this.openPane(key, true);
    if (!key) this.list.focusRow(left);
    return true;
  }

  link(key) {
    const { sort, offset, limit } = this.list?.state || this.state;
    const query = new URLSearchParams();
    if (this.query) query.set('q', this.query);
    if (sort) query.set('sort', sort);
    if (offset) query.set('offset', offset);
    if (limit !== SIZES[0]) query.set('limit', limit);
    return `#/${this.view}${key === undefined || key === null || key === '' ? '' : `/${encodeURIComponent(key)}`}${query.size ? `?${query}` : ''}`;
  }

  // Writes what is shown into the address without loading again.
  remember() {
    const address = this.link(this.key);
    this.params = new URLSearchParams(address.split('?')[1]);
    history.replaceState(null, '', address);
    this.list.drawn = null;
  }

  search(query) {
    this.query = query;
    return this.list.change({ offset: 0 });
  }

  // `moved`: somebody went there, so the focus goes along.
  openPane(key, moved = false) {
    this.pane?.close?.();
    this.pane = null;
    this.columns.classList.toggle('with-side', Boolean(key));
    this.list.setOpen(key || null);
    fill(this.side);
    if (!key) return;
    this.pane = this.makePane(key);
    const opened = this.pane.open(this.side).then(() => moved && this.key === key && this.side.querySelector('.close').focus({ preventScroll: true }));
    opened.catch((error) => fill(this.side, h('section', { class: 'card' }, this.paneHead(key), h('p', { class: 'empty', role: 'alert' }, error.message))));
  }

  paneHead(title, ...more) {
    return h('div', { class: 'card-head' }, h('h2', {}, title), more,
      h('a', { class: 'button quiet close', href: this.link(''), 'aria-label': 'Close the details' }, 'Close'));
  }

  refresh() {
    return Promise.all([this.list.refresh(), this.pane?.refresh?.()]);
  }
}

// A search box for a plain word or a query, with the server's word on a wrong one.
export class SearchBox {
  constructor({ label, placeholder, value, examples, onChange }) {
    this.error = h('p', { class: 'form-error', role: 'alert', id: 'search-error' });
    this.input = h('input', { type: 'search', id: 'search', placeholder, value, autocomplete: 'off', spellcheck: 'false', 'aria-describedby': 'search-error',
      oninput: () => this.typed(onChange), onkeydown: (event) => event.key === 'Enter' && this.now(onChange) });
    const use = (query) => h('li', {}, h('button', { type: 'button', class: 'quiet example', onclick: () => {
      this.input.value = query;
      this.now(onChange);
    } }, h('code', {}, query)));
    this.node = h('div', { class: 'search', role: 'search' }, h('label', { for: 'search', class: 'sr' }, label), this.input,
      h('details', { class: 'examples' }, h('summary', {}, 'Examples'), h('ul', {}, examples.map(use))), this.error);
  }

  typed(onChange) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => onChange(this.input.value), 300);
  }

  now(onChange) {
    clearTimeout(this.timer);
    onChange(this.input.value);
  }

  show(error) {
    setText(this.error, error ? error.message : '');
    if (error) this.input.setAttribute('aria-invalid', 'true');
    else this.input.removeAttribute('aria-invalid');
  }
}
