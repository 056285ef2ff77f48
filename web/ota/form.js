// SPDX-License-Identifier: Apache-2.0
// Copyright The Driveline authors

// Dialogs: a form made of a list of fields, its errors, and yes-or-no questions.
import { h, fill, setText } from './dom.js';

let counter = 0;

// A field: {name, label, type, value, required, hint, options: [[value, label]], min, max, step, when(values)}.
// Types: text, number, area, select, check, time (a moment, as ms since 1970), search (with `suggest`).
class Field {
  constructor(spec, onChange) {
    Object.assign(this, { spec, id: `field-${++counter}` });
    this.input = this.make();
    this.input.addEventListener('input', onChange);
    this.input.addEventListener('change', onChange);
    const label = h('label', { for: this.id }, spec.label);
    const hint = spec.hint ? h('p', { class: 'note', id: `${this.id}-hint` }, spec.hint) : null;
    if (hint) this.input.setAttribute('aria-describedby', hint.id);
    this.node = spec.type === 'check' ? h('div', { class: 'field check-field' }, this.input, label, hint)
      : h('div', { class: 'field' }, label, this.input, hint);
  }

  make() {
    const { spec, id } = this;
    const common = { id, name: spec.name, required: spec.required };
    if (spec.type === 'select') {
      return h('select', common, spec.options.map(([value, label]) => h('option', { value, selected: String(value) === String(spec.value ?? '') }, label)));
    }
    if (spec.type === 'area') {
      const area = h('textarea', { ...common, rows: 3, maxlength: spec.max });
      area.value = spec.value ?? '';
      return area;
    }
    if (spec.type === 'check') return h('input', { ...common, type: 'checkbox', checked: Boolean(spec.value) });
    const type = { number: 'number', time: 'datetime-local' }[spec.type] || 'text';
    const bounds = type === 'number' ? { min: spec.min, max: spec.max, step: spec.step ?? 1 } : { maxlength: spec.max };
    const input = h('input', { ...common, type, autocomplete: 'off', spellcheck: 'false', placeholder: spec.placeholder, ...bounds });
    input.value = spec.type === 'time' ? localTime(spec.value) : spec.value ?? '';
    return input;
  }

  value() {
    const { input, spec } = this;
    if (spec.type === 'check') return input.checked;
    if (spec.type === 'time') return input.value ? new Date(input.value).getTime() : undefined;
    if (spec.type === 'number') return input.value === '' ? undefined : Number(input.value);
    return input.value;
  }
}

function localTime(ms) {
  if (!ms) return '';
  const at = new Date(ms - new Date(ms).getTimezoneOffset() * 60000);
  return at.toISOString().slice(0, 16);
}

export class Fields {
  constructor(specs, onChange = () => {}) {
    this.fields = specs.map((spec) => new Field(spec, () => {
      this.arrange();
      onChange(this.values());
    }));
    this.nodes = this.fields.map((f) => f.node);
    this.arrange();
  }

  // Fields that do not matter with the others' values are hidden, and not asked for.
  arrange() {
    const values = this.values(true);
    for (const f of this.fields) {
      const shown = !f.spec.when || f.spec.when(values);
      f.node.hidden = !shown;
      f.input.disabled = !shown;
    }
  }

  values(all = false) {
    const values = {};
    for (const f of this.fields) if (all || !f.input.disabled) values[f.spec.name] = f.value();
    return values;
  }

  input(name) {
    return this.fields.find((f) => f.spec.name === name).input;
  }
}

// Opens a dialog. `onSubmit(values)` may throw: the reason is shown and the dialog stays. Resolves to
// true once it was done, to false if the dialog was left.
export function ask({ title, text, specs = [], extra, submit = 'Save', danger = false, onSubmit = () => {} }) {
  const fields = new Fields(specs);
  const error = h('p', { class: 'form-error', role: 'alert' });
  const button = h('button', { class: danger ? 'danger' : 'primary' }, submit);
  const leave = h('button', { type: 'button', onclick: () => dialog.close() }, 'Cancel');
  const form = h('form', { method: 'dialog' }, h('h2', { id: `dialog-${++counter}` }, title),
    text ? h('p', {}, text) : null, fields.nodes, extra, error, h('div', { class: 'form-end' }, leave, button));
  const dialog = h('dialog', { 'aria-labelledby': `dialog-${counter}` }, form);
  let done = false;
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    button.disabled = true;
    setText(error, '');
    try {
      await onSubmit(fields.values());
      done = true;
      dialog.close();
    } catch (e) {
      setText(error, e.message);
    } finally {
      button.disabled = false;
    }
  });
  document.body.append(dialog);
  dialog.showModal();
  if (danger && !specs.length) leave.focus();
  return new Promise((resolve) => dialog.addEventListener('close', () => {
    dialog.remove();
    resolve(done);
  }));
}

export const confirmed = (title, text, submit, onSubmit) => ask({ title, text, submit, danger: true, onSubmit });

// A note that goes away by itself; screen readers say it.
export function say(text) {
  const toast = document.getElementById('toast');
  fill(toast, h('p', {}, text));
  clearTimeout(say.timer);
  say.timer = setTimeout(() => fill(toast), 6000);
}

// A button that does something with the server, and shows why it could not.
export function action(label, run, { kind = '', disabled = false, title } = {}) {
  const button = h('button', { type: 'button', class: kind, disabled, title, onclick: async () => {
    button.disabled = true;
    try {
      await run();
    } catch (error) {
      say(error.message);
    } finally {
      button.disabled = false;
      if (document.activeElement === document.body && button.isConnected) button.focus(); // a button that is off loses it
    }
  } }, label);
  return button;
}
