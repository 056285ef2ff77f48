// SPDX-License-Identifier: Apache-2.0
// Copyright The Driveline authors

// The log of the cloud's parts, as it is written.
import { h, fill } from '/dom.js';
import { clock } from '/format.js';
import { get } from '/net.js';

const KEEP = 1000;
const LEVELS = ['error', 'warning', 'info', 'debug'];
const LINE = /^(\d{4}-\d\d-\d\dT[\d:.]+Z) (\w+) +(?:([\w.-]+): )?(.*)$/;

function parse({ part, text }) {
  const m = LINE.exec(text);
  if (m && LEVELS.includes(m[2])) return { part: m[3] || part, time: Date.parse(m[1]), level: m[2], text: m[4] };
  // Another program's line, as Mosquitto's: `1795377600: …` or a time of ISO 8601 without a level.
  const other = /^(\d{9,11}|\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-]\d{4})?): (.*)$/.exec(text);
  if (!other) return { part, time: null, level: 'info', text };
  const time = /^\d+$/.test(other[1]) ? Number(other[1]) * 1000 : Date.parse(other[1]);
  const level = /^error/i.test(other[2]) ? 'error' : /^warning/i.test(other[2]) ? 'warning' : 'info';
  return { part: 'mosquitto', time, level, text: other[2] };
}

export class LogPage {
  constructor(params, app) {
    Object.assign(this, { app, title: 'Log', lines: [] });
    this.filter = { part: params.get('part') || '', level: params.get('level') || 'debug', text: params.get('text') || '' };
  }

  async show(main) {
    this.list = h('ol', { class: 'log', tabindex: '0', 'aria-label': 'Log lines, newest last' });
    this.follow = h('input', { type: 'checkbox', id: 'follow', checked: true });
    const { lines } = await get('log', { lines: 500 });
    this.lines = lines.map(parse);
    fill(main, h('div', { class: 'head' }, h('h1', {}, 'Log'), this.buildFilter()), h('section', { class: 'card' }, this.list));
    this.render();
    this.app.events.listen({ feeds: 'log' }, { log: (news) => this.take(news), reset: () => {} });
  }

  close() {}

  buildFilter() {
    const parts = [...new Set([...this.lines.map((l) => l.part), ...(this.filter.part ? [this.filter.part] : [])])].sort();
    const pick = (id, label, values, key) => h('span', { class: 'pair' }, h('label', { for: id }, label), h('select', { id, onchange: (e) => this.change(key, e.target.value) },
      values.map(([value, text]) => h('option', { value, selected: value === this.filter[key] }, text))));
    return h('div', { class: 'filters' }, h('div', { class: 'filter-fields' },
      pick('part', 'Part', [['', 'All'], ...parts.map((p) => [p, p])], 'part'),
      pick('level', 'Level', [['debug', 'All'], ['info', 'Info and worse'], ['warning', 'Warnings and errors'], ['error', 'Errors']], 'level'),
      h('label', { for: 'text', class: 'sr' }, 'Text'),
      h('input', { type: 'search', id: 'text', placeholder: 'Text', value: this.filter.text, oninput: (e) => this.change('text', e.target.value) }),
      h('label', { class: 'check' }, this.follow, ' Follow')));
  }

  change(key, value) {
    this.filter[key] = value;
    const q = new URLSearchParams(Object.entries(this.filter).filter(([k, v]) => v && !(k === 'level' && v === 'debug')));
    history.replaceState(null, '', `#/log${q.size ? `?${q}` : ''}`);
    this.render();
  }

  wanted(line) {
    const { part, level, text } = this.filter;
    return (!part || line.part === part) && LEVELS.indexOf(line.level) <= LEVELS.indexOf(level) &&
      (!text || line.text.toLowerCase().includes(text.toLowerCase()));
  }

  row(line) {
    return h('li', { class: line.level }, h('time', {}, line.time ? clock(line.time, true) : ''), h('span', { class: 'part-name' }, line.part),
      h('span', { class: 'level' }, line.level), h('span', { class: 'text' }, line.text));
  }

  render() {
    fill(this.list, this.lines.filter((l) => this.wanted(l)).map((l) => this.row(l)));
    if (!this.list.children.length) fill(this.list, h('li', { class: 'note' }, 'No lines.'));
    this.toEnd();
  }

  take({ lines }) {
    const news = lines.map(parse);
    this.lines.push(...news);
    if (this.lines.length > KEEP) {
      this.lines.splice(0, this.lines.length - KEEP);
      this.render();
      return;
    }
    this.list.querySelector('.note')?.remove();
    this.list.append(...news.filter((l) => this.wanted(l)).map((l) => this.row(l)));
    this.toEnd();
  }

  toEnd() {
    if (this.follow.checked) this.list.scrollTop = this.list.scrollHeight;
  }
}
