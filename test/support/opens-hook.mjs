import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { basename, dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

// Loaded by `node --import` before the command line, in tests alone: appends to the file that UMZUG_BACKFILL_OPENS names every
// path that this process opens by `fs`, one a line, absolute and with links resolved. Processes that it starts are not
// listened to: what they open and close drops none of this one's locks.

delete process.env.NODE_OPTIONS;
const { appendFileSync, realpathSync } = fs;
const record = process.env.UMZUG_BACKFILL_OPENS;
let isRecording = false;

/** A file that is about to be made has no real path, but its folder has. */
function realPath(path) {
  const absolute = resolve(path instanceof URL ? fileURLToPath(path) : String(path));
  try {
    return realpathSync(absolute);
  } catch {
    return join(realpathSync(dirname(absolute)), basename(absolute));
  }
}

function note(paths) {
  if (isRecording) return; // appending opens, too
  isRecording = true;
  for (const path of paths) {
    const isPath = typeof path === 'string' || Buffer.isBuffer(path) || path instanceof URL;
    if (isPath) appendFileSync(record, `${realPath(path)}\n`);
  }
  isRecording = false;
}

/** How many of the first arguments are paths, of everything in `fs` that opens. */
const OPENING = Object.entries({
  open: 1,
  readFile: 1,
  writeFile: 1,
  appendFile: 1,
  truncate: 1,
  copyFile: 2,
  cp: 2,
});
OPENING.push(...OPENING.map(([name, paths]) => [`${name}Sync`, paths]));
OPENING.push(...['createReadStream', 'createWriteStream', 'openAsBlob'].map((name) => [name, 1]));

for (const module of [fs, fs.promises]) {
  for (const [name, paths] of OPENING) {
    const original = module[name];
    if (original === undefined) continue;
    module[name] = (...args) => {
      note(args.slice(0, paths));
      return original(...args);
    };
  }
}
syncBuiltinESMExports();
