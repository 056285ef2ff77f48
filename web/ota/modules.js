// SPDX-License-Identifier: Apache-2.0
// Copyright The Driveline authors

// Software modules: the list.
import { h, badge } from './dom.js';
import { stamp } from './format.js';
import { getAll, may, post } from './api.js';
import { action, ask } from './form.js';
import { List, ListPage, SearchBox } from './list.js';
import { toQuery } from './rsql.js';
import { ModulePane } from './module.js';

const EXAMPLES = ['name==brake*', 'type==os', 'version==2.*'];

export class ModulesPage extends ListPage {
  view = 'modules';
  title = 'Software modules';

  makeList() {
    return new List({ path: 'softwaremodules', name: 'Software modules', state: this.state, key: (m) => m.id, nothing: 'No module matches.',
      params: () => ({ q: toQuery(this.query, ['name', 'version']) }), href: (m) => this.link(m.id),
      columns: [
        { label: 'Name', sort: 'name', cell: (m) => m.name }, { label: 'Version', sort: 'version', cell: (m) => m.version }, { label: 'Type', cell: (m) => m.typeName },
        { label: 'Vendor', cell: (m) => m.vendor || '–' }, { label: 'State', cell: (m) => [m.locked ? badge('locked') : badge('open'), m.complete ? null : [' ', badge('incomplete')]] },
        { label: 'Created', sort: 'createdat', cell: (m) => stamp(m.createdAt) },
      ],
      onState: () => this.remember(), onError: (error) => this.box.show(error) });
  }

  makePane(key) {
    return new ModulePane(key, this);
  }

  tools() {
    this.box = new SearchBox({ label: 'Search modules', placeholder: 'Name, version or query', value: this.query, examples: EXAMPLES, onChange: (text) => this.search(text) });
    return h('div', { class: 'tools-block' }, h('div', { class: 'head' }, h('h1', {}, 'Software modules'),
      h('div', { class: 'buttons' }, may('CREATE_SOFTWARE_MODULE') ? action('New module', () => this.create(), { kind: 'primary' }) : null)),
    h('div', { class: 'filter-fields' }, this.box.node));
  }

  async create() {
    const types = await getAll('softwaremoduletypes');
    await ask({ title: 'New software module', submit: 'Create', specs: [
      { name: 'name', label: 'Name', required: true, max: 128 }, { name: 'version', label: 'Version', required: true, max: 64 },
      { name: 'type', label: 'Type', type: 'select', options: types.map((t) => [t.key, t.name]), value: 'application' },
      { name: 'vendor', label: 'Vendor', max: 256 }, { name: 'description', label: 'Description', type: 'area', max: 512 }],
    onSubmit: async (v) => {
      const [made] = await post('softwaremodules', [{ ...v, vendor: v.vendor || undefined, description: v.description || undefined }]);
      location.hash = this.link(made.id);
    } });
    await this.list.load();
  }
}
