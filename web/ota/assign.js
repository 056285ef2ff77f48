// SPDX-License-Identifier: Apache-2.0
// Copyright The Driveline authors

// The form that gives a distribution set to targets: which set, how hard, when.
import { ask, say } from './form.js';
import { getAll, post, part } from './api.js';

const KINDS = [['forced', 'Forced: install at once'], ['soft', 'Soft: the target may choose the moment'],
  ['timeforced', 'Time-forced: soft first, forced from a time on'], ['downloadonly', 'Download only']];
// What the server takes in one request (hawkBit's quota).
export const ASSIGN_MAX = 5000;

export async function setOptions() {
  const sets = await getAll('distributionsets', { q: 'valid==true', sort: 'id:DESC' });
  return sets.filter((s) => s.complete).map((s) => [s.id, `${s.name} ${s.version}`]);
}

// Fields that an assignment, an auto-assignment and a rollout have in common.
export const kindFields = (kinds = KINDS) => [
  { name: 'type', label: 'Type', type: 'select', options: kinds, value: 'forced' },
  { name: 'forcetime', label: 'Forced from', type: 'time', required: true, when: (v) => v.type === 'timeforced' },
  { name: 'weight', label: 'Weight', type: 'number', min: 0, max: 1000, hint: 'Of several updates the one with the greater weight comes first. 1000 if empty.' },
];

// A window of time that comes again and again, as `name` of an assignment or a rollout.
export const windowFields = (name, label) => [
  { name, label, type: 'check' },
  { name: `${name}.schedule`, label: 'Begins (cron with seconds)', required: true, placeholder: '0 0 2 ? * *', when: (v) => v[name],
    hint: 'Second, minute, hour, day, month, weekday: “0 0 2 ? * SUN” is each Sunday at 2.' },
  { name: `${name}.duration`, label: 'Lasts', required: true, placeholder: '02:30:00', value: '01:00:00', when: (v) => v[name] },
  { name: `${name}.timezone`, label: 'Offset from UTC', required: true, value: '+00:00', when: (v) => v[name] },
];

export const windowOf = (values, name) => values[name]
  ? { schedule: values[`${name}.schedule`], duration: values[`${name}.duration`], timezone: values[`${name}.timezone`] } : undefined;

// What goes beyond hawkBit (docs/update-server.md).
export const extraFields = [
  { name: 'reinstall', label: 'Also where the set is installed already', type: 'check' },
  { name: 'allowDowngrade', label: 'Also where that is a step back', type: 'check', hint: 'Counts while steps back are prevented (Settings).' },
];

function bodyOf(values, id) {
  const { type, forcetime, weight, confirmationRequired } = values;
  return { id, type, forcetime, weight, confirmationRequired: confirmationRequired || undefined, maintenanceWindow: windowOf(values, 'maintenanceWindow') };
}

// Asks and assigns; resolves to whether it was done.
export async function assign(ids, text) {
  const options = await setOptions();
  return ask({
    title: ids.length === 1 ? `Assign a set to ${ids[0]}` : `Assign a set to ${ids.length} targets`,
    text: options.length ? text : 'There is no complete and valid distribution set. Make one under Sets.',
    submit: 'Assign',
    specs: [{ name: 'set', label: 'Distribution set', type: 'select', options, required: true }, ...kindFields(), ...windowFields('maintenanceWindow', 'Only in a maintenance window'),
      { name: 'confirmationRequired', label: 'Somebody must confirm at the target', type: 'check', hint: 'Counts while the confirmation flow is on (Settings).' }, ...extraFields],
    onSubmit: async (values) => {
      const done = await post(`distributionsets/${part(values.set)}/assignedTargets`, ids.map((id) => bodyOf(values, id)),
        { reinstall: values.reinstall || undefined, allowDowngrade: values.allowDowngrade || undefined });
      say(`${done.assigned} of ${done.total} assigned${done.alreadyAssigned ? `, ${done.alreadyAssigned} had the set already` : ''}.`);
    },
  });
}
