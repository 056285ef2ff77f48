// SPDX-License-Identifier: Apache-2.0
// Copyright The Driveline authors

// Distribution sets: the list.
import { h, badge } from './dom.js';
import { stamp } from './format.js';
import { get, getAll, may, post } from './api.js';
import { action, ask } from './form.js';
import { List, ListPage, SearchBox } from './list.js';
import { toQuery } from './rsql.js';
import { SetPane } from './set.js';

const EXAMPLES = ['name==brakes*', 'version==2.*;valid==true', 'complete==false', 'tag==released', 'type==os_app'];

export const setState = (s) => !s.valid ? badge('invalid') : !s.complete ? badge('incomplete') : s.locked ? badge('locked') : badge('open');

export class SetsPage extends ListPage {
  view = 'sets';
  title = 'Distribution sets';

  makeList() {
    return new List({ path: 'distributionsets', name: 'Distribution sets', state: this.state, key: (s) => s.id, nothing: 'No distribution set matches.',
      params: () => ({ q: toQuery(this.query, ['name', 'version']) }), href: (s) => this.link(s.id),
      columns: [
        { label: 'Name', sort: 'name', cell: (s) => s.name }, { label: 'Version', sort: 'version', cell: (s) => s.version }, { label: 'Type', cell: (s) => s.typeName },
        { label: 'State', cell: setState }, { label: 'Modules', cell: (s) => s.modules.map((m) => `${m.name} ${m.version}`).join(', ') || '–' },
        { label: 'Created', sort: 'createdat', cell: (s) => stamp(s.createdAt) },
      ],
      onState: () => this.remember(), onError: (error) => this.box.show(error) });
  }

  makePane(key) {
    return new SetPane(key, this);
  }

  tools() {
    this.box = new SearchBox({ label: 'Search sets', placeholder: 'Name, version or query', value: this.query, examples: EXAMPLES, onChange: (text) => this.search(text) });
    return h('div', { class: 'tools-block' }, h('div', { class: 'head' }, h('h1', {}, 'Distribution sets'),
      h('div', { class: 'buttons' }, may('CREATE_DISTRIBUTION_SET') ? action('New set', () => this.create(), { kind: 'primary' }) : null)),
    h('div', { class: 'filter-fields' }, this.box.node));
  }

  async create() {
    const types = await getAll('distributionsettypes');
    const modules = may('READ_SOFTWARE_MODULE') ? (await get('softwaremodules', { sort: 'id:DESC', limit: 500 })).content : [];
    await ask({ title: 'New distribution set', submit: 'Create', specs: [
      { name: 'name', label: 'Name', required: true, max: 128 }, { name: 'version', label: 'Version', required: true, max: 64 },
      { name: 'type', label: 'Type', type: 'select', options: types.map((t) => [t.key, t.name]), value: 'os_app' },
      { name: 'module', label: 'First module', type: 'select', options: [['', 'None yet'], ...modules.map((m) => [m.id, `${m.name} ${m.version} (${m.typeName})`])], hint: 'More can be added afterwards.' },
      { name: 'description', label: 'Description', type: 'area', max: 512 },
      { name: 'requiredMigrationStep', label: 'Needs a migration step', type: 'check' }],
    onSubmit: async ({ module, description, ...v }) => {
      const [made] = await post('distributionsets', [{ ...v, description: description || undefined, modules: module ? [{ id: Number(module) }] : [] }]);
      location.hash = this.link(made.id);
    } });
    await this.list.load();
  }
}
