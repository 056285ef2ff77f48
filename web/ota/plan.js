// SPDX-License-Identifier: Apache-2.0
// Copyright The Driveline authors

// The form for a new rollout: which targets (counted while one types), which set, which groups.
import { h, fill, setText } from './dom.js';
import { get, post } from './api.js';
import { Fields } from './form.js';
import { extraFields, kindFields, setOptions, windowFields, windowOf } from './assign.js';
import { toQuery } from './rsql.js';

const COUNT_DELAY_MS = 300;
const GROUP_MAX = 20000; // hawkBit's quota

export class PlanPage {
  view = 'rollouts';
  title = 'New rollout';

  constructor(key, params, app) {
    Object.assign(this, { app, groups: [] });
    this.given = { query: params.get('q') || '', set: params.get('set') || '' };
  }

  // A form with what was typed is left alone.
  turn() {
    return false;
  }

  async show(main) {
    const sets = await setOptions();
    this.count = h('p', { class: 'note', role: 'status' });
    this.what = new Fields([
      { name: 'name', label: 'Name', required: true, max: 128 },
      { name: 'description', label: 'Description', type: 'area', max: 512 },
      { name: 'set', label: 'Distribution set', type: 'select', options: sets, required: true, value: this.given.set },
      { name: 'query', label: 'Targets', required: true, max: 1024, value: this.given.query, placeholder: 'id==* or attribute.region==eu', hint: 'A query as in the list of targets.' },
    ], () => this.countSoon());
    this.how = new Fields([...kindFields(),
      { name: 'start', label: 'Start', type: 'select', options: [['manual', 'When somebody says so'], ['now', 'As soon as it is ready'], ['time', 'At a time']] },
      { name: 'startAt', label: 'Starts at', type: 'time', required: true, when: (v) => v.start === 'time' },
      { name: 'confirmationRequired', label: 'Somebody must confirm at the target', type: 'check', hint: 'Counts while the confirmation flow is on (Settings).' },
      ...windowFields('startWindow', 'Groups start only at certain times'), ...windowFields('maintenanceWindow', 'Devices install only in a maintenance window'),
      { name: 'actionTimeout', label: 'A device that gives no sign fails after', placeholder: '36:00:00', hint: 'Hours, minutes, seconds. As in Settings if empty.' }, ...extraFields]);
    this.lanes = new Fields([
      { name: 'kind', label: 'Groups', type: 'select', options: [['count', 'As many as I say, of the same size'], ['own', 'Each with its own share']] },
      { name: 'amount', label: 'How many', type: 'number', min: 1, max: 500, value: 5, required: true, when: (v) => v.kind === 'count' },
      { name: 'success', label: 'Next group when this many finished, %', type: 'number', min: 0, max: 100, value: 50, required: true },
      { name: 'error', label: 'Pause when more than this many failed, %', type: 'number', min: 0, max: 100, value: 10, required: true },
      { name: 'after', label: 'After each group', type: 'select', options: [['NEXTGROUP', 'The next one starts by itself'], ['PAUSE', 'It pauses until somebody resumes it']] },
      { name: 'dynamic', label: 'Take in targets that match later', type: 'check', when: (v) => v.kind === 'count' },
    ], (v) => this.drawOwn(v));
    this.own = h('div');
    this.error = h('p', { class: 'form-error', role: 'alert' });
    const button = h('button', { class: 'primary' }, 'Create the rollout');
    const box = (title, ...parts) => h('fieldset', { class: 'card' }, h('legend', {}, title), parts);
    fill(main, h('div', { class: 'tools-block' }, h('p', {}, h('a', { href: '#/rollouts' }, '← Rollouts')), h('h1', {}, 'New rollout')),
      h('form', { class: 'plan', onsubmit: (event) => this.submit(event, button) },
        sets.length ? null : h('p', { class: 'form-error' }, 'There is no complete and valid distribution set. Make one under Sets.'),
        box('What and where', this.what.nodes, this.count), box('How', this.how.nodes), box('Groups', this.lanes.nodes, this.own),
        this.error, h('div', { class: 'form-end' }, h('a', { class: 'button', href: '#/rollouts' }, 'Cancel'), button)));
    this.what.input('name').focus();
    this.countSoon();
  }

  close() {
    clearTimeout(this.timer);
    this.asking?.abort();
  }

