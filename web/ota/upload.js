// SPDX-License-Identifier: Apache-2.0
// Copyright The Driveline authors

// Files on their way to a module: checksum, then the upload with progress, rate and time left.
import { h, setText } from './dom.js';
import { bytes, duration } from './format.js';
import { address, refusal, session } from './api.js';

// The one script address that the page makes itself; the policy of trusted types knows it by name.
const policy = window.trustedTypes?.createPolicy('hasher', { createScriptURL: () => new URL('./hasher.js', import.meta.url).href });
const hasherAddress = () => policy ? policy.createScriptURL('') : new URL('./hasher.js', import.meta.url).href;
const RATE_MS = 3000; // the rate is that of the last seconds

function sha256(file, signal, onRead) {
  return new Promise((resolve, reject) => {
    const worker = new Worker(hasherAddress(), { type: 'module' });
    const end = (run, value) => {
      worker.terminate();
      run(value);
    };
    signal.addEventListener('abort', () => end(reject, new Error('Cancelled.')));
    worker.onerror = () => end(reject, new Error('The file’s checksum cannot be computed.'));
    worker.onmessage = ({ data }) => data.hex ? end(resolve, data.hex) : data.error ? end(reject, new Error(`The file cannot be read: ${data.error}`)) : onRead(data.read);
    worker.postMessage(file);
  });
}

// XMLHttpRequest because only it tells how much went out.
function send(module, file, sha, signal, onSent) {
  return new Promise((resolve, reject) => {
    const x = new XMLHttpRequest();
    const form = new FormData();
    form.set('file', file, file.name);
    x.open('POST', address(`softwaremodules/${module}/artifacts`, { filename: file.name, sha256sum: sha }));
    x.setRequestHeader('Authorization', session.header);
    x.setRequestHeader('Accept', 'application/json');
    x.upload.onprogress = (event) => onSent(event.loaded, event.total);
    x.onload = () => x.status === 201 ? resolve(JSON.parse(x.responseText)) : reject(refusal(x.status, x.responseText));
    x.onerror = () => reject(new Error('The server cut the connection: it was stopped, or the file is larger than it takes.'));
    x.onabort = () => reject(new Error('Cancelled.'));
    signal.addEventListener('abort', () => x.abort());
    x.send(form);
  });
}

class Rate {
  constructor() {
    this.marks = [];
  }

  // Bytes a second over the last moments.
  add(sent) {
    const now = performance.now();
    this.marks.push([now, sent]);
    while (this.marks.length > 2 && now - this.marks[0][0] > RATE_MS) this.marks.shift();
    const [at, from] = this.marks[0];
    return now > at ? (sent - from) / (now - at) * 1000 : 0;
  }
}

// One file: its line with the bar, and the work.
class Upload {
  constructor(module, file, onDone) {
    Object.assign(this, { module, file, onDone, stop: new AbortController(), rate: new Rate(), seen: [] });
    this.bar = h('progress', { max: 1, value: 0, 'aria-label': `Upload of ${file.name}` });
    this.text = h('span', { class: 'note', role: 'status' });
    this.button = h('button', { type: 'button', class: 'quiet', onclick: () => this.leave() }, 'Cancel');
    this.node = h('li', { class: 'upload' }, h('b', {}, file.name), this.button, this.bar, this.text);
  }

  leave() {
    if (this.over) this.node.remove();
    this.stop.abort();
  }

  async run() {
    const { file, stop } = this;
    try {
      if (!file.size) throw new Error('The file is empty.');
      await session.check(); // a log-in that ended is told before the bytes go
      setText(this.text, 'Checksum…');
      const sha = await sha256(file, stop.signal, (read) => this.draw('Checksum', read, file.size));
      this.rate = new Rate();
      this.seen = [];
      const artifact = await send(this.module, file, sha, stop.signal, (sent, total) => this.draw('Sent', sent, total));
      if (artifact.hashes.sha256 !== sha) throw new Error('The server stored something else: its SHA-256 differs.');
      this.end('ok', `Stored, ${bytes(file.size)}, SHA-256 ${sha.slice(0, 12)}… checked by the server.`);
      await this.onDone();
    } catch (error) {
      this.end('bad', error.message);
    }
  }

  draw(what, done, total) {
    const rate = this.rate.add(done);
    this.seen.push(done / total);
    this.bar.value = done / total;
    const left = rate > 0 ? `, ${bytes(Math.round(rate))}/s, ${duration((total - done) / rate * 1000)} left` : '';
    setText(this.text, done >= total && what === 'Sent' ? 'Sent; the server checks and stores it…' : `${what} ${bytes(done)} of ${bytes(total)}${left}`);
  }

  end(state, text) {
    this.over = true;
    this.node.dataset.state = state;
    this.bar.hidden = true;
    setText(this.text, text);
    setText(this.button, 'Remove from this list');
  }
}

// A place to drop files on, with a button for those who can't.
export class UploadArea {
  constructor(module, onDone) {
    Object.assign(this, { module, onDone, uploads: [] });
    this.list = h('ul', { class: 'items' });
    const input = h('input', { type: 'file', multiple: true, class: 'sr', id: 'upload-file', onchange: () => {
      this.take(input.files);
      input.value = '';
    } });
    this.area = h('div', { class: 'drop' }, input, h('label', { for: 'upload-file', class: 'button' }, 'Choose files'), h('span', { class: 'note' }, 'or drop them here'));
    for (const name of ['dragenter', 'dragover']) this.area.addEventListener(name, (event) => this.over(event, true));
    for (const name of ['dragleave', 'drop']) this.area.addEventListener(name, (event) => this.over(event, false));
    this.area.addEventListener('drop', (event) => this.take(event.dataTransfer.files));
    this.locked = h('p', { class: 'note', hidden: true }, 'It is locked: unlock it to add files.');
    this.node = h('div', {}, this.area, this.locked, this.list);
  }

  lock(on) {
    this.area.hidden = on;
    this.locked.hidden = !on;
  }

  over(event, on) {
    event.preventDefault();
    this.area.classList.toggle('over', on);
  }

  // One after the other: they would only share the way.
  async take(files) {
    const uploads = [...files].map((file) => new Upload(this.module, file, this.onDone));
    this.uploads.push(...uploads);
    this.list.append(...uploads.map((u) => u.node));
    for (const upload of uploads) if (!upload.stop.signal.aborted) await upload.run();
  }

  close() {
    for (const upload of this.uploads) if (!upload.over) upload.stop.abort();
  }
}
