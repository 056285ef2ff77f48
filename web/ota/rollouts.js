// SPDX-License-Identifier: Apache-2.0
// Copyright The Driveline authors

// Rollouts: the list, each with how far it has come.
import { h, fill } from './dom.js';
import { stamp } from './format.js';
import { may } from './api.js';
import { List, ListPage, SearchBox } from './list.js';
import { both, toQuery } from './rsql.js';
import { bar, countList, outcome } from './lanes.js';

const CHIPS = [['', 'All'], ['status==running', 'Running'], ['status==paused', 'Paused'], ['status==ready', 'Ready'],
  ['status==waiting_for_approval', 'Wait for approval'], ['status==finished', 'Finished'], ['status==stopped', 'Stopped']];
const EXAMPLES = ['name==spring*', 'distributionset.name==brakes', 'status==running'];

export class RolloutsPage extends ListPage {
  view = 'rollouts';
  title = 'Rollouts';

  constructor(key, params, app) {
    super('', params, app);
    this.chip = CHIPS.some(([q]) => q && q === this.query) ? this.query : '';
    this.typed = this.chip ? '' : this.query;
    this.state.sort ||= 'id:DESC';
  }

  makeList() {
    return new List({ path: 'rollouts', name: 'Rollouts', state: this.state, key: (r) => r.id, nothing: 'No rollout matches.',
      params: () => ({ q: toQuery(this.query, ['name']), representation: 'full' }), href: (r) => `#/rollouts/${r.id}`,
      columns: [
        { label: 'Name', sort: 'name', cell: (r) => r.name }, { label: 'State', sort: 'status', cell: (r) => outcome(r.status, r.totalTargetsPerStatus) },
        { label: 'Set', cell: (r) => (r._links.distributionset?.name || String(r.distributionSetId)).replace(/:(?=[^:]*$)/, ' ') },
        { label: 'Targets', kind: 'num', cell: (r) => r.totalTargets.toLocaleString('en') },
        { label: 'Progress', kind: 'progress-cell', cell: (r) => [bar(r.totalTargetsPerStatus, r.totalTargets, null), countList(r.totalTargetsPerStatus)] },
        { label: 'Created', sort: 'createdat', cell: (r) => stamp(r.createdAt) },
      ],
      onState: () => this.remember(), onError: (error) => this.box.show(error) });
  }

  // A list without a pane: a rollout has a page of its own.
  openPane() {
    fill(this.side);
  }

  turn(key, params) {
    return !key && super.turn(key, params);
  }

  tools() {
    this.box = new SearchBox({ label: 'Search rollouts', placeholder: 'Name or query', value: this.typed, examples: EXAMPLES, onChange: (typed) => this.narrow({ typed }) });
    this.chips = CHIPS.map(([query, label]) => h('button', { type: 'button', class: 'filter', 'aria-pressed': String(query === this.chip), onclick: () => this.narrow({ chip: query }) }, label));
    return h('div', { class: 'tools-block' }, h('div', { class: 'head' }, h('h1', {}, 'Rollouts'),
      h('div', { class: 'buttons' }, may('CREATE_ROLLOUT', 'READ_DISTRIBUTION_SET') ? h('a', { class: 'button primary', href: '#/rollouts/new' }, 'New rollout') : null)),
    h('div', { class: 'filter-fields' }, this.box.node), h('div', { class: 'chips-row', role: 'group', 'aria-label': 'Show rollouts that are' }, this.chips));
  }

  narrow(part) {
    Object.assign(this, part);
    CHIPS.forEach(([query], i) => this.chips[i].setAttribute('aria-pressed', String(query === this.chip)));
    this.search(both(toQuery(this.typed || '', ['name']), this.chip));
  }
}
