// SPDX-License-Identifier: Apache-2.0
// Copyright The Driveline authors

// One rollout: a lane for each group with its thresholds, and the buttons that its state allows.
import { h, fill, setText, badge, Keyed } from './dom.js';
import { stamp } from './format.js';
import { get, may, part, post, put, remove } from './api.js';
import { action, ask, confirmed, say } from './form.js';
import { facts } from './target.js';
import { bar, countList, outcome, rules } from './lanes.js';
import { why } from './why.js';

const LANES = 100; // a page of groups
const MEMBERS = 50;

const STOPPABLE = ['creating', 'ready', 'waiting_for_approval', 'approval_denied', 'starting', 'running', 'paused'];

// What is open to a person in which state: [label, verb, states, permissions, question, kind].
const VERBS = [
  ['Start', 'start', ['ready'], ['HANDLE_ROLLOUT'], null, 'primary'],
  ['Pause', 'pause', ['running'], ['HANDLE_ROLLOUT'], null, ''],
  ['Resume', 'resume', ['paused'], ['HANDLE_ROLLOUT'], null, 'primary'],
  ['Start the next group', 'triggerNextGroup', ['running'], ['HANDLE_ROLLOUT'], 'The next group starts now, whatever the thresholds say.', ''],
  ['Approve', 'approve', ['waiting_for_approval'], ['APPROVE_ROLLOUT'], 'remark', 'primary'],
  ['Deny', 'deny', ['waiting_for_approval'], ['APPROVE_ROLLOUT'], 'remark', ''],
  ['Retry the failed ones', 'retry', ['finished'], ['CREATE_ROLLOUT', 'READ_DISTRIBUTION_SET'], 'A new rollout of the same set is made for the targets that failed.', 'primary'],
  ['Stop', 'stop', STOPPABLE, ['HANDLE_ROLLOUT'], 'Open actions are cancelled, and it can’t be resumed.', ''],
];

const during = (w) => w ? `at ${w.schedule} for ${w.duration} (${w.timezone})` : '';

export class RolloutPage {
  view = 'rollouts';

  constructor(key, params, app) {
    Object.assign(this, { key, app, offset: 0, open: null, path: `rollouts/${part(key)}` });
  }

  get title() {
    return this.rollout ? this.rollout.name : `Rollout ${this.key}`;
  }

  async show(main) {
    this.heading = h('h1');
    this.state = h('span');
    this.buttons = h('div', { class: 'buttons' });
    this.about = h('div', { class: 'card pad wide-pairs' });
    this.total = h('div', { class: 'lane total' });
    this.why = h('p', { class: 'why', role: 'status' });
    this.lanes = h('ol', { class: 'lanes-list' });
    this.keyed = new Keyed(this.lanes, (g) => g.id, (g) => this.lane(g));
    this.pager = h('div', { class: 'pager', hidden: true });
    await this.load();
    fill(main, h('div', { class: 'tools-block' }, h('p', {}, h('a', { href: '#/rollouts' }, '← Rollouts')),
      h('div', { class: 'head' }, this.heading, this.state, this.buttons)),
    h('div', { class: 'stack' }, this.about, h('section', { class: 'card rollout', 'aria-label': 'Groups' }, this.total, this.lanes, this.why, this.pager)));
    document.title = `${this.title} · Driveline updates`;
  }

  close() {
    this.closed = true;
  }

  refresh() {
    return this.load();
  }

  async load() {
    const [rollout, groups] = await Promise.all([get(this.path), get(`${this.path}/deploygroups`, { representation: 'full', limit: LANES, offset: this.offset })]);
    if (this.closed) return;
    this.rollout = rollout;
    this.groups = groups;
    setText(this.heading, rollout.name);
    this.draw();
    setText(this.why, why(rollout, groups.content));
    this.why.hidden = !this.why.textContent;
    this.keyed.show(groups.content);
    if (this.open) await this.loadMembers();
  }