  countSoon() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.countTargets(), COUNT_DELAY_MS);
  }

  query() {
    return toQuery(this.what.values().query, ['id', 'name']);
  }

  async countTargets() {
    const q = this.query();
    this.asking?.abort();
    if (!q) return setText(this.count, '');
    this.asking = new AbortController();
    try {
      const { total } = await get('targets', { q, limit: 1 }, this.asking.signal);
      this.matches = total;
      setText(this.count, total === 1 ? '1 target matches.' : `${total.toLocaleString('en')} targets match.`);
      this.count.dataset.state = total ? 'ok' : 'bad';
    } catch (error) {
      if (error.name === 'AbortError') return;
      this.count.dataset.state = 'bad';
      setText(this.count, error.message);
    }
    this.drawShares();
  }

  // ── groups of one's own ──

  drawOwn(values) {
    if (this.ownFor === values.kind) return;
    this.ownFor = values.kind;
    this.groups = [];
    fill(this.own);
    if (values.kind !== 'own') return;
    this.rows = h('div', { class: 'stack' });
    this.shares = h('p', { class: 'note', role: 'status' });
    fill(this.own, this.rows, this.shares, h('button', { type: 'button', onclick: () => this.addGroup(this.unshared()) }, 'Add a group'));
    this.addGroup(5);
    this.addGroup(95);
  }

  addGroup(percent) {
    const fields = new Fields([{ name: 'name', label: 'Name', required: true, max: 128, value: `group-${this.groups.length + 1}` },
      { name: 'percent', label: 'Share, %', type: 'number', min: 1, max: 100, step: 'any', value: percent, required: true },
      { name: 'query', label: 'Only targets', max: 1024, placeholder: 'all', hint: 'A query of its own.' },
      { name: 'success', label: 'Finished, %', type: 'number', min: 0, max: 100, placeholder: 'as above' }, { name: 'error', label: 'Failed, %', type: 'number', min: 0, max: 100, placeholder: 'as above' }],
    () => this.drawShares());
    const group = { fields, node: h('div', { class: 'group-row', role: 'group', 'aria-label': `Group ${this.groups.length + 1}` }, fields.nodes,
      h('button', { type: 'button', class: 'quiet', onclick: () => this.dropGroup(group) }, 'Remove')) };
    this.groups.push(group);
    this.rows.append(group.node);
    this.drawShares();
  }

  dropGroup(group) {
    this.groups = this.groups.filter((g) => g !== group);
    group.node.remove();
    this.drawShares();
  }

  // What is left of 100 % for another group.
  unshared() {
    const used = this.groups.reduce((sum, { fields }) => sum + (fields.values().percent || 0), 0);
    return Math.max(1, Math.round((100 - used) * 10) / 10);
  }

  // How many targets each group gets, as the server reckons it: a share is of all targets, and is rounded.
  drawShares() {
    if (!this.groups.length || !this.matches) return;
    if (this.groups.some(({ fields }) => fields.values().query)) return setText(this.shares, 'The groups together must hold every target.');
    let left = this.matches, before = 0;
    const sizes = this.groups.map(({ fields }) => {
      const percent = fields.values().percent || 0;
      const size = Math.round(left * Math.min(100, before >= 100 ? 100 : percent * 100 / (100 - before)) / 100);
      before += percent;
      left -= size;
      return size;
    });
    const trouble = left > 0 ? ` ${left.toLocaleString('en')} would be left over: the shares must make 100 %.`
      : Math.max(...sizes) > GROUP_MAX ? ` A group takes ${GROUP_MAX.toLocaleString('en')} at most: make more of them.` : '';
    setText(this.shares, `Targets: ${sizes.map((n) => n.toLocaleString('en')).join(' · ')}.${trouble}`);
  }

  body() {
    const what = this.what.values(), how = this.how.values(), lanes = this.lanes.values();
    const threshold = (percent) => percent === undefined ? undefined : { condition: 'THRESHOLD', expression: String(percent) };
    const conditions = (v) => ({ successCondition: threshold(v.success), errorCondition: threshold(v.error) });
    const own = this.groups.map(({ fields }) => {
      const v = fields.values();
      return { name: v.name, targetFilterQuery: v.query ? toQuery(v.query, ['id', 'name']) : undefined, targetPercentage: v.percent, ...conditions(v) };
    });
    return { name: what.name.trim(), description: what.description || undefined, distributionSetId: Number(what.set), targetFilterQuery: this.query(),
      type: how.type, forcetime: how.forcetime, weight: how.weight, startAt: how.start === 'now' ? Date.now() : how.startAt,
      confirmationRequired: how.confirmationRequired || undefined, startWindow: windowOf(how, 'startWindow'), maintenanceWindow: windowOf(how, 'maintenanceWindow'),
      actionTimeout: how.actionTimeout || undefined, reinstall: how.reinstall || undefined, allowDowngrade: how.allowDowngrade || undefined, dynamic: lanes.dynamic || undefined,
      amountGroups: lanes.kind === 'count' ? lanes.amount : undefined, groups: lanes.kind === 'own' ? own : undefined,
      ...conditions(lanes), successAction: { action: lanes.after, expression: '' }, errorAction: { action: 'PAUSE', expression: '' } };
  }

  async submit(event, button) {
    event.preventDefault();
    button.disabled = true;
    setText(this.error, '');
    try {
      const made = await post('rollouts', this.body());
      location.hash = `#/rollouts/${made.id}`;
    } catch (error) {
      setText(this.error, error.message);
    } finally {
      button.disabled = false;
    }
  }
}
