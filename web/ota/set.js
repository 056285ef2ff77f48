// SPDX-License-Identifier: Apache-2.0
// Copyright The Driveline authors

// One distribution set: its modules, where it is, its lock, and its end.
import { h, fill, setText } from './dom.js';
import { stamp } from './format.js';
import { get, getAll, may, part, post, put, remove } from './api.js';
import { action, ask, confirmed, say } from './form.js';
import { Section, facts } from './target.js';
import { quote } from './rsql.js';
import { setState } from './sets.js';

export class SetPane {
  constructor(id, page) {
    Object.assign(this, { id, page, path: `distributionsets/${part(id)}` });
  }

  async open(side) {
    this.state = h('span');
    this.heading = h('span');
    this.buttons = h('div', { class: 'buttons pad' });
    this.about = new Section('About', (s) => facts([['Type', s.typeName], ['Description', s.description], ['Migration step', s.requiredMigrationStep ? 'needed' : ''],
      ['Created', `${stamp(s.createdAt)} by ${s.createdBy}`], ['Changed', `${stamp(s.lastModifiedAt)} by ${s.lastModifiedBy}`]]));
    this.modules = new Section('Modules', (s) => this.drawModules(s));
    this.where = new Section('Where it is', (d) => this.drawWhere(d));
    this.tags = new Section('Tags', (list) => this.drawTags(list));
    await this.load();
    fill(side, h('section', { class: 'card' }, this.page.paneHead(this.heading, this.state), this.buttons, this.about.node, this.modules.node, this.where.node, this.tags.node));
  }

  refresh() {
    return this.load();
  }

  async load() {
    const count = (list) => may('READ_TARGET') ? get(`${this.path}/${list}`, { limit: 1 }).then((page) => page.total) : undefined;
    const [set, statistics, assigned, installed, tags] = await Promise.all([get(this.path), get(`${this.path}/statistics`), count('assignedTargets'),
      count('installedTargets'), this.knownTags ?? this.tagsOf()]);
    this.knownTags = tags;
    this.set = set;
    setText(this.heading, `${set.name} ${set.version}`);
    this.about.show(set);
    this.modules.show(set, may('UPDATE_DISTRIBUTION_SET', 'READ_SOFTWARE_MODULE') && !set.locked && set.valid ? action('Add', () => this.addModule(), { kind: 'quiet' }) : null);
    this.where.show({ statistics, assigned, installed, name: set.name, version: set.version });
    this.tags.show(tags, may('UPDATE_DISTRIBUTION_SET') ? action('Add', () => this.addTag(), { kind: 'quiet' }) : null);
    const text = JSON.stringify([set.locked, set.valid, set.complete]);
    if (this.drawn === text) return;
    this.drawn = text;
    fill(this.state, setState(set));
    this.drawButtons(set);
  }

  // The interface names a tag's sets, not a set's tags: that many requests are not made every moment.
  async tagsOf() {
    const tags = await getAll('distributionsettags');
    const has = await Promise.all(tags.map((t) => get(`distributionsettags/${t.id}/assigned`, { q: `id==${this.id}`, limit: 1 })));
    return tags.filter((t, i) => has[i].total > 0).map(({ id, name }) => ({ id, name }));
  }

  drawButtons(set) {
    const edit = may('UPDATE_DISTRIBUTION_SET');
    fill(this.buttons, set.valid && set.complete && may('CREATE_ROLLOUT', 'READ_TARGET') ? h('a', { class: 'button primary', href: `#/rollouts/new?set=${set.id}` }, 'Roll out') : null,
      edit && set.valid ? [action(set.locked ? 'Unlock' : 'Lock', () => this.lock()), action('Edit', () => this.edit())] : null,
      edit && set.complete ? action('Invalidate', () => this.invalidate()) : null,
      may('DELETE_DISTRIBUTION_SET') ? action('Delete', () => this.remove()) : null);
  }

  drawModules(set) {
    if (!set.modules.length) return h('p', { class: 'note' }, 'None: the set can’t be assigned yet.');
    const edit = may('UPDATE_DISTRIBUTION_SET') && !set.locked && set.valid;
    return h('ul', { class: 'items' }, set.modules.map((m) => h('li', { class: 'pair-row' },
      h('span', { class: 'grow-text' }, may('READ_SOFTWARE_MODULE') ? h('a', { href: `#/modules/${m.id}` }, `${m.name} ${m.version}`) : `${m.name} ${m.version}`, h('span', { class: 'note' }, ` ${m.typeName}`)),
      edit ? action('Remove', () => this.removeModule(m), { kind: 'quiet' }) : null)));
  }

