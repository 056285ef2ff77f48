// SPDX-License-Identifier: Apache-2.0
// Copyright The Driveline authors

// One software module: its files, with upload and download, and its lock.
import { h, fill, badge, setText } from './dom.js';
import { bytes, stamp } from './format.js';
import { download, get, may, part, put, remove } from './api.js';
import { action, ask, confirmed, say } from './form.js';
import { Section, facts } from './target.js';
import { UploadArea } from './upload.js';

// Hands a file to the browser's downloads. The log-in is a header, so a plain link would not do.
function keep(blob, name) {
  const link = h('a', { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

export class ModulePane {
  constructor(id, page) {
    Object.assign(this, { id, page, path: `softwaremodules/${part(id)}` });
  }

  async open(side) {
    this.state = h('span');
    this.buttons = h('div', { class: 'buttons pad' });
    this.about = new Section('About', (m) => facts([['Type', m.typeName], ['Vendor', m.vendor], ['Description', m.description],
      ['Created', `${stamp(m.createdAt)} by ${m.createdBy}`], ['Changed', `${stamp(m.lastModifiedAt)} by ${m.lastModifiedBy}`]]));
    this.files = new Section('Artifacts', (list) => this.artifacts(list));
    this.area = may('CREATE_SOFTWARE_MODULE') ? new UploadArea(this.id, () => this.load()) : null;
    this.heading = h('span');
    await this.load();
    fill(side, h('section', { class: 'card' }, this.page.paneHead(this.heading, this.state), this.buttons, this.about.node, this.files.node,
      this.area ? h('div', { class: 'part' }, this.area.node) : null));
  }

  close() {
    this.area?.close();
  }

  refresh() {
    return this.load();
  }

  async load() {
    const [module, artifacts] = await Promise.all([get(this.path), get(`${this.path}/artifacts`, { representation: 'full' })]);
    this.module = module;
    setText(this.heading, `${module.name} ${module.version}`);
    this.about.show(module);
    this.files.show({ artifacts, locked: module.locked });
    if (this.area) this.area.lock(module.locked);
    if (this.drawnLock === module.locked) return;
    this.drawnLock = module.locked;
    fill(this.state, module.locked ? badge('locked') : null, module.deleted ? badge('deleted') : null);
    fill(this.buttons, may('UPDATE_SOFTWARE_MODULE') ? [action(module.locked ? 'Unlock' : 'Lock', () => this.lock()), action('Edit', () => this.edit())] : null,
      may('DELETE_SOFTWARE_MODULE') ? action('Delete', () => this.remove()) : null);
  }

  artifacts({ artifacts, locked }) {
    if (!artifacts.length) return h('p', { class: 'note' }, 'No file so far.');
    return h('ul', { class: 'items' }, artifacts.map((a) => h('li', { class: 'artifact' }, h('b', {}, a.providedFilename), h('span', { class: 'note' }, ` ${bytes(a.size)} · ${stamp(a.createdAt)}`),
      h('div', { class: 'buttons' }, may('READ_SOFTWARE_MODULE_ARTIFACT') && a._links.download ? this.downloadButton(a) : null,
        may('DELETE_SOFTWARE_MODULE') && !locked ? action('Delete', () => this.removeArtifact(a), { kind: 'quiet' }) : null),
      h('details', {}, h('summary', {}, 'Checksums'), facts([['SHA-256', h('code', { class: 'hash' }, a.hashes.sha256)], ['SHA-1', h('code', { class: 'hash' }, a.hashes.sha1)],
        ['MD5', h('code', { class: 'hash' }, a.hashes.md5)]])))));
  }

  downloadButton(a) {
    const button = action('Download', async () => {
      const blob = await download(`${this.path}/artifacts/${a.id}/download`, (share) => setText(button, `${Math.round(share * 100)} %`));
      setText(button, 'Download');
      keep(blob, a.providedFilename);
    }, { kind: 'quiet' });
    return button;
  }

  async removeArtifact(a) {
    await confirmed(`Delete ${a.providedFilename}?`, 'Devices that are still to download it will fail.', 'Delete', () => remove(`${this.path}/artifacts/${a.id}`));
    await this.load();
  }

  async lock() {
    await put(this.path, { locked: !this.module.locked });
    await this.page.refresh();
  }

  async edit() {
    const m = this.module;
    await ask({ title: `Edit ${m.name} ${m.version}`, specs: [{ name: 'vendor', label: 'Vendor', max: 256, value: m.vendor },
      { name: 'description', label: 'Description', type: 'area', max: 512, value: m.description }], onSubmit: (v) => put(this.path, v) });
    await this.page.refresh();
  }

  async remove() {
    const m = this.module;
    if (!await confirmed(`Delete ${m.name} ${m.version}?`, 'If a distribution set has it, it is only hidden and its files can no longer be downloaded here.', 'Delete', () => remove(this.path))) return;
    say('Deleted.');
    location.hash = this.page.link('');
  }
}
