// SPDX-License-Identifier: Apache-2.0
// Copyright The Driveline authors

// Where the update server's page is: on another port of the same machine.
import { get } from '/net.js';

let asked = null;

// Its address with the last '/', or '' if nobody knows.
export function updatesPage() {
  asked ||= get('site').then(({ updates }) => updates ? place(updates) : '', () => '');
  return asked;
}

// A server that listens on every address is reached by the name by which we were reached.
function place(address) {
  const wild = /^(0\.0\.0\.0|\[::\])(?=:)/;
  return `http://${address.replace(wild, location.hostname)}/ui/`;
}
