// SPDX-License-Identifier: Apache-2.0
// Copyright The Driveline authors

// A car's page: what it is doing, its signals on one time axis with its updates, their effect, and the
// last message as it was sent.
import { h, fill, setText, badge } from '/dom.js';
import { age, clock, duration, number, stamp } from '/format.js';
import { get, server } from '/net.js';
import { subsystemsFor, columnsOf } from '/signals.js';
import { Table, columnNames } from '/data.js';
import { Strip } from '/chart.js';
import { View, Timeline, markerText } from '/timeline.js';
import { EffectPanel } from '/effect.js';
import { updatesPage } from '/site.js';

const WINDOWS = [[60, '1 min'], [300, '5 min'], [900, '15 min'], [3600, '1 h'], [0, 'All']];
const DEFAULT_WINDOW = 300;
const TABLE_ROWS = 40;
const ONLINE_MS = 10000;
const STALE_MS = 300000;
// The store has a message's new table or column by then.
const NEW_SIGNAL_MS = 1500;
// How often the update server's view of the car is looked at while nothing happens.
const ASK_MS = 5000;

export class CarPage {
  constructor(device, params, app) {
    Object.assign(this, { device, app, tables: {}, strips: [], cards: [], markers: [], info: null, alive: true });
    const seconds = Number(params.get('w') ?? DEFAULT_WINDOW);
    this.view = new View((Number.isFinite(seconds) ? seconds : DEFAULT_WINDOW) * 1000);
    const [from, to] = [Number(params.get('from')), Number(params.get('to'))];
    if (from > 0 && to > from) Object.assign(this.view, { live: false, from, to });
  }

  get title() {
    return this.device;
  }

  async show(main) {
    this.main = main;
    this.info = await get('device', { device: this.device });
    if (!this.alive) return;
    this.build();
    await this.loadUpdates();
    this.startAtData();
    await this.loadSeries();
    if (!this.alive) return;
    this.listen();
    this.timer = setInterval(() => this.tick(), 1000);
    this.tick();
  }

  close() {
    this.alive = false;
    clearInterval(this.timer);
    clearTimeout(this.updatesTimer);
    clearTimeout(this.gapTimer);
    clearTimeout(this.newsTimer);
    this.observer?.disconnect();
    this.resizer?.disconnect();
    for (const strip of this.strips) strip.destroy();
  }

  // ── building ──

  build() {
    this.charts = h('div', { class: 'charts', tabindex: '0', role: 'group',
      'aria-label': 'Charts over one time axis', 'aria-describedby': 'chart-keys' });
    this.timeline = new Timeline(this.view, this.charts, {
      zoom: (from, to) => this.zoom(from, to), goLive: () => this.goLive(), toggle: () => this.toggleLive(),
      cursor: (say) => this.readout(say), focus: (m) => this.focusMarker(m),
    });
    this.effect = new EffectPanel(this.device);
    this.buildCards();
    fill(this.charts, this.timeline.overlay, this.cards.map((c) => c.node));
    fill(this.main, this.buildHead(),
      h('div', { class: 'car' },
        h('div', { class: 'car-charts' }, h('div', { class: 'sticky' }, this.buildTools(), this.timeline.ruler), this.charts),
        h('aside', { class: 'car-side', 'aria-label': 'Updates and messages' }, this.effect.node, this.buildUpdates(), this.buildServer(), this.buildMessage())));
    this.resizer = new ResizeObserver(() => this.resized());
    this.resizer.observe(this.charts);
  }

  buildHead() {
    this.facts = {};
    const fact = (key, label) => h('div', {}, h('dt', {}, label), this.facts[key] = h('dd', {}, '–'));
    this.state = h('span');
    return h('div', { class: 'head' },
      h('h1', {}, this.device, ' ', this.state),
      h('dl', { class: 'facts' }, fact('version', 'Software'), fact('update', 'Update'), fact('age', 'Last message'),
        fact('gap', 'Gap of last update'), fact('charge', 'Charge'), fact('sequence', 'Message no.')));
  }

  buildTools() {
    this.windowButtons = WINDOWS.map(([s, label]) => h('button', { type: 'button', 'aria-pressed': 'false',
      onclick: () => this.setWindow(s) }, label));
    this.liveButton = h('button', { type: 'button', class: 'live', onclick: () => this.toggleLive() }, 'Pause');
    this.range = h('span', { class: 'range', role: 'status' });
    this.spoken = h('span', { class: 'sr', role: 'status' });
    return h('div', { class: 'tools' },
      h('div', { class: 'segments', role: 'group', 'aria-label': 'Time window' }, this.windowButtons),
      this.liveButton, this.range, this.spoken,
      h('span', { class: 'hint', id: 'chart-keys' }, 'Drag to zoom; double click for live. Keys: ← → cursor, + − zoom, space pause, Home live'));
  }

