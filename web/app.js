// SPDX-License-Identifier: Apache-2.0
// Copyright The Driveline authors

// The page's frame: which view the address asks for, the connection's state, UTC or local time.
// `window.driveline` is there for tests and for the console.
import { h, fill, setText } from '/dom.js';
import { age, clock, zone } from '/format.js';
import { Events } from '/net.js';
import { FleetPage } from '/fleet.js';
import { CarPage } from '/car.js';
import { RolloutsPage } from '/rollouts.js';
import { PipelinesPage, RunPage } from '/pipelines.js';
import { LogPage } from '/log.js';
import { updatesPage } from '/site.js';

const main = document.getElementById('main');
const linkBadge = document.getElementById('link');
const lost = document.getElementById('lost');
const zoneButton = document.getElementById('zone');

const app = {
  page: null,
  connected: null,
  events: null,
  signalsMet: new Set(), // that the store didn't know when a page was built: see CarPage
  reload: () => route(false),
  fail(error) {
    lost.hidden = false;
    setText(lost, `That did not work: ${error.message}`);
  },
};

function makePage(path, params) {
  const [, view, id] = path.split('/').map(decodeURIComponent);
  switch (view) {
    case 'car': return new CarPage(id, params, app);
    case 'rollouts': return new RolloutsPage(params, app);
    case 'pipelines': return new PipelinesPage(params, app);
    case 'run': return new RunPage(id, params, app);
    case 'log': return new LogPage(params, app);
    default: return new FleetPage(params, app);
  }
}

function markNav(path) {
  const view = { '': 'fleet', car: 'fleet', run: 'pipelines' }[path.split('/')[1]] || path.split('/')[1];
  for (const a of document.querySelectorAll('nav a')) {
    if (a.dataset.view === view) a.setAttribute('aria-current', 'page');
    else a.removeAttribute('aria-current');
  }
}

async function route(moveFocus = true) {
  const [path, query] = (location.hash.slice(1) || '/').split('?');
  app.page?.close();
  app.events.close();
  lost.hidden = true;
  markNav(path);
  const page = app.page = makePage(path, new URLSearchParams(query));
  document.title = `${page.title} · Driveline`;
  fill(main, h('p', { class: 'empty' }, 'Loading…'));
  if (moveFocus) {
    main.focus({ preventScroll: true });
    scrollTo(0, 0);
  }
  try {
    await page.show(main);
  } catch (error) {
    if (app.page !== page) return;
    fill(main, h('p', { class: 'empty', role: 'alert' }, `${error.message}. `, h('button', { type: 'button', onclick: () => route() }, 'Try again')));
  }
}

// ── the connection ──

function onState(state, heard, wait) {
  app.connected = state === 'live';
  linkBadge.dataset.state = app.connected ? 'ok' : 'bad';
  setText(linkBadge, app.connected ? 'Live' : 'Connection lost');
  clearInterval(app.lostTimer);
  if (app.connected) {
    lost.hidden = true;
    return;
  }
  const say = () => setText(lost, `The connection to the server is lost since ${clock(heard)} (${age(Date.now() - heard)}). What you see is from then. Trying again${wait > 1500 ? ' every few seconds' : ''}.`);
  lost.hidden = false;
  say();
  app.lostTimer = setInterval(say, 1000);
}

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

// The address's hash names the view, so the skip link must not change it.
document.querySelector('.skip').addEventListener('click', (event) => {
  event.preventDefault();
  main.focus();
});

updatesPage().then((address) => {
  const link = document.getElementById('updates');
  link.href = address;
  link.hidden = !address;
});
app.events = new Events(onState);
window.driveline = app;
addEventListener('hashchange', () => route());
showZone();
route(false);