  drawWhere({ statistics, assigned, installed, name, version }) {
    const targets = (n, kind) => n === undefined ? undefined
      : h('a', { href: `#/targets?q=${encodeURIComponent(`${kind}.name==${quote(name)};${kind}.version==${quote(version)}`)}` }, n === 1 ? '1 target' : `${n} targets`);
    const counts = (c) => Object.entries(c).filter(([key]) => key !== 'total').map(([key, n]) => `${n} ${key.toLowerCase().replaceAll('_', ' ')}`).join(', ') || 'none';
    return facts([['Installed on', targets(installed, 'installedds')], ['Assigned to', targets(assigned, 'assignedds')],
      ['Actions', counts(statistics.actions)], ['Rollouts', counts(statistics.rollouts)], ['Assigned by filters', statistics.totalAutoAssignments || '']]);
  }

  drawTags(list) {
    if (!list.length) return h('p', { class: 'note' }, 'None.');
    return h('ul', { class: 'tags' }, list.map((t) => h('li', { class: 'tag' }, t.name, may('UPDATE_DISTRIBUTION_SET') ? action('×', async () => {
      await remove(`distributionsettags/${t.id}/assigned/${this.id}`);
      this.knownTags = null;
      await this.load();
    }, { kind: 'quiet', title: `Take off the tag ${t.name}` }) : null)));
  }

  async addTag() {
    const options = (await getAll('distributionsettags')).map((t) => [t.id, t.name]);
    if (may('CREATE_DISTRIBUTION_SET')) options.push(['new', 'A new tag…']);
    await ask({ title: `Tag ${this.set.name} ${this.set.version}`, submit: 'Tag', specs: [{ name: 'tag', label: 'Tag', type: 'select', options, required: true },
      { name: 'name', label: 'Name of the tag', required: true, max: 128, when: (v) => v.tag === 'new' }],
    onSubmit: async (v) => {
      const id = v.tag === 'new' ? (await post('distributionsettags', [{ name: v.name }]))[0].id : v.tag;
      await post(`distributionsettags/${part(id)}/assigned`, [Number(this.id)]);
      this.knownTags = null;
    } });
    await this.load();
  }

  async addModule() {
    const modules = (await get('softwaremodules', { sort: 'id:DESC', limit: 500 })).content;
    const held = new Set(this.set.modules.map((m) => m.id));
    await ask({ title: 'Add a module', submit: 'Add', specs: [{ name: 'module', label: 'Module', type: 'select', required: true,
      options: modules.filter((m) => !held.has(m.id)).map((m) => [m.id, `${m.name} ${m.version} (${m.typeName})`]) }],
    onSubmit: ({ module }) => post(`${this.path}/assignedSM`, [{ id: Number(module) }]) });
    await this.page.refresh();
  }

  async removeModule(m) {
    await remove(`${this.path}/assignedSM/${m.id}`);
    await this.page.refresh();
  }

  async lock() {
    await put(this.path, { locked: !this.set.locked });
    await this.page.refresh();
  }

  async edit() {
    const s = this.set;
    await ask({ title: `Edit ${s.name} ${s.version}`, specs: [{ name: 'name', label: 'Name', required: true, max: 128, value: s.name },
      { name: 'version', label: 'Version', required: true, max: 64, value: s.version }, { name: 'description', label: 'Description', type: 'area', max: 512, value: s.description }],
    onSubmit: (v) => put(this.path, v) });
    await this.page.refresh();
  }

  async invalidate() {
    const done = await ask({ title: `Invalidate ${this.set.name} ${this.set.version}?`, danger: true, submit: 'Invalidate for good',
      text: 'It can never be assigned again, and filters stop assigning it.',
      specs: [{ name: 'kind', label: 'What is under way', type: 'select', value: 'none', options: [['none', 'Goes on'], ['soft', 'Is cancelled: devices are asked, rollouts stop'], ['force', 'Is quit at once, without asking the devices']] }],
      onSubmit: ({ kind }) => post(`${this.path}/invalidate`, { actionCancelationType: kind }) });
    if (done) say('Invalidated.');
    await this.page.refresh();
  }

  async remove() {
    const s = this.set;
    if (!await confirmed(`Delete ${s.name} ${s.version}?`, 'If it was ever assigned it is only hidden, and its name and version stay taken.', 'Delete', () => remove(this.path))) return;
    say('Deleted.');
    location.hash = this.page.link('');
  }
}
