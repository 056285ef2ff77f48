// SPDX-License-Identifier: Apache-2.0
// Copyright The Driveline authors

// One target beside the list: what it has, what it should get, what happened, and its switches.
import { h, fill, badge } from './dom.js';
import { age, stamp } from './format.js';
import { get, getAll, may, part, post, put, remove } from './api.js';
import { action, ask, confirmed, say } from './form.js';
import { assign } from './assign.js';
import { ActionItem } from './actions.js';

const SHOWN = 20;

// A part of a pane that is drawn again only if its data changed, so focus and open rows stay.
export class Section {
  constructor(title, draw) {
    Object.assign(this, { draw, node: h('section', { class: 'part', 'aria-label': title }), body: h('div'), title });
    this.headNode = h('div', { class: 'part-head' }, h('h3', {}, title));
    this.node.append(this.headNode, this.body);
  }

  show(data, ...buttons) {
    const text = JSON.stringify(data);
    if (this.text === text) return;
    this.text = text;
    fill(this.headNode, h('h3', {}, this.title), buttons);
    fill(this.body, this.draw(data));
  }
}

export function facts(pairs) {
  return h('dl', { class: 'pairs' }, pairs.filter(([, value]) => value !== undefined && value !== null && value !== '')
    .map(([name, value]) => h('div', {}, h('dt', {}, name), h('dd', {}, value))));
}

export function setLink(set) {
  if (!set) return '–';
  const name = `${set.name} ${set.version}`;
  return may('READ_DISTRIBUTION_SET') ? h('a', { href: `#/sets/${set.id}` }, name) : name;
}

export class TargetPane {
  constructor(id, page) {
    Object.assign(this, { id, page, path: `targets/${part(id)}`, items: new Map() });
    this.alive = true;
  }

  async open(side) {
    this.state = h('span');
    this.sections = {
      about: new Section('About', (d) => this.about(d)), actions: new Section('Actions', (d) => this.actions(d)),
      attributes: new Section('Attributes', (d) => this.attributes(d)), metadata: new Section('Metadata', (d) => this.metadata(d)),
      tags: new Section('Tags', (d) => this.tags(d)), confirm: new Section('Automatic confirmation', (d) => this.confirm(d)),
    };
    await this.load();
    if (!this.alive) return;
    const token = this.target.securityToken ? this.token() : null;
    fill(side, h('section', { class: 'card' }, this.page.paneHead(this.id, this.state), this.buttons(),
      Object.values(this.sections).map((s) => s.node), token));
  }

  close() {
    this.alive = false;
  }

  async refresh() {
    await this.load();
    for (const item of this.items.values()) await item.refresh();
  }

  async load() {
    const { path, sections } = this;
    const [target, installed, assigned, actions, attributes, metadata, tags, confirm] = await Promise.all([get(path), get(`${path}/installedDS`),
      get(`${path}/assignedDS`), get(`${path}/actions`, { limit: SHOWN, representation: 'full' }), get(`${path}/attributes`), get(`${path}/metadata`),
      get(`${path}/tags`), get(`${path}/autoConfirm`)]);
    if (!this.alive) return;
    this.target = target;
    fill(this.state, badge(target.updateStatus), target.pollStatus?.overdue ? [' ', badge('overdue')] : null);
    const name = (set) => set && { id: set.id, name: set.name, version: set.version };
    const may_ = may('UPDATE_TARGET');
    sections.about.show({ target, installed: name(installed), assigned: name(assigned), minute: Math.floor(Date.now() / 5000) });
    sections.actions.show(actions);
    sections.attributes.show({ attributes, asked: target.requestAttributes }, may_ ? action('Ask the device again', () => this.askAttributes(), { kind: 'quiet' }) : null);
    sections.metadata.show(metadata.content, may_ ? action('Add', () => this.editMetadata(), { kind: 'quiet' }) : null);
    sections.tags.show(tags, may_ ? action('Add', () => this.page.tag([this.id], true).then(() => this.load()), { kind: 'quiet' }) : null);
    sections.confirm.show(confirm, may_ ? action(confirm.active ? 'Switch off' : 'Switch on', () => this.switchConfirm(confirm.active), { kind: 'quiet' }) : null);
  }

  buttons() {
    const edit = may('UPDATE_TARGET');
    return h('div', { class: 'buttons pad' },
      edit && may('READ_DISTRIBUTION_SET') ? action('Assign set', () => this.assign(), { kind: 'primary' }) : null,
      edit ? action('Edit', () => this.edit()) : null,
      may('DELETE_TARGET') ? action('Delete', () => this.remove()) : null,
      this.page.app.viewer ? h('a', { class: 'button', href: `${this.page.app.viewer}#/car/${encodeURIComponent(this.id)}` }, 'Signals') : null);
  }

  about({ target: t, installed, assigned }) {
    const poll = t.pollStatus;
    return facts([['Name', t.name], ['Description', t.description], ['Installed', [setLink(installed), t.installedAt ? h('span', { class: 'note' }, ` ${stamp(t.installedAt)}`) : null]],
      ['Assigned', setLink(assigned)], ['Last poll', poll ? `${stamp(poll.lastRequestAt)} (${age(Date.now() - poll.lastRequestAt)})` : 'never'],
      ['Next poll', poll ? stamp(poll.nextExpectedRequestAt) : ''], ['Type', t.targetTypeName], ['Group', t.group], ['Address', t.address],
      ['Created', `${stamp(t.createdAt)} by ${t.createdBy}`]]);
  }

