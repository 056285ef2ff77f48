// SPDX-License-Identifier: Apache-2.0
// Copyright The Driveline authors

// Actions: what targets are doing with what they were given, with history and messages.
import { h, fill, badge } from './dom.js';
import { stamp } from './format.js';
import { get, may, part, put, remove } from './api.js';
import { action, ask, confirmed } from './form.js';
import { List, ListPage, SearchBox } from './list.js';
import { both, toQuery } from './rsql.js';

const CHIPS = [['', 'All'], ['active==true', 'Open'], ['status==running', 'Running'], ['status==scheduled', 'Scheduled'],
  ['status==wait_for_confirmation', 'Wait for confirmation'], ['status==canceling', 'Canceling'], ['status==error', 'Error'], ['status==canceled', 'Canceled'], ['status==finished', 'Finished']];
const EXAMPLES = ['target.controllerid==car-7*', 'distributionset.name==brakes;active==true', 'rollout.name==spring*', 'laststatuscode=gt=0'];
const HISTORY = 100;

const targetOf = (a) => a._links?.target ? decodeURIComponent(a._links.target.href.split('/').pop()) : '';

// An action as a line that opens to its history; the buttons are those that its state allows.
export class ActionItem {
  constructor(a, target, onChange) {
    Object.assign(this, { a, target, onChange, path: `targets/${part(target)}/actions/${a.id}` });
    this.line = h('summary', { class: 'action-line' });
    this.body = h('div', { class: 'history' });
    this.details = h('details', { ontoggle: () => this.refresh().catch(() => {}) }, this.line, this.body);
    this.ends = h('div', { class: 'buttons' });
    this.node = h('li', {}, this.details, this.ends);
  }

  update(a) {
    const text = JSON.stringify(a);
    if (this.text === text) return;
    this.text = text;
    this.a = a;
    fill(this.line, badge(a.status), ' ', h('b', {}, a._links?.distributionset?.name?.replace(/:(?=[^:]*$)/, ' ') || `Action ${a.id}`),
      h('span', { class: 'note' }, ` #${a.id} · ${a.forceType}${a.rolloutName ? ` · ${a.rolloutName}` : ''} · ${stamp(a.createdAt)}`));
    fill(this.ends, this.buttons());
  }

  buttons() {
    const { a } = this;
    if (!may('UPDATE_TARGET') || !a.active) return null;
    const run = (label, question, body) => action(label, () => this.change(question, body), { kind: 'quiet' });
    const waits = a.status === 'wait_for_confirmation';
    return [waits ? [action('Confirm', () => this.decide('confirmed'), { kind: 'quiet' }), action('Deny', () => this.decide('denied'), { kind: 'quiet' })] : null,
      a.forceType === 'soft' || a.forceType === 'timeforced' ? run('Force', null, () => put(this.path, { forceType: 'forced' })) : null,
      a.status === 'canceling' ? run('Force quit', ['Quit without the device?', 'The action ends here; what the device does is no longer looked at.'], () => remove(this.path, undefined, { force: true }))
        : run('Cancel', ['Cancel this action?', 'The device is asked to stop; it may refuse when it is too far.'], () => remove(this.path))];
  }

  async change(question, run) {
    if (question) await confirmed(question[0], question[1], 'Yes', run);
    else await run();
    await this.onChange();
  }

  async decide(confirmation) {
    await ask({ title: confirmation === 'confirmed' ? 'Confirm this update?' : 'Deny this update?', submit: confirmation === 'confirmed' ? 'Confirm' : 'Deny',
      specs: [{ name: 'detail', label: 'Remark', max: 512 }],
      onSubmit: ({ detail }) => put(`${this.path}/confirmation`, { confirmation, details: detail ? [detail] : [] }) });
    await this.onChange();
  }

