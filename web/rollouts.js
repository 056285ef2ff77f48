// SPDX-License-Identifier: Apache-2.0
// Copyright The Driveline authors

// Rollouts as lanes: a lane for each group, filled by how its cars came through, with the thresholds
// at which the next group starts or the rollout stops.
import { h, fill } from '/dom.js';
import { stamp } from '/format.js';
import { bar, countList, outcome, rules } from '/lanes.js';
import { updatesPage } from '/site.js';

function groupLane(g) {
  const thresholds = { success: Number(g.successThreshold), error: Number(g.errorThreshold) };
  return h('li', { class: 'lane' },
    h('div', { class: 'lane-name' }, h('b', {}, g.name), outcome(g.status, g.counts)),
    bar(g.counts, g.totalTargets, thresholds),
    h('div', { class: 'lane-counts' }, countList(g.counts), h('span', { class: 'note' }, rules(thresholds))));
}

function card(r, updates) {
  return h('section', { class: 'card rollout', 'aria-label': `Rollout ${r.name}` },
    h('div', { class: 'card-head' }, h('h2', {}, r.name), outcome(r.status, r.counts),
      h('span', { class: 'note grow' }, `${r.distributionSet} ${r.version} · ${stamp(r.createdAt)}`),
      updates ? h('a', { href: `${updates}#/rollouts/${r.id}` }, 'Manage') : null),
    h('div', { class: 'lane total' }, h('div', { class: 'lane-name' }, h('b', {}, 'All'), h('span', { class: 'note' }, r.totalTargets === 1 ? '1 car' : `${r.totalTargets} cars`)),
      bar(r.counts, r.totalTargets, null), h('div', { class: 'lane-counts' }, countList(r.counts))),
    r.groups.length ? h('ol', { class: 'lanes-list' }, r.groups.map(groupLane)) : null,
    r.why ? h('p', { class: 'why' }, h('b', {}, 'Why: '), r.why) : null);
}

export class RolloutsPage {
  constructor(params, app) {
    Object.assign(this, { app, title: 'Rollouts' });
  }

  async show(main) {
    this.list = h('div', { class: 'stack' }, h('p', { class: 'empty' }, 'Loading…'));
    fill(main, h('div', { class: 'head' }, h('h1', {}, 'Rollouts')), this.list);
    this.updates = await updatesPage();
    this.app.events.listen({ feeds: 'rollouts' }, { rollouts: (r) => this.take(r), reset: () => {} });
  }

  close() {}

  take({ rollouts }) {
    fill(this.list, rollouts.length ? rollouts.map((r) => card(r, this.updates))
      : h('p', { class: 'empty' }, 'No rollout so far. A push to a car’s repository starts one.'));
  }
}
