// SPDX-License-Identifier: Apache-2.0
// Copyright The Driveline authors

// The Management API of the server that sent this page. Name and password are held in memory and in
// the tab's sessionStorage, so they are gone with the tab; they go out as a header, never in an address.
import { Permits } from './permit.js';

const KEY = 'driveline.login';

export const session = {
  header: sessionStorage.getItem(KEY),
  user: null, // {tenant, username, permissions}
  permits: new Permits([]),
  onEnd: () => {},
  onReach: () => {}, // (is the server there?)

  async begin(name, password) {
    const bytes = new TextEncoder().encode(`${name}:${password}`);
    this.header = `Basic ${btoa(String.fromCharCode(...bytes))}`;
    try {
      await this.check();
      sessionStorage.setItem(KEY, this.header);
    } catch (error) {
      this.header = null;
      throw error;
    }
  },

  async check() {
    this.user = await api('GET', 'userinfo');
    this.permits = new Permits(this.user.permissions);
  },

  end() {
    sessionStorage.removeItem(KEY);
    this.header = this.user = null;
    this.permits = new Permits([]);
  },
};

export const may = (...names) => session.permits.has(...names);

// What the server's error codes mean for the person in front of the page.
const MEANINGS = {
  'quota.fileSizeExceeded': 'The file is larger than the server takes.',
  'quota.storageExceeded': 'The tenant’s storage is full: delete artifacts that nobody needs.',
  'quota.tooManyEntries': 'That is more than the server takes at once.',
  locked: 'It is locked. Unlock it, or make a new version.',
  'repo.entityAlreadyExists': 'There is one of that name already.',
  'repo.concurrentModification': 'Somebody else changed it meanwhile. Load it again.',
  'artifact.uploadFailed.checksum.sha256.match': 'The file arrived damaged: its SHA-256 is another one. Upload it again.',
  'distributionset.incomplete': 'The distribution set is incomplete: it lacks a module that its type demands.',
  'distributionset.invalid': 'The distribution set was invalidated.',
  'rollout.illegalState': 'The rollout’s state does not allow that.',
  'target.type.incompatible': 'The target’s type does not take this type of set.',
  maintenanceScheduleInvalid: 'The maintenance window is not valid, or none of its times lies ahead.',
};

export class ApiError extends Error {
  constructor(status, body) {
    const code = String(body.errorCode || '').replace('hawkbit.server.error.', '');
    const own = body.message || body.error;
    super([MEANINGS[code], own].filter(Boolean).join(' ') || `The server answered ${status}.`);
    Object.assign(this, { status, code });
  }
}

// A server that is asked too often says when to come back; a question is asked again, an order is not.
async function ask(path, options, tries = 2) {
  const answer = await fetch(path, options);
  const wait = Number(answer.headers.get('Retry-After'));
  if (answer.status !== 429 || options.method !== 'GET' || !session.user || !wait || !tries) return answer;
  await new Promise((resolve) => setTimeout(resolve, Math.min(wait, 10) * 1000));
  return ask(path, options, tries - 1);
}

const WORDS = {
  401: 'The server does not accept this name and password.',
  403: 'Your user has no permission for this.',
  429: 'The server is asked too often, or was given too many wrong passwords. Try again in a moment.',
};

export function refusal(status, text) {
  let body = {};
  try {
    body = JSON.parse(text) || {};
  } catch { /* an answer without a document */ }
  if (status === 401 || status === 403) return new ApiError(status, { message: WORDS[status] });
  if (status === 429 && !body.errorCode) return new ApiError(status, { message: WORDS[429] });
  return new ApiError(status, body);
}

export function address(path, params = {}) {
  const query = new URLSearchParams();
  for (const [key, value] of Object.entries(params)) {
    if (value !== undefined && value !== null && value !== '') query.set(key, value);
  }
  return `/rest/v1/${path}${query.size ? `?${query}` : ''}`;
}

// The answer as an object; null where it has no body.
export async function api(method, path, { params, body, signal } = {}) {
  const headers = { Authorization: session.header, Accept: 'application/json' };
  if (body !== undefined) headers['Content-Type'] = 'application/json';
  let answer;
  try {
    answer = await ask(address(path, params), { method, headers, signal, credentials: 'omit', body: body === undefined ? undefined : JSON.stringify(body) });
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    session.onReach(false);
    throw new Error('The server cannot be reached.');
  }
  session.onReach(true);
  const text = await answer.text();
  if (answer.ok) return text ? JSON.parse(text) : null;
  const error = refusal(answer.status, text);
  if (answer.status === 401 && session.user) session.onEnd(error);
  throw error;
}

export const get = (path, params, signal) => api('GET', path, { params, signal });
export const post = (path, body, params) => api('POST', path, { body, params });
export const put = (path, body) => api('PUT', path, { body });
export const remove = (path, body, params) => api('DELETE', path, { body, params });
export const part = encodeURIComponent;

// Everything of a list that is known to be short, such as types and tags.
export async function getAll(path, params = {}) {
  const rows = [];
  for (;;) {
    const page = await get(path, { ...params, offset: rows.length, limit: 500 });
    rows.push(...page.content);
    if (!page.content.length || rows.length >= page.total) return rows;
  }
}

// A file with its bytes; `onProgress(share)`.
export async function download(path, onProgress) {
  const answer = await fetch(address(path), { headers: { Authorization: session.header }, credentials: 'omit' });
  if (!answer.ok) throw refusal(answer.status, await answer.text());
  const total = Number(answer.headers.get('Content-Length')) || 0;
  const pieces = [];
  let taken = 0;
  for (const reader = answer.body.getReader();;) {
    const { done, value } = await reader.read();
    if (done) return new Blob(pieces, { type: 'application/octet-stream' });
    pieces.push(value);
    taken += value.length;
    onProgress?.(total ? taken / total : 0);
  }
}