  buildCards() {
    this.subsystems = subsystemsFor(this.info.stored?.tables || {}, this.info.stored?.last || {});
    this.observer = new IntersectionObserver((entries) => this.seen(entries), { rootMargin: '120px' });
    this.cards = this.subsystems.map((s) => {
      this.tables[s.table] = new Table(columnsOf(s));
      const strips = s.strips.map((spec) => new Strip(spec, this.view));
      this.strips.push(...strips);
      const holder = h('div', { class: 'table-holder', hidden: true });
      const button = h('button', { type: 'button', class: 'quiet', 'aria-expanded': 'false',
        onclick: () => this.toggleTable(card) }, 'Table');
      const node = h('section', { class: 'card chart-card', 'aria-label': s.title },
        h('div', { class: 'card-head' }, h('h2', {}, s.title), button), strips.map((strip) => strip.node), holder);
      for (const strip of strips) {
        strip.visible = false;
        strip.node.strip = strip;
        strip.table = this.tables[s.table];
        this.observer.observe(strip.node);
      }
      const card = { subsystem: s, strips, node, holder, button };
      return card;
    });
  }

  buildUpdates() {
    this.updates = h('ol', { class: 'updates' });
    return h('section', { class: 'card', 'aria-labelledby': 'updates-title' },
      h('div', { class: 'card-head' }, h('h2', { id: 'updates-title' }, 'Updates')), this.updates);
  }

  // What the update server has to say: why the car waits, and what the car reported for each action.
  buildServer() {
    this.server = h('div');
    this.showServer();
    const manage = h('a', { class: 'note grow', hidden: true }, 'Manage');
    updatesPage().then((address) => {
      manage.href = `${address}#/targets/${encodeURIComponent(this.device)}`;
      manage.hidden = !address;
    });
    return h('section', { class: 'card', 'aria-labelledby': 'server-title' },
      h('div', { class: 'card-head' }, h('h2', { id: 'server-title' }, 'Update server'), manage), this.server);
  }

  showServer() {
    const s = this.info.server;
    if (!s) {
      fill(this.server, h('p', { class: 'note pad' }, 'This car has not asked the update server so far.'));
      return;
    }
    fill(this.server, s.why ? h('p', { class: 'why' }, s.why.trim()) : null, h('ol', { class: 'updates' }, s.actions.map((a) => h('li', {},
      h('div', { class: 'update-line' }, badge(a.status), h('b', {}, `${a.distributionSet} ${a.to}`), h('span', { class: 'note grow' }, `action ${a.id}`)),
      h('details', {}, h('summary', {}, `${a.messages.length} reports, since ${stamp(a.createdAt)}`),
        h('ol', { class: 'steps' }, a.messages.map((m) => h('li', {}, h('time', {}, clock(m.at, true)), ` ${m.type}: ${m.text}`))))))));
  }

  buildMessage() {
    this.message = h('pre', { class: 'message', tabindex: '0', 'aria-label': 'Last message' });
    return h('section', { class: 'card', 'aria-labelledby': 'message-title' },
      h('div', { class: 'card-head' }, h('h2', { id: 'message-title' }, 'Last message'), this.copyButton()), this.message);
  }

  copyButton() {
    const button = h('button', { type: 'button', class: 'quiet', onclick: async () => {
      await navigator.clipboard.writeText(this.message.textContent);
      setText(button, 'Copied');
      setTimeout(() => setText(button, 'Copy'), 1500);
    } }, 'Copy');
    return button;
  }

  // ── data ──

  // A car that is not sending opens at the end of what it sent.
  startAtData() {
    const { info, view } = this;
    this.seenAt = info.seen;
    const last = info.stored?.last_time || null;
    if (info.message) this.note(info.message);
    if (view.live && info.seen && last && server.now() - info.seen > STALE_MS) {
      view.live = false;
      view.to = last + 1000;
      view.from = view.windowMs ? view.to - view.windowMs : view.from;
      this.wentQuiet = true;
    }
  }

  points() {
    return Math.min(4000, Math.max(200, Math.round(this.view.width)));
  }

