// SPDX-License-Identifier: Apache-2.0
// Copyright The Driveline authors

// How far a rollout or one of its groups has come: the bar with its parts and thresholds, the counts
// beside it, and its state. Both pages draw rollouts with this. `counts` are
// {finished, running, scheduled, notstarted, cancelled, error}.
import { h, badge, sign } from './dom.js';

// In the order in which a bar is filled.
const PARTS = [['finished', 'finished'], ['running', 'under way'], ['scheduled', 'waiting'], ['notstarted', 'not started'],
  ['cancelled', 'cancelled'], ['error', 'failed']];

const present = (counts) => PARTS.filter(([key]) => counts[key] > 0);

function mark(percent, kind) {
  if (!(percent > 0 && percent <= 100)) return null;
  const line = h('i', { class: `threshold ${kind}` });
  line.style.left = `${kind === 'error' ? 100 - percent : percent}%`;
  return line;
}

// `thresholds`: {success, error} in percent, or null for a whole rollout.
export function bar(counts, total, thresholds) {
  const parts = present(counts).map(([key]) => {
    const part = h('span', { class: `part ${key}` });
    part.style.width = `${total ? counts[key] / total * 100 : 0}%`;
    return part;
  });
  const words = present(counts).map(([key, word]) => `${counts[key]} ${word}`).join(', ') || 'none';
  return h('div', { class: 'bar', role: 'img', 'aria-label': `${words} of ${total}` }, parts,
    thresholds ? [mark(thresholds.success, 'success'), mark(thresholds.error, 'error')] : null);
}

export function countList(counts) {
  return h('span', { class: 'counts' }, present(counts).map(([key, word]) => h('span', { class: `key ${key}` }, `${counts[key]} ${word}`)));
}

// "Finished" says only that nothing is left to do. Green is for what went well.
export function outcome(status, counts) {
  const { error = 0, cancelled = 0, finished = 0 } = counts || {};
  if (status !== 'finished' || (!error && !cancelled)) return badge(status);
  const words = [error ? `${error} failed` : '', cancelled ? `${cancelled} cancelled` : ''].filter(Boolean).join(', ');
  return sign(error && !finished ? 'bad' : 'warn', `finished, ${words}`);
}

export function rules({ success, error }) {
  return [success ? `next group at ${success} % finished` : '', error ? `stop above ${error} % failed` : ''].filter(Boolean).join(', ');
}
