// SPDX-License-Identifier: Apache-2.0
// Copyright The Driveline authors

// The tenant's settings, each with an input of its type.
import { h, fill, setText, badge } from './dom.js';
import { api, get, getAll, may, part, remove } from './api.js';
import { action, say } from './form.js';

const DURATION = '([0-9]+:)?([0-9]+:)?[0-9]+|P.*';

// key: [label, kind, hint, pattern or bounds]; what the server knows and this list does not gets an input after its value.
const KNOWN = [
  ['Devices', {
    pollingTime: ['Poll interval', 'text', '00:05:00, also with exceptions: 00:10:00, group==test -> 00:00:30'],
    pollingOverdueTime: ['Overdue after', 'text', 'How long after its due poll a target counts as overdue.', DURATION],
    maintenanceWindowPollCount: ['Polls before a maintenance window', 'int', '', { min: 1 }],
    'user.confirmation.flow.enabled': ['Confirmation flow', 'bool', 'Updates wait for a word at the target, or for automatic confirmation.'],
  }],
  ['Log-in of devices', {
    'authentication.targettoken.enabled': ['Target token', 'bool', 'Each target has its own.'],
    'authentication.gatewaytoken.enabled': ['Gateway token', 'bool', 'One token that opens every target.'],
    'authentication.gatewaytoken.key': ['Gateway token’s value', 'secret', ''],
    'authentication.header.enabled': ['Certificate seen by a proxy', 'bool', 'A proxy before the server names the device in headers.'],
    'authentication.header.authority': ['Authority the proxy must name', 'text', ''],
    'driveline.authentication.header.ssl.enabled': ['… also by its headers’ names before hawkBit 1.0', 'bool', ''],
    'driveline.authentication.certificate.enabled': ['Certificate on the server’s own TLS listener', 'bool', 'Its common name is the target’s id.'],
    'driveline.authentication.certificate.fingerprints': ['… only with these SHA-256 fingerprints', 'text', 'Separated by commas; empty: any that the authority issued.'],
  }],
  ['Rollouts and actions', {
    'rollout.approval.enabled': ['Rollouts need approval', 'bool', ''],
    'repository.actions.autoclose.enabled': ['A new assignment closes the old action', 'bool', 'Without asking the device to cancel.'],
    'batch.assignments.enabled': ['Assignments in batches', 'bool', ''],
    'implicit.lock.enabled': ['Assigned sets are locked', 'bool', ''],
    'default.ds.type': ['Type of a new set', 'type', ''],
  }],
  ['More than hawkBit', {
    'driveline.action.timeout': ['A silent device’s action fails after', 'text', '36:00:00; empty: never.', DURATION],
    'driveline.action.timeout.total': ['Any open action fails after', 'text', 'From its assignment on; empty: never.', DURATION],
    'driveline.action.proof': ['Success counts after a poll this long after the report', 'text', 'Longer than a restart takes; empty: at once.', DURATION],
    'driveline.action.proof.within': ['… and at most this long after it', 'text', 'Later, the action fails: the device never came back.', DURATION],
    'driveline.assignment.reinstall': ['A set is installed again where it is already', 'bool', ''],
    'driveline.downgrade.prevent': ['No steps back to an older version', 'bool', ''],
    'driveline.events.enabled': ['Events are told to those who listen', 'bool', ''],
  }],
  ['Clean-up', {
    'action.cleanup.auto.expiry': ['Delete closed actions after, ms', 'int', '−1: never.', { min: -1 }],
    'action.cleanup.auto.status': ['Of these states', 'text', 'CANCELED,ERROR'],
    'action.cleanup.onQuotaHit.percent': ['At the limit of 2000 actions a target, delete the oldest, %', 'int', '', { min: 0, max: 100 }],
  }],
];

export class SettingsPage {
  view = 'settings';
  title = 'Settings';

  constructor() {
    this.inputs = new Map();
  }

