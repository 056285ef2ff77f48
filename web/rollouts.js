// SPDX-License-Identifier: Apache-2.0
// Copyright The Driveline authors

// Rollouts as lanes: a lane for each group, filled by how its cars came through, with the thresholds
// at which the next group starts or the rollout stops.
import { h, fill, badge } from '/dom.js';
import { stamp } from '/format.js';

// In the order in which a lane is filled.
const PARTS = [['finished', 'finished'], ['running', 'under way'], ['scheduled', 'waiting'], ['notstarted', 'not started'],
  ['cancelled', 'cancelled'], ['error', 'failed']];

function share(n, total) {
  return total ? n / total * 100 : 0;
}

function bar(counts, total, group) {
  const parts = PARTS.filter(([key]) => counts[key]).map(([key]) => {
    const part = h('span', { class: `part ${key}` });
    part.style.width = `${share(counts[key], total)}%`;
    return part;
  });
  const threshold = (percent, kind) => {
    if (!(percent > 0 && percent <= 100)) return null;
    const mark = h('i', { class: `threshold ${kind}` });
    mark.style.left = `${kind === 'error' ? 100 - percent : percent}%`;
    return mark;
  };
  const words = PARTS.filter(([key]) => counts[key]).map(([key, word]) => `${counts[key]} ${word}`).join(', ') || 'no cars';
  return h('div', { class: 'bar', role: 'img', 'aria-label': `${words} of ${total}` }, parts,
    group ? [threshold(Number(group.successThreshold), 'success'), threshold(Number(group.errorThreshold), 'error')] : null);
}

function counts(c) {
  return h('span', { class: 'counts' }, PARTS.filter(([key]) => c[key]).map(([key, word]) =>
    h('span', { class: `key ${key}` }, `${c[key]} ${word}`)));
}

function groupLane(g) {
  const rules = [g.successThreshold ? `next group at ${g.successThreshold} % finished` : '',
    g.errorThreshold ? `stop at ${g.errorThreshold} % failed` : ''].filter(Boolean).join(', ');
  return h('li', { class: 'lane' },
    h('div', { class: 'lane-name' }, h('b', {}, g.name), badge(g.status)),
    bar(g.counts, g.totalTargets, g),
    h('div', { class: 'lane-counts' }, counts(g.counts), h('span', { class: 'note' }, rules)));
}

function card(r) {
  return h('section', { class: 'card rollout', 'aria-label': `Rollout ${r.name}` },
    h('div', { class: 'card-head' }, h('h2', {}, r.name), badge(r.status), h('span', { class: 'note grow' }, `${r.distributionSet} ${r.version} · ${stamp(r.createdAt)}`)),
    h('div', { class: 'lane total' }, h('div', { class: 'lane-name' }, h('b', {}, 'All'), h('span', { class: 'note' }, r.totalTargets === 1 ? '1 car' : `${r.totalTargets} cars`)),
      bar(r.counts, r.totalTargets, null), h('div', { class: 'lane-counts' }, counts(r.counts))),
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
    this.app.events.listen({ feeds: 'rollouts' }, { rollouts: (r) => this.take(r), reset: () => {} });
  }

  close() {}

  take({ rollouts }) {
    fill(this.list, rollouts.length ? rollouts.map(card)
      : h('p', { class: 'empty' }, 'No rollout so far. A push to a car’s repository starts one.'));
  }
}