  async loadSeries() {
    const { view } = this;
    view.follow();
    const all = !view.windowMs && view.live;
    const span = view.to - view.from;
    // Somewhat more on the left, so that the first strip of a moving window isn't empty.
    const from = all ? 0 : Math.max(0, Math.round(view.from - span * 0.02));
    const to = view.live ? undefined : Math.round(view.to + span * 0.02);
    const serial = this.serial = (this.serial || 0) + 1;
    const answers = await Promise.all(this.subsystems.map((s) => get('series', {
      device: this.device, table: s.table, columns: columnsOf(s).join(','), from, to, points: this.points() })));
    if (serial !== this.serial || !this.alive) return;
    this.offset = Math.min(...answers.map((a) => a.offset));
    answers.forEach((a, i) => this.tables[this.subsystems[i].table].load(a));
    const firsts = answers.filter((a) => a.times.length).map((a) => a.times[0]);
    if (firsts.length && (all || view.first === null)) view.first = Math.min(...firsts);
    const rows = Math.max(...answers.map((a) => a.times.length));
    view.step = rows > this.points() * 0.6 ? span / this.points() * 2 : 0;
    this.loaded = { from, to: to ?? Infinity };
    this.drawSoon();
  }

  async loadUpdates() {
    const [{ updates }] = await Promise.all([get('updates', { device: this.device }), this.loadServer()]);
    const key = JSON.stringify(updates);
    if (!this.alive || key === this.updatesKey) return;
    this.updatesKey = key;
    this.markers = updates;
    this.timeline.setMarkers(updates);
    this.showUpdates();
  }

  async loadServer() {
    this.askedAt = Date.now();
    const { server: told, assigned, update } = await get('device', { device: this.device });
    const key = JSON.stringify(told);
    Object.assign(this.info, { server: told, assigned, update });
    if (!this.alive || key === this.serverKey) return;
    this.serverKey = key;
    this.showServer();
  }

  listen() {
    this.app.events.listen({ device: this.device }, {
      telemetry: (m) => this.onTelemetry(m), update: (m) => this.onUpdate(m), reset: () => this.reload(),
    }, this.offset);
  }

  async reload() {
    this.app.events.close();
    await this.loadUpdates();
    await this.loadSeries();
    if (this.alive) this.listen();
  }

  note(message) {
    this.last = message;
    const time = Date.parse(message.Timestamp);
    return time;
  }

  onTelemetry(message) {
    const time = this.note(message);
    if (Number.isNaN(time)) return;
    this.seenAt = Math.max(this.seenAt || 0, Math.min(server.now(), time + 5000));
    const skew = time - server.now();
    this.view.skew = Math.abs(skew) > 3000 ? Math.max(this.view.skew, skew) : 0;
    this.info.version = message.SoftwareVersion || this.info.version;
    this.lookForNewSignals(message);
    if (this.wentQuiet) this.goLive();
    for (const [name, table] of Object.entries(this.tables)) {
      if (message[name]) table.append(time, message[name]);
    }
    this.view.first ??= time;
    this.drawSoon();
    if (this.gapOpen) this.updatesSoon();
  }

  // New software may bring a new subsystem or signal: the page is built anew with it, once for each.
  lookForNewSignals(message) {
    if (message.SoftwareVersion === this.lookedAt) return;
    this.lookedAt = message.SoftwareVersion;
    const news = Object.entries(message).filter(([, value]) => value !== null && typeof value === 'object')
      .flatMap(([name, object]) => columnNames(object).filter((c) => !this.tables[name]?.index.has(c)).map((c) => `${this.device}/${name}.${c}`))
      .filter((key) => !this.app.signalsMet.has(key));
    if (!news.length) return;
    for (const key of news) this.app.signalsMet.add(key);
    this.newsTimer = setTimeout(() => this.app.reload(), NEW_SIGNAL_MS);
  }

  onUpdate(message) {
    if (message.SoftwareVersion) this.info.version = message.SoftwareVersion;
    this.info.update = { state: message.Update.State, from: message.Update.From, to: message.Update.To, cause: message.Update.Cause };
    this.updatesSoon();
  }

  // The store is a moment behind the stream; the gap is known only after the next messages.
  updatesSoon() {
    clearTimeout(this.updatesTimer);
    this.gapOpen = true;
    this.updatesTimer = setTimeout(() => this.loadUpdates().catch(() => {}), 400);
    clearTimeout(this.gapTimer);
    this.gapTimer = setTimeout(() => { this.gapOpen = false; }, 16000);
  }

  // ── drawing ──

