// SPDX-License-Identifier: Apache-2.0
// Copyright The Driveline authors

// Targets: search, state, saved filters and tags narrow the list; what is selected is assigned or tagged.
import { h, fill, setText, badge } from './dom.js';
import { age, stamp } from './format.js';
import { get, getAll, may, part, post, remove } from './api.js';
import { action, ask, say } from './form.js';
import { ASSIGN_MAX, assign } from './assign.js';
import { List, ListPage, SearchBox } from './list.js';
import { both, quote, toQuery } from './rsql.js';
import { TargetPane } from './target.js';

const CHIPS = [['', 'All'], ['updatestatus==in_sync', 'In sync'], ['updatestatus==pending', 'Pending'], ['updatestatus==error', 'Error'],
  ['updatestatus==registered', 'Registered'], ['updatestatus==unknown', 'Unknown'], ['lastcontrollerrequestat=le=${OVERDUE_TS}', 'Overdue']];
const EXAMPLES = ['name==truck*', 'updatestatus==error', 'installedds.version!=2.0.0', 'attribute.region==eu', 'tag==beta;updatestatus!=pending',
  'lastcontrollerrequestat=le=${OVERDUE_TS}'];
const COUNT_MS = 10000; // at least; a server that counts slowly is asked less often
const COUNT_REST = 50;
const IDS_AT_ONCE = 500;

const setName = (set) => set ? `${set.name} ${set.version}` : '–';

function pollCell(t) {
  const at = t.pollStatus?.lastRequestAt;
  if (!at) return h('span', { class: 'note' }, 'never');
  return [h('span', { title: stamp(at) }, age(Date.now() - at)), t.pollStatus.overdue ? [' ', badge('overdue')] : null];
}

export class TargetsPage extends ListPage {
  view = 'targets';
  title = 'Targets';

  constructor(...given) {
    super(...given);
    const match = this.query && CHIPS.find(([query]) => query && (this.query === query || this.query.endsWith(`;(${query})`)));
    this.chip = match ? match[0] : '';
    this.typed = !match ? this.query : this.query === match[0] ? '' : this.query.slice(1, -(match[0].length + 4));
  }

  makeList() {
    return new List({ path: 'targets', name: 'Targets', state: this.state, key: (t) => t.controllerId, selectable: may('UPDATE_TARGET'),
      params: () => ({ q: toQuery(this.query, ['id', 'name']), withsets: true }), href: (t) => this.link(t.controllerId), nothing: 'No target matches.',
      columns: [
        { label: 'Id', sort: 'controllerid', cell: (t) => t.controllerId },
        { label: 'Name', sort: 'name', cell: (t) => t.name },
        { label: 'Status', sort: 'updatestatus', cell: (t) => badge(t.updateStatus) },
        { label: 'Installed', sort: 'installedds', cell: (t) => setName(t.installedDistributionSet) },
        { label: 'Assigned', sort: 'assignedds', cell: (t) => setName(t.assignedDistributionSet) },
        { label: 'Last poll', sort: 'lastcontrollerrequestat', cell: pollCell },
      ],
      onState: () => this.remember(), onSelect: () => this.drawBulk(), onError: (error) => this.box.show(error), onPage: () => this.drawBulk() });
  }

  makePane(key) {
    return new TargetPane(key, this);
  }

  tools() {
    this.box = new SearchBox({ label: 'Search targets', placeholder: 'Id, name or query', value: this.typed, examples: EXAMPLES, onChange: (text) => this.narrow({ typed: text }) });
    this.chips = CHIPS.map(([query, label]) => h('button', { type: 'button', class: 'filter', 'aria-pressed': String(query === this.chip),
      onclick: () => this.narrow({ chip: query }) }, label, ' ', h('span', { class: 'count' })));
    this.saved = this.menu('Saved filter');
    this.tags = this.menu('Tag');
    this.bulk = h('div', { class: 'bulk', role: 'region', 'aria-label': 'Selected targets' });
    this.loadMenus().catch(() => {});
    this.count().catch(() => {});
    return h('div', { class: 'tools-block' },
      h('div', { class: 'head' }, h('h1', {}, 'Targets'),
        h('div', { class: 'buttons' }, may('CREATE_TARGET') ? action('New target', () => this.create()) : null,
          may('CREATE_ROLLOUT', 'READ_DISTRIBUTION_SET') ? h('a', { class: 'button', id: 'to-rollout', href: '#/rollouts/new' }, 'Roll out to these') : null)),
      h('div', { class: 'filter-fields' }, this.box.node, this.saved, this.tags,
        may('CREATE_TARGET') ? action('Save filter', () => this.saveFilter(), { kind: 'quiet' }) : null),
      h('div', { class: 'chips-row', role: 'group', 'aria-label': 'Show targets that are' }, this.chips), this.bulk);
  }

  menu(label) {
    return h('select', { 'aria-label': label, onchange: (event) => {
      if (event.target.value) this.put(event.target.value);
      event.target.value = '';
    } }, h('option', { value: '' }, `${label}…`));
  }

  put(query) {
    this.box.input.value = query;
    this.narrow({ typed: query });
  }

  async loadMenus() {
    const [filters, tags] = await Promise.all([getAll('targetfilters'), getAll('targettags')]);
    this.tagList = tags;
    const options = (rows, label, query) => [h('option', { value: '' }, `${label}…`), rows.map((row) => h('option', { value: query(row) }, row.name))];
    fill(this.saved, options(filters, 'Saved filter', (f) => f.query));
    fill(this.tags, options(tags, 'Tag', (t) => `tag==${quote(t.name)}`));
    this.saved.hidden = !filters.length;
    this.tags.hidden = !tags.length;
  }

