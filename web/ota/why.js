// SPDX-License-Identifier: Apache-2.0
// Copyright The Driveline authors

// What a rollout waits for, and what would move it, in words.
import { stamp } from './format.js';

const percent = (n, total) => total ? Math.floor(n / total * 100) : 0;

function failed(g) {
  const { error } = g.totalTargetsPerStatus;
  return `${g.name}: ${error} of ${g.totalTargets} failed (${percent(error, g.totalTargets)} %), more than ${g.errorCondition.expression} %.`;
}

function running(groups) {
  const g = groups.find((one) => one.status === 'running');
  const next = groups.find((one) => one.status === 'scheduled');
  if (!g) return next ? `${next.name} is about to start.` : 'Its last devices are under way.';
  const { finished, running: open = 0 } = g.totalTargetsPerStatus;
  const so = `${g.name}: ${finished} of ${g.totalTargets} finished (${percent(finished, g.totalTargets)} %)`;
  if (!next) return `${so}, ${open} under way. It ends when each device has reported.`;
  return g.successAction?.action === 'PAUSE' ? `${so}; at ${g.successCondition.expression} % it pauses.` : `${so}; at ${g.successCondition.expression} % ${next.name} starts.`;
}

function paused(groups) {
  const broken = groups.findLast((one) => one.status === 'error');
  const next = groups.find((one) => one.status === 'scheduled');
  const then = next ? ` Resuming goes on with ${next.name}.` : '';
  return `${broken ? failed(broken) : 'It waits for somebody to resume it.'}${then}`;
}

// '' where nothing is to be said. `groups`: as many as are known.
export function why(r, groups) {
  switch (r.status) {
    case 'ready': return r.startAt ? `It starts at ${stamp(r.startAt)}, or when somebody starts it.` : 'It waits for somebody to start it.';
    case 'waiting_for_approval': return 'It waits for somebody who may approve rollouts.';
    case 'approval_denied': return `It was denied${r.approveDecidedBy ? ` by ${r.approveDecidedBy}` : ''}; it can only be stopped or deleted.`;
    case 'creating': return 'Its groups are being filled.';
    case 'stopping': return 'Devices are asked to stop.';
    case 'paused': return paused(groups);
    case 'running': return running(groups);
    default: return '';
  }
}