  draw() {
    const { rollout: r, groups } = this;
    const text = JSON.stringify([r, groups.total, this.hasMore()]);
    if (this.drawn === text) return;
    this.drawn = text;
    const counts = r.totalTargetsPerStatus;
    fill(this.state, outcome(r.status, counts));
    fill(this.total, h('div', { class: 'lane-name' }, h('b', {}, 'All'), h('span', { class: 'note' }, r.totalTargets === 1 ? '1 target' : `${r.totalTargets.toLocaleString('en')} targets`)),
      bar(counts, r.totalTargets, null), h('div', { class: 'lane-counts' }, countList(counts)));
    fill(this.about, this.facts(r));
    this.drawPager();
    const state = JSON.stringify([r.status, r.deleted, this.hasMore(), counts.error > 0]);
    if (this.buttonsFor === state) return;
    this.buttonsFor = state;
    this.drawButtons(r);
  }

  facts(r) {
    const set = r._links.distributionset?.name?.replace(/:(?=[^:]*$)/, ' ') || r.distributionSetId;
    return facts([['Set', may('READ_DISTRIBUTION_SET') ? h('a', { href: `#/sets/${r.distributionSetId}` }, set) : set],
      ['Targets', h('code', {}, r.targetFilterQuery)], ['Description', r.description], ['Type', r.type === 'timeforced' ? `time-forced from ${stamp(r.forcetime)}` : r.type],
      ['Starts', r.startAt ? stamp(r.startAt) : ''], ['Groups start', during(r.startWindow)], ['Devices install', during(r.maintenanceWindow)],
      ['Silence ends an action', r.actionTimeout ? `after ${r.actionTimeout}` : ''], ['Weight', r.weight], ['Dynamic', r.dynamic ? 'takes in targets that match later' : ''],
      ['Decision', r.approveDecidedBy ? `${r.approveDecidedBy}${r.approvalRemark ? `: ${r.approvalRemark}` : ''}` : ''],
      ['Created', `${stamp(r.createdAt)} by ${r.createdBy}`]]);
  }

  // Is there a group that has not started? One that is not on this page may be.
  hasMore() {
    return this.groups.total > LANES || this.groups.content.some((g) => g.status === 'scheduled');
  }

  drawButtons(r) {
    const idle = { triggerNextGroup: !this.hasMore(), retry: !r.totalTargetsPerStatus.error };
    const verbs = VERBS.filter(([, verb, states, needs]) => states.includes(r.status) && may(...needs) && !r.deleted && !idle[verb]);
    fill(this.buttons, verbs.map(([label, verb, , , question, kind]) => action(label, () => this.run(label, verb, question), { kind })),
      may('UPDATE_ROLLOUT') && !r.deleted ? action('Edit', () => this.edit()) : null,
      may('DELETE_ROLLOUT') && !r.deleted ? action('Delete', () => this.remove()) : null);
  }

  async run(label, verb, question) {
    const call = (params) => post(`${this.path}/${verb}`, undefined, params);
    if (verb === 'retry') return this.retry(question, call);
    if (question === 'remark') await ask({ title: `${label} ${this.rollout.name}?`, submit: label, specs: [{ name: 'remark', label: 'Remark', max: 255 }], onSubmit: ({ remark }) => call({ remark }) });
    else if (question) await confirmed(`${label}?`, question, label, () => call());
    else await call();
    return this.load();
  }

  async retry(question, call) {
    let made;
    await ask({ title: 'Retry the failed ones?', text: question, submit: 'Make the rollout', onSubmit: async () => {
      made = await call();
    } });
    if (made) location.hash = `#/rollouts/${made.id}`;
  }

  async edit() {
    const r = this.rollout;
    await ask({ title: `Edit ${r.name}`, specs: [{ name: 'name', label: 'Name', required: true, max: 128, value: r.name },
      { name: 'description', label: 'Description', type: 'area', max: 512, value: r.description }], onSubmit: (v) => put(this.path, v) });
    await this.load();
  }

