// SPDX-License-Identifier: Apache-2.0
// Copyright The Driveline authors

// Saved target filters, and the set that each of them assigns by itself.
import { h, fill } from './dom.js';
import { stamp } from './format.js';
import { get, may, part, post, put, remove } from './api.js';
import { action, ask, confirmed } from './form.js';
import { setOptions, kindFields } from './assign.js';
import { List, ListPage, SearchBox } from './list.js';
import { toQuery } from './rsql.js';
import { facts } from './target.js';

class FilterPane {
  constructor(id, page) {
    Object.assign(this, { id, page, path: `targetfilters/${part(id)}` });
  }

  async open(side) {
    const filter = this.filter = await get(this.path);
    const [{ total }, set] = await Promise.all([get('targets', { q: filter.query, limit: 1 }), get(`${this.path}/autoAssignDS`)]);
    const edit = may('UPDATE_TARGET');
    const name = set && `${set.name} ${set.version}`;
    fill(side, h('section', { class: 'card' }, this.page.paneHead(filter.name), h('div', { class: 'buttons pad' },
      h('a', { class: 'button primary', href: `#/targets?q=${encodeURIComponent(filter.query)}` }, `Show ${total.toLocaleString('en')} targets`),
      edit ? action('Edit', () => this.edit()) : null, edit && may('READ_DISTRIBUTION_SET') ? action('Assign automatically', () => this.auto()) : null,
      edit && set ? action('Stop assigning', () => this.stop()) : null, may('DELETE_TARGET') ? action('Delete', () => this.remove()) : null),
    h('div', { class: 'part' }, facts([['Query', h('code', {}, filter.query)], ['Assigns', set ? h('a', { href: `#/sets/${set.id}` }, name) : 'nothing'],
      ['Type', filter.autoAssignActionType], ['Weight', filter.autoAssignWeight], ['Created', `${stamp(filter.createdAt)} by ${filter.createdBy}`]]))));
  }

  // After a change: the list and this.
  async again() {
    await this.page.list.load();
    await this.open(this.page.side);
  }

  async edit() {
    await ask({ title: `Edit ${this.filter.name}`, specs: filterFields(this.filter), onSubmit: (v) => put(this.path, { name: v.name, query: toQuery(v.query, ['id', 'name']) }) });
    await this.again();
  }

  async auto() {
    await ask({ title: `Assign a set to whatever matches ${this.filter.name}`, submit: 'Assign automatically',
      text: 'Each matching target that never had the set gets it, now and later.',
      specs: [{ name: 'id', label: 'Distribution set', type: 'select', options: await setOptions(), required: true },
        ...kindFields([['forced', 'Forced: install at once'], ['soft', 'Soft: the target may choose the moment'], ['downloadonly', 'Download only']])],
      onSubmit: (v) => post(`${this.path}/autoAssignDS`, { id: Number(v.id), type: v.type, weight: v.weight }) });
    await this.again();
  }

  async stop() {
    await remove(`${this.path}/autoAssignDS`);
    await this.again();
  }

  async remove() {
    if (await confirmed(`Delete the filter ${this.filter.name}?`, 'Its targets and their actions stay.', 'Delete', () => remove(this.path))) location.hash = this.page.link('');
  }
}

const filterFields = (f) => [{ name: 'name', label: 'Name', required: true, max: 128, value: f?.name }, { name: 'query', label: 'Query', type: 'area', required: true, max: 1024, value: f?.query }];

export class FiltersPage extends ListPage {
  view = 'filters';
  title = 'Target filters';

  makeList() {
    return new List({ path: 'targetfilters', name: 'Target filters', state: this.state, key: (f) => f.id, nothing: 'No filter so far. Save one from the list of targets.',
      params: () => ({ q: toQuery(this.query, ['name']), representation: 'full' }), href: (f) => this.link(f.id),
      columns: [{ label: 'Name', sort: 'name', cell: (f) => f.name }, { label: 'Query', cell: (f) => h('code', {}, f.query) },
        { label: 'Assigns', cell: (f) => f.autoAssignDistributionSet ? `set ${f.autoAssignDistributionSet} (${f.autoAssignActionType})` : '–' },
        { label: 'Changed', sort: 'lastmodifiedat', cell: (f) => stamp(f.lastModifiedAt) }],
      onState: () => this.remember(), onError: (error) => this.box.show(error) });
  }

  makePane(key) {
    return new FilterPane(key, this);
  }

  tools() {
    this.box = new SearchBox({ label: 'Search filters', placeholder: 'Name or query', value: this.query, examples: ['name==overdue*', 'autoassigndistributionset.name==brakes'], onChange: (text) => this.search(text) });
    return h('div', { class: 'tools-block' }, h('div', { class: 'head' }, h('h1', {}, 'Target filters'),
      h('div', { class: 'buttons' }, may('CREATE_TARGET') ? action('New filter', () => this.create(), { kind: 'primary' }) : null)), h('div', { class: 'filter-fields' }, this.box.node));
  }

  async create() {
    await ask({ title: 'New filter', submit: 'Create', specs: filterFields(), onSubmit: async (v) => {
      const made = await post('targetfilters', { name: v.name, query: toQuery(v.query, ['id', 'name']) });
      location.hash = this.link(made.id);
    } });
    await this.list.load();
  }
}
