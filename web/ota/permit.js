// SPDX-License-Identifier: Apache-2.0
// Copyright The Driveline authors

// What a user may do, out of the roles and permissions that `userinfo` names.
const VERBS = ['CREATE', 'READ', 'UPDATE', 'DELETE'];
const all = (entity) => VERBS.map((verb) => `${verb}_${entity}`);

const ROLES = {
  TARGET_ADMIN: [...all('TARGET'), ...all('TARGET_TYPE'), 'READ_TARGET_SECURITY_TOKEN'],
  REPOSITORY_ADMIN: [...all('DISTRIBUTION_SET'), ...all('SOFTWARE_MODULE'), 'READ_SOFTWARE_MODULE_ARTIFACT'],
  ROLLOUT_ADMIN: [...all('ROLLOUT'), 'APPROVE_ROLLOUT', 'HANDLE_ROLLOUT'],
};

export class Permits {
  constructor(names) {
    const plain = names.map((name) => name.replace(/^ROLE_/, ''));
    this.everything = plain.includes('TENANT_ADMIN');
    this.names = new Set(plain.flatMap((name) => ROLES[name] || [name]));
  }

  // Each of them.
  has(...names) {
    return this.everything || names.every((name) => this.names.has(name));
  }
}
