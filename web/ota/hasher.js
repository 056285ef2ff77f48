// SPDX-License-Identifier: Apache-2.0
// Copyright The Driveline authors

// A worker that reads a file and says its SHA-256, so that the page stays quick meanwhile.
import { Sha256 } from './sha256.js';

const REPORT_BYTES = 4 << 20;

async function digest(file) {
  const sum = new Sha256();
  let told = 0;
  for (const reader = file.stream().getReader();;) {
    const { done, value } = await reader.read();
    if (done) return sum.hex();
    sum.add(value);
    if (sum.length - told >= REPORT_BYTES) {
      told = sum.length;
      postMessage({ read: told });
    }
  }
}

addEventListener('message', ({ data }) => {
  digest(data).then((hex) => postMessage({ hex }), (error) => postMessage({ error: error.message }));
});
