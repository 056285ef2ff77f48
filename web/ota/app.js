// SPDX-License-Identifier: Apache-2.0
// Copyright The Driveline authors

// The page's frame: log-in, which view the address asks for, and the clock that keeps a view fresh.
// `window.driveline` is there for tests and for the console.
import { h, fill, setText } from './dom.js';
import { zone } from './format.js';
import { may, session } from './api.js';
import { LoginPage } from './login.js';
import { TargetsPage } from './targets.js';
import { FiltersPage } from './filters.js';
import { SetsPage } from './sets.js';
import { ModulesPage } from './modules.js';
import { RolloutsPage } from './rollouts.js';
import { RolloutPage } from './rollout.js';
import { PlanPage } from './plan.js';
import { ActionsPage } from './actions.js';
import { SettingsPage } from './settings.js';

const REFRESH_MS = 2000;
const REFRESH_REST = 9; // a server that takes long is left alone for nine times as long
const main = document.getElementById('main');
const lost = document.getElementById('lost');
const app = { page: null, viewer: '', reload: () => route(false) };

const VIEWS = [
  ['targets', 'Targets', ['READ_TARGET']],
  ['filters', 'Filters', ['READ_TARGET']],
  ['sets', 'Sets', ['READ_DISTRIBUTION_SET']],
  ['modules', 'Modules', ['READ_SOFTWARE_MODULE']],
  ['rollouts', 'Rollouts', ['READ_ROLLOUT']],
  ['actions', 'Actions', ['READ_TARGET']],
  ['settings', 'Settings', ['READ_TENANT_CONFIGURATION']],
];

const allowed = () => VIEWS.filter(([, , needs]) => may(...needs));

class NoPage {
  title = 'Nothing here';

  constructor(text) {
    this.text = text;
  }

  async show(main) {
    fill(main, h('p', { class: 'empty' }, this.text));
  }

  close() {}
}

function makePage(view, key, params) {
  const known = VIEWS.find(([name]) => name === view);
  if (known && !may(...known[2])) return new NoPage('Your user has no permission to see this.');
  switch (view) {
    case 'targets': return new TargetsPage(key, params, app);
    case 'filters': return new FiltersPage(key, params, app);
    case 'sets': return new SetsPage(key, params, app);
    case 'modules': return new ModulesPage(key, params, app);
    case 'rollouts': return !key ? new RolloutsPage(key, params, app) : key === 'new' ? new PlanPage(key, params, app) : new RolloutPage(key, params, app);
    case 'actions': return new ActionsPage(key, params, app);
    case 'settings': return new SettingsPage(key, params, app);
    default: return new NoPage(allowed().length ? 'There is no such view.' : 'Your user has no permission for anything that this page shows.');
  }
}

function drawFrame(view) {
  fill(document.getElementById('nav'), session.user ? allowed().map(([name, label]) =>
    h('a', { href: `#/${name}`, 'aria-current': name === view ? 'page' : undefined }, label)) : null);
  setText(document.getElementById('who'), session.user ? `${session.user.username} · ${session.user.tenant}` : '');
  document.querySelector('nav [aria-current]')?.scrollIntoView({ block: 'nearest', inline: 'nearest' });
  const logout = document.getElementById('logout');
  logout.hidden = !session.user;
  logout.title = session.user ? `${session.user.username} of ${session.user.tenant}` : '';
}

async function route(moveFocus = true) {
  const [path, query] = (location.hash.slice(1) || '/').split('?');
  const [, name, rawKey] = path.split('/');
  const params = new URLSearchParams(query);
  const view = name || allowed()[0]?.[0] || '';
  const key = rawKey ? decodeURIComponent(rawKey) : '';
  drawFrame(view);
  if (session.user && app.page?.view === view && app.page.turn?.(key, params)) return;
  app.page?.close();
  const page = app.page = session.user ? makePage(view, key, params) : new LoginPage(app.farewell, start);
  app.farewell = '';
  document.title = `${page.title} · Driveline updates`;
  if (moveFocus) {
    main.focus({ preventScroll: true });
    scrollTo(0, 0);
  }
  main.setAttribute('aria-busy', 'true');
  try {
    await page.show(main);
  } catch (error) {
    if (app.page !== page) return;
    fill(main, h('p', { class: 'empty', role: 'alert' }, `${error.message} `, h('button', { type: 'button', onclick: () => route() }, 'Try again')));
  } finally {
    if (app.page === page) main.removeAttribute('aria-busy');
  }
}

function leave(text) {
  session.end();
  app.farewell = text;
  for (const dialog of document.querySelectorAll('dialog')) dialog.close();
  route();
}

// ── fresh while somebody looks ──

async function refresh() {
  if (document.visibilityState !== 'visible' || !session.user || !app.page?.refresh) return;
  await app.page.refresh().catch(() => {}); // what cannot be had now is asked for again in a moment
}

session.onReach = (there) => {
  lost.hidden = there;
  setText(lost, there ? '' : 'The server cannot be reached. What you see may be old; trying again every few seconds.');
};

(function again() {
  const wait = Math.max(REFRESH_MS, again.took * REFRESH_REST || 0);
  setTimeout(async () => {
    const began = Date.now();
    await refresh();
    again.took = Date.now() - began;
    again();
  }, wait);
}());
document.addEventListener('visibilitychange', () => refresh());

// ── the frame's own buttons ──

const zoneButton = document.getElementById('zone');
function showZone() {
  setText(zoneButton, zone.name);
  zoneButton.setAttribute('aria-pressed', String(zone.utc));
  zoneButton.setAttribute('aria-label', `Times in ${zone.utc ? 'UTC' : 'local time'}; switch`);
}
zoneButton.addEventListener('click', () => {
  zone.set(!zone.utc);
  showZone();
  route(false);
});
document.getElementById('logout').addEventListener('click', () => leave(''));
document.querySelector('.skip').addEventListener('click', (event) => {
  event.preventDefault();
  main.focus();
});
addEventListener('hashchange', () => route());
session.onEnd = () => leave('The server no longer accepts your log-in.');

async function showViewerLink() {
  const { viewer } = await fetch('site.json').then((answer) => answer.json());
  if (!viewer) return;
  const wild = /^(0\.0\.0\.0|\[::\])(?=:)/;
  app.viewer = `http://${viewer.replace(wild, location.hostname)}/`;
  const link = document.getElementById('viewer');
  link.href = app.viewer;
  link.hidden = false;
}

async function start() {
  if (session.header && !session.user) {
    try {
      await session.check();
    } catch (error) {
      if (error.status === 401) session.end();
      app.farewell = error.message;
    }
  }
  route(false);
}

window.driveline = app;
showZone();
showViewerLink().catch(() => {});
start();
