// SPDX-License-Identifier: Apache-2.0
// Copyright The Driveline authors

// Pipeline runs with their stages, and one run with its log and what it waits for.
import { h, fill, setText, badge } from '/dom.js';
import { bytes, duration, stamp } from '/format.js';
import { get, server } from '/net.js';

const took = (part) => (part.started_at ? (part.ended_at ?? server.now()) - part.started_at : null);

function stageStep(run, s) {
  const time = h('span', { class: 'took' }, s.started_at ? duration(took(s)) : '');
  if (s.state === 'running') time.dataset.since = s.started_at;
  return h('li', { class: 'stage', 'data-state': s.state },
    h('a', { href: `#/run/${run.id}?stage=${encodeURIComponent(s.name)}` }, s.name), badge(s.state), time);
}

function deployment(d) {
  if (!d || !d.targets) return null;
  return h('p', { class: 'note' }, `In the cars: ${d.finished} of ${d.targets} finished`, d.failed ? `, ${d.failed} failed` : '',
    d.running ? `, ${d.running} under way` : '', '.');
}

function runCard(run) {
  const time = h('span', { class: 'took' }, duration(took(run)));
  if (run.state === 'running') time.dataset.since = run.started_at;
  return h('section', { class: 'card run', 'aria-label': `Run ${run.id} of ${run.pipeline}` },
    h('div', { class: 'card-head' }, h('h2', {}, h('a', { href: `#/run/${run.id}` }, `#${run.id} ${run.pipeline}`)), badge(run.state), time,
      h('span', { class: 'note grow' }, stamp(run.queued_at))),
    h('p', { class: 'commit' }, h('code', {}, String(run.commit).slice(0, 9)), ` ${run.message} `, h('span', { class: 'note' }, `${run.author} · ${run.origin}`)),
    h('ol', { class: 'stages' }, run.stages.map((s) => stageStep(run, s))),
    run.cause ? h('p', { class: 'cause' }, run.cause) : null,
    deployment(run.deployment));
}

function tickTook(root) {
  for (const node of root.querySelectorAll('[data-since]')) setText(node, duration(server.now() - Number(node.dataset.since)));
}

export class PipelinesPage {
  constructor(params, app) {
    Object.assign(this, { app, title: 'Pipelines' });
  }

  async show(main) {
    this.pipelines = h('div');
    this.runs = h('div', { class: 'stack' }, h('p', { class: 'empty' }, 'Loading…'));
    fill(main, h('div', { class: 'head' }, h('h1', {}, 'Pipelines')), h('div', { class: 'stack' }, this.pipelines, this.runs));
    this.app.events.listen({ feeds: 'pipelines' }, { pipelines: (p) => this.take(p), reset: () => {} });
    this.timer = setInterval(() => tickTook(this.runs), 1000);
  }

  close() {
    clearInterval(this.timer);
  }

  take({ pipelines, runs }) {
    const col = (label) => h('th', { scope: 'col' }, label);
    fill(this.pipelines, pipelines.length ? h('section', { class: 'card', 'aria-label': 'Pipelines' }, h('div', { class: 'scroll' },
      h('table', { class: 'compact wide' }, h('thead', {}, h('tr', {}, ['Pipeline', 'Language', 'Branch', 'Deploys by', 'Cars', 'Last run'].map(col))),
        h('tbody', {}, pipelines.map((p) => h('tr', {}, h('th', { scope: 'row' }, p.name), h('td', {}, p.language), h('td', {}, p.branch),
          h('td', {}, p.deploy), h('td', {}, h('code', {}, p.target_filter)),
          h('td', {}, p.last_run ? [h('a', { href: `#/run/${p.last_run.id}` }, `#${p.last_run.id}`), ' ', badge(p.last_run.state)] : '–'))))))) : null);
    fill(this.runs, runs.length ? runs.map(runCard)
      : h('p', { class: 'empty' }, 'No run so far. Push a commit to a pipeline’s repository.'));
  }
}

export class RunPage {
  constructor(id, params, app) {
    Object.assign(this, { id, app, stage: params.get('stage') || '', title: `Run ${id}` });
  }

  async show(main) {
    this.top = h('div', { class: 'stack' });
    this.why = h('p', { class: 'why' });
    this.log = h('ol', { class: 'log plain', tabindex: '0', 'aria-label': 'Log of the stage' });
    fill(main, h('div', { class: 'head' }, h('h1', {}, `Run ${this.id}`)), h('div', { class: 'stack' }, this.top,
      h('section', { class: 'card' }, h('div', { class: 'card-head' }, h('h2', {}, this.stage ? `Log of ${this.stage}` : 'Log')), this.log)));
    await this.load();
    this.app.events.listen({ feeds: 'pipelines' }, { pipelines: () => this.load().catch((e) => this.app.fail(e)), reset: () => {} });
    this.timer = setInterval(() => this.tick(), 1000);
  }

  close() {
    clearInterval(this.timer);
  }

  async load() {
    const { run, why, log } = await get('run', { run: this.id, stage: this.stage });
    this.run = run;
    setText(this.why, why);
    fill(this.top, runCard(run), why ? h('section', { class: 'card', 'aria-label': 'Why' }, this.why) : null, run.artifacts?.length ? h('section', { class: 'card' },
      h('div', { class: 'card-head' }, h('h2', {}, 'Artifacts')), h('div', { class: 'scroll' }, h('table', { class: 'compact' }, h('tbody', {}, run.artifacts.map((a) =>
        h('tr', {}, h('th', { scope: 'row' }, a.name), h('td', { class: 'num' }, bytes(a.size)), h('td', {}, h('code', { class: 'hash' }, a.sha256)))))))) : null);
    fill(this.log, log.length ? log.map((l) => h('li', {}, l.text)) : h('li', { class: 'note' }, 'This stage has no log.'));
  }

  tick() {
    tickTook(this.top);
    if (this.run && ['queued', 'running'].includes(this.run.state)) this.load().catch(() => {});
  }
}