  drawSoon() {
    if (this.frame) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = null;
      if (this.alive) this.draw();
    });
  }

  draw() {
    this.drawnAt = Date.now();
    this.view.follow();
    this.view.period = Math.min(...Object.values(this.tables).map((t) => t.period));
    for (const strip of this.strips) strip.draw(strip.table);
    this.place();
    this.timeline.draw();
    this.drawHead();
  }

  place() {
    const strip = this.strips.find((s) => s.visible && s.graph);
    const area = strip?.area();
    if (area) this.timeline.place(area);
  }

  seen(entries) {
    for (const { target, isIntersecting } of entries) {
      target.strip.visible = isIntersecting;
      if (isIntersecting) target.strip.draw(target.strip.table);
    }
    this.place();
    this.timeline.draw();
  }

  resized() {
    for (const strip of this.strips) strip.resize();
    this.drawSoon();
  }

  readout(say) {
    for (const strip of this.strips) if (strip.visible) strip.readout();
    if (!say || this.view.cursor === null) return;
    const battery = this.cards[0].strips.map((s) => s.plot.getAttribute('aria-label')).join('; ');
    setText(this.spoken, `${clock(this.view.cursor)}: ${battery}`);
  }

  link() {
    if (!this.seenAt) return 'never';
    const quiet = server.now() - this.seenAt;
    return quiet <= ONLINE_MS ? 'online' : quiet <= STALE_MS ? 'stale' : 'offline';
  }

  drawHead() {
    const { facts, info, last, view } = this;
    const link = this.link();
    if (this.shownLink !== link) fill(this.state, badge(this.shownLink = link, link === 'never' ? 'never heard of' : link));
    setText(facts.version, info.version || 'unknown');
    this.drawUpdateFact();
    setText(facts.age, this.seenAt ? age(server.now() - this.seenAt) : 'never');
    const charge = last?.Battery?.StateOfCharge ?? info.charge;
    setText(facts.charge, charge === null || charge === undefined ? '–' : `${number(charge, 2)} %`);
    setText(facts.sequence, String(last?.Sequence ?? '–'));
    const done = this.markers.findLast((m) => m.gap);
    setText(facts.gap, done ? `${(done.gap.ms / 1000).toFixed(1)} s (${done.gap.lost} lost)` : '–');
    if (last && this.shownMessage !== last && !this.messageHeld()) {
      setText(this.message, JSON.stringify(last, null, 2));
      this.shownMessage = last;
    }
    this.drawTools(view);
  }

  drawUpdateFact() {
    const m = this.markers[this.markers.length - 1];
    const u = this.info.update || m;
    const wanted = this.info.assigned && this.info.assigned !== this.info.version ? this.info.assigned : null;
    const key = JSON.stringify([u, wanted, this.info.version]);
    if (this.shownUpdate === key) return;
    this.shownUpdate = key;
    if (u?.state) fill(this.facts.update, badge(u.state), ` ${u.from} → ${u.to}`);
    else setText(this.facts.update, wanted ? `${wanted} assigned` : 'none so far');
  }

  // Text that somebody is selecting stays.
  messageHeld() {
    const s = getSelection();
    return s && !s.isCollapsed && this.message.contains(s.anchorNode);
  }

  drawTools(view) {
    WINDOWS.forEach(([s], i) => {
      const on = view.windowMs === s * 1000 && view.live;
      this.windowButtons[i].setAttribute('aria-pressed', String(on));
    });
    setText(this.liveButton, view.live ? 'Pause' : 'Go live');
    this.liveButton.dataset.live = String(view.live);
    setText(this.range, view.live ? '' : `${stamp(view.from)} – ${clock(view.to)}${this.wentQuiet ? ' · no live data' : ''}`);
  }

  showUpdates() {
    const list = [...this.markers].reverse();
    if (!list.length) {
      fill(this.updates, h('li', { class: 'note' }, 'This car has not been updated yet.'));
      return;
    }
    fill(this.updates, list.map((m) => h('li', {},
      h('div', { class: 'update-line' }, badge(m.state), h('b', {}, markerText(m)),
        h('button', { type: 'button', class: 'quiet', onclick: () => this.focusMarker(m), 'aria-label': `Show ${markerText(m)} in the charts` }, clock(m.time))),
      m.cause ? h('p', { class: 'cause' }, m.cause) : null,
      h('p', { class: 'note' }, m.gap ? `Telemetry gap ${(m.gap.ms / 1000).toFixed(1)} s (${m.gap.from_sequence} → ${m.gap.to_sequence}), ${m.gap.lost} lost. ` : '',
        m.ended ? `Took ${duration(m.ended - m.started)}.` : 'Under way.'),
      h('details', {}, h('summary', {}, `${m.steps.length} steps`),
        h('ol', { class: 'steps' }, m.steps.map((s) => h('li', {}, h('time', {}, clock(s.time, true)), ' ', s.state.replaceAll('_', ' '),
          s.cause ? `: ${s.cause}` : '')))))));
  }

  toggleTable(card) {
    const open = card.holder.hidden;
    card.holder.hidden = !open;
    card.button.setAttribute('aria-expanded', String(open));
    if (open) this.fillTable(card);
  }

  // The rows of the window, thinned out to what a person reads.
  fillTable(card) {
    const table = this.tables[card.subsystem.table];
    const columns = card.subsystem.strips.flatMap((s) => s.columns.map(([name, label]) =>
      ({ name, label: s.columns.length > 1 || s.kind === 'lanes' ? `${s.title}, ${label}` : s.title, strip: s })));
    const [start, end] = [table.at(this.view.from), table.at(this.view.to)];
    const step = Math.max(1, Math.ceil((end - start) / TABLE_ROWS));
    const rows = [];
    for (let i = end - 1; i >= start; i -= step) rows.push(i);
    fill(card.holder, h('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': `${card.subsystem.title} as a table` },
      h('table', { class: 'compact' },
        h('caption', {}, `${card.subsystem.title}: ${rows.length} of ${end - start} rows, newest first`),
        h('thead', {}, h('tr', {}, h('th', { scope: 'col' }, 'Time'), columns.map((c) =>
          h('th', { scope: 'col', class: 'num' }, c.label, c.strip.unit ? h('span', { class: 'unit' }, ` ${c.strip.unit}`) : null)))),
        h('tbody', {}, rows.map((i) => h('tr', {}, h('th', { scope: 'row' }, clock(table.times[i], true)),
          columns.map((c) => h('td', { class: 'num' }, this.cell(table, c, i)))))))));
  }

  cell(table, column, i) {
    const value = table.values[table.index.get(column.name)][i];
    if (column.strip.kind === 'lanes') return value === null ? '–' : value ? 'yes' : 'no';
    return number(value, column.strip.digits);
  }

  // ── the window ──

  setWindow(seconds) {
    this.view.windowMs = seconds * 1000;
    this.remember(`w=${seconds}`);
    this.goLive();
  }

  zoom(from, to) {
    if (to - from < 2000) {
      const middle = (from + to) / 2;
      [from, to] = [middle - 1000, middle + 1000];
    }
    Object.assign(this.view, { live: false, from, to });
    this.wentQuiet = false;
    this.remember(`from=${Math.round(from)}&to=${Math.round(to)}`);
    this.loadSeries().catch((e) => this.app.fail(e));
    this.drawSoon();
  }

  toggleLive() {
    if (this.view.live) this.zoom(this.view.from, this.view.to);
    else this.goLive();
  }

  goLive() {
    this.view.live = true;
    this.wentQuiet = false;
    this.remember(this.view.windowMs === DEFAULT_WINDOW * 1000 ? '' : `w=${this.view.windowMs / 1000}`);
    this.loadSeries().catch((e) => this.app.fail(e));
    this.drawSoon();
  }

  focusMarker(m) {
    this.zoom(m.started - 60000, (m.ended ?? m.time) + 60000);
  }

  remember(query) {
    history.replaceState(null, '', `#/car/${encodeURIComponent(this.device)}${query ? `?${query}` : ''}`);
  }

  tick() {
    if (Date.now() - (this.drawnAt || 0) > 900 && this.view.live) this.drawSoon();
    else this.drawHead();
    const tables = Object.values(this.tables);
    if (this.app.connected && Date.now() - this.askedAt > ASK_MS) this.loadServer().catch(() => {});
    this.effect.show(this.markers, this.firstTime(), this.view.now()).catch(() => {});
    for (const card of this.cards) if (!card.holder.hidden && this.view.cursor === null) this.fillTable(card);
    // A long window is thinned out: let the server do it again once live rows have piled up.
    if (this.view.live && tables.some((t) => t.appended > Math.max(600, this.points()))) this.loadSeries().catch(() => {});
    if (this.view.live && this.view.windowMs) for (const t of tables) t.trim(this.view.from - this.view.windowMs);
  }

  firstTime() {
    return this.info.stored?.first_seen ?? this.view.first;
  }
}
