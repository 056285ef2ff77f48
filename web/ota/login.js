// SPDX-License-Identifier: Apache-2.0
// Copyright The Driveline authors

// The log-in: a form that asks `userinfo` with what was typed.
import { h, fill, setText } from './dom.js';
import { session } from './api.js';

export class LoginPage {
  constructor(message, onDone) {
    Object.assign(this, { message, onDone, title: 'Log in' });
  }

  async show(main) {
    this.name = h('input', { id: 'login-name', name: 'username', autocomplete: 'username', required: true, autocapitalize: 'none', spellcheck: 'false' });
    this.password = h('input', { id: 'login-password', name: 'password', type: 'password', autocomplete: 'current-password', required: true });
    this.error = h('p', { class: 'form-error', role: 'alert' }, this.message);
    this.button = h('button', { class: 'primary' }, 'Log in');
    fill(main, h('form', { class: 'card login', onsubmit: (event) => this.submit(event), 'aria-labelledby': 'login-title' },
      h('h1', { id: 'login-title' }, 'Log in'),
      h('p', { class: 'note' }, 'A user of the update server. The name and password stay in this tab.'),
      h('div', { class: 'field' }, h('label', { for: 'login-name' }, 'Name'), this.name),
      h('div', { class: 'field' }, h('label', { for: 'login-password' }, 'Password'), this.password),
      this.error, this.button));
    this.name.focus();
  }

  async submit(event) {
    event.preventDefault();
    this.button.disabled = true;
    setText(this.error, '');
    try {
      await session.begin(this.name.value, this.password.value);
      this.onDone();
    } catch (error) {
      setText(this.error, error.message);
      this.password.select();
    } finally {
      this.button.disabled = false;
    }
  }

  close() {}
}