  async show(main) {
    this.types = may('READ_DISTRIBUTION_SET') ? await getAll('distributionsettypes') : [];
    this.values = await get('system/configs');
    await this.addOurs();
    const listed = new Set(KNOWN.flatMap(([, keys]) => Object.keys(keys)));
    const other = Object.keys(this.values).filter((key) => !listed.has(key)).sort();
    const groups = [...KNOWN, ['More', Object.fromEntries(other.map((key) => [key, [key, this.kindOf(key), '']]))]];
    fill(main, h('div', { class: 'head' }, h('h1', {}, 'Settings'), h('p', { class: 'note' }, may('UPDATE_TENANT_CONFIGURATION') ? 'Each is stored as soon as it is saved.' : 'Your user may look only.')),
      h('div', { class: 'stack settings' }, groups.map(([title, keys]) => this.group(title, keys))));
  }

  close() {}

  // Settings beyond hawkBit's are in its list only where somebody set them.
  async addOurs() {
    const keys = KNOWN.flatMap(([, group]) => Object.keys(group)).filter((key) => key.startsWith('driveline.') && !(key in this.values));
    const found = await Promise.all(keys.map((key) => get(`system/configs/${part(key)}`)));
    keys.forEach((key, i) => {
      this.values[key] = found[i];
    });
  }

  kindOf(key) {
    const { value } = this.values[key];
    return typeof value === 'boolean' ? 'bool' : typeof value === 'number' ? 'int' : 'text';
  }

  group(title, keys) {
    const present = Object.entries(keys).filter(([key]) => key in this.values);
    if (!present.length) return null;
    return h('section', { class: 'card', 'aria-label': title }, h('div', { class: 'card-head' }, h('h2', {}, title)), present.map(([key, spec]) => this.row(key, spec)));
  }

  row(key, [label, kind, hint, limits]) {
    const id = `setting-${key}`;
    const input = this.input(id, key, kind, limits);
    const error = h('p', { class: 'form-error', role: 'alert', id: `${id}-error` });
    const mark = h('span');
    const row = h('form', { class: 'setting', novalidate: true, onsubmit: (event) => {
      event.preventDefault();
      this.save(key).catch((e) => setText(error, e.message));
    } });
    this.inputs.set(key, { input, kind, error, mark });
    const edit = may('UPDATE_TENANT_CONFIGURATION');
    input.disabled = !edit;
    input.setAttribute('aria-describedby', error.id);
    fill(row, h('div', { class: 'setting-name' }, h('label', { for: id }, label), h('p', { class: 'note' }, h('code', {}, key), hint ? ` ${hint}` : '')),
      h('div', { class: 'setting-value' }, input, edit ? [h('button', {}, 'Save'), action('Default', () => this.reset(key), { kind: 'quiet' })] : null, mark, error));
    this.draw(key);
    return row;
  }

  input(id, key, kind, limits) {
    if (kind === 'bool') return h('input', { id, type: 'checkbox' });
    if (kind === 'type') return h('select', { id }, this.types.map((t) => h('option', { value: t.id }, t.name)));
    if (kind === 'int') return h('input', { id, type: 'number', step: 1, required: true, ...limits });
    return h('input', { id, type: kind === 'secret' ? 'password' : 'text', autocomplete: 'off', spellcheck: 'false', pattern: typeof limits === 'string' ? limits : undefined, maxlength: 32768 });
  }

  draw(key) {
    const { input, kind, mark } = this.inputs.get(key);
    const { value, global } = this.values[key];
    if (kind === 'bool') input.checked = value === true;
    else input.value = String(value ?? '');
    fill(mark, global ? null : key === 'default.ds.type' ? null : badge('set here'));
  }

  async save(key) {
    const { input, kind, error } = this.inputs.get(key);
    setText(error, '');
    if (!input.checkValidity()) throw new Error(input.validationMessage);
    const value = kind === 'bool' ? input.checked : kind === 'int' || kind === 'type' ? Number(input.value) : input.value;
    await api('PUT', `system/configs/${part(key)}`, { body: { value } });
    await this.take(key);
    say('Saved.');
  }

  async reset(key) {
    await remove(`system/configs/${part(key)}`);
    await this.take(key);
    say('The default is back.');
  }

  async take(key) {
    this.values[key] = await get(`system/configs/${part(key)}`);
    setText(this.inputs.get(key).error, '');
    this.draw(key);
  }
}