  async remove() {
    const { name, status } = this.rollout;
    const done = await ask({ title: `Delete ${name}?`, danger: true, submit: 'Delete', text: ['running', 'paused'].includes(status) ? 'It is under way: its open actions are cancelled.' : undefined,
      specs: [{ name: 'typed', label: `Type the rollout’s name to go on: ${name}`, required: true }],
      onSubmit: async ({ typed }) => {
        if (typed.trim() !== name) throw new Error('That is not its name.');
        await remove(this.path);
      } });
    if (!done) return;
    say(`${name} is being deleted.`);
    location.hash = '#/rollouts';
  }

  // ── groups ──

  lane() {
    const name = h('div', { class: 'lane-name' }), holder = h('div', { class: 'bar-holder' }), counts = h('div', { class: 'lane-counts' }), members = h('div', { class: 'members', hidden: true });
    const node = h('li', { class: 'lane' }, name, holder, counts, members);
    const lane = { node, members, shown: '', update: (g) => {
      const text = JSON.stringify(g);
      if (lane.shown === text) return;
      lane.shown = text;
      lane.group = g;
      const limits = { success: Number(g.successCondition?.expression), error: Number(g.errorCondition?.expression) };
      const held = name.contains(document.activeElement);
      fill(name, h('button', { type: 'button', class: 'link', 'aria-expanded': String(this.open === lane), onclick: () => this.toggle(lane) }, g.name), outcome(g.status, g.totalTargetsPerStatus));
      if (held) name.querySelector('button').focus();
      fill(holder, bar(g.totalTargetsPerStatus || {}, g.totalTargets, limits));
      const after = g.successAction?.action === 'PAUSE' ? 'then it pauses' : '';
      fill(counts, countList(g.totalTargetsPerStatus || {}), h('span', { class: 'note' }, [`${g.totalTargets.toLocaleString('en')} targets`, rules(limits), after,
        g.targetFilterQuery ? `only ${g.targetFilterQuery}` : '', g.dynamic ? 'dynamic' : ''].filter(Boolean).join(', ')));
    } };
    return lane;
  }

  async toggle(lane) {
    const old = this.open;
    this.open = old === lane ? null : lane;
    for (const l of [old, lane]) {
      if (!l) continue;
      l.members.hidden = this.open !== l;
      l.node.querySelector('button.link').setAttribute('aria-expanded', String(this.open === l));
    }
    if (this.open) await this.loadMembers().catch((error) => fill(lane.members, h('p', { class: 'form-error' }, error.message)));
  }

  async loadMembers() {
    const lane = this.open;
    if (!may('READ_TARGET')) return void fill(lane.members, h('p', { class: 'note' }, 'Your user may not see targets.'));
    const page = await get(`${this.path}/deploygroups/${lane.group.id}/targets`, { limit: MEMBERS });
    const text = JSON.stringify(page);
    if (lane.membersText === text) return;
    lane.membersText = text;
    fill(lane.members, page.content.length ? h('ul', { class: 'tags' }, page.content.map((t) => h('li', { class: 'tag' },
      h('a', { href: `#/targets/${encodeURIComponent(t.controllerId)}` }, t.controllerId), ' ', badge(t.updateStatus)))) : h('p', { class: 'note' }, 'No target so far.'),
    page.total > MEMBERS ? h('p', { class: 'note' }, `The first ${MEMBERS} of ${page.total.toLocaleString('en')}. `,
      h('a', { href: `#/actions?q=${encodeURIComponent(`rollout.id==${this.rollout.id};rolloutgroup.id==${lane.group.id}`)}` }, 'Their actions')) : null);
  }

  drawPager() {
    const { total } = this.groups;
    this.pager.hidden = total <= LANES;
    const turn = (label, by, off) => h('button', { type: 'button', disabled: off, onclick: () => {
      this.offset += by;
      this.load().catch((error) => say(error.message));
    } }, label);
    fill(this.pager, h('span', {}, `Groups ${this.offset + 1}–${Math.min(total, this.offset + LANES)} of ${total}`), turn('Previous', -LANES, this.offset === 0),
      turn('Next', LANES, this.offset + LANES >= total));
  }
}