  // How many there are of each state, whatever is searched for.
  async count() {
    const began = Date.now();
    this.countDue = Infinity;
    let totals;
    try {
      totals = await Promise.all(CHIPS.map(([q]) => get('targets', { q, limit: 1 })));
    } finally {
      this.countDue = Date.now() + Math.max(COUNT_MS, (Date.now() - began) * COUNT_REST);
    }
    totals.forEach(({ total }, i) => setText(this.chips[i].querySelector('.count'), total.toLocaleString('en')));
  }

  narrow(part) {
    Object.assign(this, part);
    CHIPS.forEach(([query], i) => this.chips[i].setAttribute('aria-pressed', String(query === this.chip)));
    this.list.clear();
    this.search(both(toQuery(this.typed || '', ['id', 'name']), this.chip));
  }

  async refresh() {
    if (Date.now() > this.countDue) this.count().catch(() => {});
    await super.refresh();
  }

  // ── what is done with many ──

  drawBulk() {
    const rollout = document.getElementById('to-rollout');
    if (rollout) rollout.href = `#/rollouts/new?q=${encodeURIComponent(this.query || 'id==*')}`;
    const n = this.list.selected.size, { total } = this.list;
    const text = JSON.stringify([n, total]);
    if (this.bulkText === text) return;
    this.bulkText = text;
    if (!n) return void fill(this.bulk);
    const ids = () => [...this.list.selected.keys()];
    fill(this.bulk, h('b', {}, n === 1 ? '1 selected' : `${n.toLocaleString('en')} selected`),
      may('READ_DISTRIBUTION_SET') ? action('Assign set', () => this.assignTo(ids()), { kind: 'primary' }) : null,
      action('Tag', () => this.tag(ids(), true)), action('Untag', () => this.tag(ids(), false)),
      n < total ? action(`Select all ${total.toLocaleString('en')}`, () => this.selectAll(), { kind: 'quiet', disabled: total > ASSIGN_MAX,
        title: total > ASSIGN_MAX ? `A request takes ${ASSIGN_MAX} targets at most: roll out to these instead` : undefined }) : null,
      action('Clear', () => this.list.clear(), { kind: 'quiet' }));
  }

  async selectAll() {
    const q = toQuery(this.query, ['id', 'name']);
    for (let offset = 0; ; offset += IDS_AT_ONCE) {
      const page = await get('targets', { q, offset, limit: IDS_AT_ONCE });
      for (const t of page.content) this.list.selected.set(t.controllerId, t);
      if (offset + IDS_AT_ONCE >= page.total) break;
    }
    this.list.drawRows();
    this.drawBulk();
  }

  async assignTo(ids) {
    if (!await assign(ids)) return;
    this.list.clear();
    await this.refresh();
  }

  async tag(ids, on) {
    const options = (this.tagList || []).map((t) => [t.id, t.name]);
    if (on && may('CREATE_TARGET')) options.push(['new', 'A new tag…']);
    const done = await ask({ title: `${on ? 'Tag' : 'Untag'} ${ids.length === 1 ? ids[0] : `${ids.length} targets`}`, submit: on ? 'Tag' : 'Untag',
      text: options.length ? undefined : 'There is no tag so far.',
      specs: [{ name: 'tag', label: 'Tag', type: 'select', options, required: true },
        { name: 'name', label: 'Name of the tag', required: true, max: 128, when: (v) => v.tag === 'new' }],
      onSubmit: async (values) => {
        const id = values.tag === 'new' ? (await post('targettags', [{ name: values.name }]))[0].id : values.tag;
        const path = `targettags/${part(id)}/assigned`;
        if (on) await post(path, ids);
        else await remove(path, ids);
        say(on ? 'Tagged.' : 'Tag taken off.');
      } });
    if (!done) return;
    await this.loadMenus();
    await this.refresh();
  }

  async create() {
    const types = may('READ_TARGET_TYPE') ? await getAll('targettypes') : [];
    await ask({ title: 'New target', submit: 'Create', specs: [
      { name: 'controllerId', label: 'Id', required: true, max: 256, hint: 'As the device names itself; no blanks.' },
      { name: 'name', label: 'Name', max: 128, hint: 'The id if empty.' }, { name: 'description', label: 'Description', type: 'area', max: 512 },
      { name: 'targetType', label: 'Type', type: 'select', options: [['', 'None'], ...types.map((t) => [t.id, t.name])] }],
    onSubmit: async (v) => {
      await post('targets', [{ controllerId: v.controllerId, name: v.name || undefined, description: v.description || undefined, targetType: v.targetType || undefined }]);
      location.hash = this.link(v.controllerId);
    } });
    this.count().catch(() => {});
    await this.list.load();
  }

  async saveFilter() {
    const query = toQuery(this.query, ['id', 'name']);
    if (!query) return say('Type a query first: a filter without one would hold every target.');
    await ask({ title: 'Save this filter', text: query, specs: [{ name: 'name', label: 'Name', required: true, max: 128 }],
      onSubmit: async ({ name }) => {
        await post('targetfilters', { name, query });
        say('Saved. Filters can assign a set to whatever matches them: see Filters.');
      } });
    await this.loadMenus();
  }
}