  // The history is asked for only while it is open.
  async refresh() {
    if (!this.details.open) return;
    const history = await get(`${this.path}/status`, { limit: HISTORY });
    const text = JSON.stringify(history);
    if (this.shown === text) return;
    this.shown = text;
    fill(this.body, h('ol', { class: 'steps-list' }, history.content.map((s) => h('li', {},
      h('div', {}, badge(s.type), ' ', h('time', {}, stamp(s.timestamp ?? s.reportedAt)), s.code !== undefined ? h('span', { class: 'note' }, ` code ${s.code}`) : null),
      (s.messages || []).map((m) => h('p', { class: 'said' }, m))))),
    history.total > HISTORY ? h('p', { class: 'note' }, `The newest ${HISTORY} of ${history.total}.`) : null);
  }
}

class ActionPane {
  constructor(key, page) {
    Object.assign(this, { key, page });
  }

  async open(side) {
    const a = await get(`actions/${part(this.key)}`);
    const target = targetOf(a);
    this.item = new ActionItem(a, target, () => this.refresh());
    this.item.update(a);
    fill(side, h('section', { class: 'card' }, this.page.paneHead(`Action ${a.id}`),
      h('p', { class: 'pad' }, 'Target ', h('a', { href: `#/targets/${encodeURIComponent(target)}` }, target),
        a.rollout ? [', rollout ', h('a', { href: `#/rollouts/${a.rollout}` }, a.rolloutName)] : null, `, weight ${a.weight}, changed ${stamp(a.lastModifiedAt)}`,
        a.maintenanceWindow ? `, maintenance window ${a.maintenanceWindow.schedule} for ${a.maintenanceWindow.duration}` : ''),
      h('ul', { class: 'items part' }, this.item.node)));
    this.item.details.open = true;
  }

  async refresh() {
    if (!this.item) return;
    this.item.update(await get(`actions/${part(this.key)}`));
    await this.item.refresh();
  }
}

export class ActionsPage extends ListPage {
  view = 'actions';
  title = 'Actions';

  constructor(...given) {
    super(...given);
    this.chip = CHIPS.some(([q]) => q && q === this.query) ? this.query : '';
    this.typed = this.chip ? '' : this.query;
  }

  makeList() {
    const set = (a) => a._links.distributionset.name.replace(/:(?=[^:]*$)/, ' ');
    return new List({ path: 'actions', name: 'Actions', state: this.state, key: (a) => a.id, nothing: 'No action matches.',
      params: () => ({ q: toQuery(this.query, ['target.controllerid', 'distributionset.name']), representation: 'full' }), href: (a) => this.link(a.id),
      columns: [
        { label: 'Action', sort: 'id', cell: (a) => `#${a.id}` }, { label: 'Target', cell: targetOf }, { label: 'Set', cell: set },
        { label: 'Status', sort: 'status', cell: (a) => badge(a.status) }, { label: 'Type', cell: (a) => a.type === 'cancel' ? 'cancel' : a.forceType },
        { label: 'Weight', sort: 'weight', kind: 'num', cell: (a) => a.weight }, { label: 'Rollout', cell: (a) => a.rolloutName || '–' },
        { label: 'Created', sort: 'createdat', cell: (a) => stamp(a.createdAt) }, { label: 'Changed', sort: 'lastmodifiedat', cell: (a) => stamp(a.lastModifiedAt) },
      ],
      onState: () => this.remember(), onError: (error) => this.box.show(error) });
  }

  makePane(key) {
    return new ActionPane(key, this);
  }

  tools() {
    this.box = new SearchBox({ label: 'Search actions', placeholder: 'Target, set or query', value: this.typed, examples: EXAMPLES, onChange: (typed) => this.narrow({ typed }) });
    this.chips = CHIPS.map(([query, label]) => h('button', { type: 'button', class: 'filter', 'aria-pressed': String(query === this.chip), onclick: () => this.narrow({ chip: query }) }, label));
    return h('div', { class: 'tools-block' }, h('div', { class: 'head' }, h('h1', {}, 'Actions')), h('div', { class: 'filter-fields' }, this.box.node),
      h('div', { class: 'chips-row', role: 'group', 'aria-label': 'Show actions that are' }, this.chips));
  }

  narrow(part) {
    Object.assign(this, part);
    CHIPS.forEach(([query], i) => this.chips[i].setAttribute('aria-pressed', String(query === this.chip)));
    this.search(both(toQuery(this.typed || '', ['target.controllerid', 'distributionset.name']), this.chip));
  }
}