  // ── actions ──

  actions({ content, total }) {
    if (!content.length) return h('p', { class: 'note' }, 'None so far.');
    const items = content.map((a) => {
      const item = this.items.get(a.id) || new ActionItem(a, this.id, () => this.load());
      this.items.set(a.id, item);
      item.update(a);
      return item.node;
    });
    return [h('ul', { class: 'items' }, items), total > content.length
      ? h('p', { class: 'note' }, `The newest ${content.length} of ${total}. `, h('a', { href: `#/actions?q=${encodeURIComponent(`target.controllerid=="${this.id}"`)}` }, 'All')) : null];
  }

  // ── attributes, metadata, tags ──

  attributes({ attributes, asked }) {
    const rows = Object.entries(attributes || {});
    return [rows.length ? facts(rows.sort(([a], [b]) => a < b ? -1 : 1)) : h('p', { class: 'note' }, 'The device has told none.'),
      asked ? h('p', { class: 'note' }, 'The device is asked for them at its next poll.') : null];
  }

  async askAttributes() {
    await put(this.path, { requestAttributes: true });
    await this.load();
  }

  metadata(rows) {
    if (!rows.length) return h('p', { class: 'note' }, 'None.');
    const edit = may('UPDATE_TARGET');
    return h('ul', { class: 'items' }, rows.map((m) => h('li', { class: 'pair-row' }, h('b', {}, m.key), h('span', { class: 'grow-text' }, m.value),
      edit ? [action('Edit', () => this.editMetadata(m), { kind: 'quiet' }), action('Delete', () => this.removeMetadata(m), { kind: 'quiet' })] : null)));
  }

  async editMetadata(m) {
    await ask({ title: m ? `Metadata ${m.key}` : 'New metadata', specs: [
      ...m ? [] : [{ name: 'key', label: 'Key', required: true, max: 128 }], { name: 'value', label: 'Value', type: 'area', max: 4000, value: m?.value }],
    onSubmit: (v) => m ? put(`${this.path}/metadata/${part(m.key)}`, { value: v.value }) : post(`${this.path}/metadata`, [v]) });
    await this.load();
  }

  async removeMetadata(m) {
    await remove(`${this.path}/metadata/${part(m.key)}`);
    await this.load();
  }

  tags(rows) {
    if (!rows.length) return h('p', { class: 'note' }, 'None.');
    return h('ul', { class: 'tags' }, rows.map((t) => h('li', { class: 'tag' }, t.name, may('UPDATE_TARGET')
      ? action('×', async () => {
        await remove(`targettags/${t.id}/assigned/${part(this.id)}`);
        await this.load();
      }, { kind: 'quiet', title: `Take off the tag ${t.name}` }) : null)));
  }

  // ── switches ──

  confirm({ active, initiator, remark, activatedAt }) {
    return active ? facts([['State', 'on'], ['Since', activatedAt && stamp(activatedAt)], ['By', initiator], ['Remark', remark]])
      : h('p', { class: 'note' }, 'Off: while the confirmation flow is on, each update waits for a word.');
  }

  async switchConfirm(active) {
    if (active) await post(`${this.path}/autoConfirm/deactivate`, undefined);
    else {
      await ask({ title: `Confirm every update of ${this.id} automatically`, submit: 'Switch on', specs: [
        { name: 'initiator', label: 'On whose word', max: 64 }, { name: 'remark', label: 'Remark', type: 'area', max: 512 }],
      onSubmit: (v) => post(`${this.path}/autoConfirm/activate`, { initiator: v.initiator || undefined, remark: v.remark || undefined }) });
    }
    await this.load();
  }

  token() {
    const shown = h('code', { class: 'hash' }, '••••••••');
    const button = h('button', { type: 'button', class: 'quiet', onclick: () => {
      const hidden = button.textContent === 'Show';
      shown.textContent = hidden ? this.target.securityToken : '••••••••';
      button.textContent = hidden ? 'Hide' : 'Show';
    } }, 'Show');
    return h('section', { class: 'part', 'aria-label': 'Security token' }, h('div', { class: 'part-head' }, h('h3', {}, 'Security token'), button), shown);
  }

  async assign() {
    if (!await assign([this.id])) return;
    await this.page.refresh();
  }

  async edit() {
    const t = this.target;
    const types = may('READ_TARGET_TYPE') ? await getAll('targettypes') : [];
    await ask({ title: `Edit ${this.id}`, specs: [{ name: 'name', label: 'Name', required: true, max: 128, value: t.name },
      { name: 'description', label: 'Description', type: 'area', max: 512, value: t.description }, { name: 'address', label: 'Address', max: 512, value: t.address },
      ...types.length ? [{ name: 'targetType', label: 'Type', type: 'select', value: t.targetType ?? -1, options: [[-1, 'None'], ...types.map((y) => [y.id, y.name])] }] : []],
    onSubmit: (v) => put(this.path, { name: v.name, description: v.description, address: v.address || undefined,
      targetType: v.targetType === undefined ? undefined : Number(v.targetType) }) });
    await this.page.refresh();
  }

  async remove() {
    const done = await confirmed(`Delete ${this.id}?`, 'Its actions, metadata and tags go with it. A device of that name registers itself again when it polls.', 'Delete',
      () => remove(this.path));
    if (!done) return;
    say(`${this.id} is deleted.`);
    location.hash = this.page.link('');
  }
}
