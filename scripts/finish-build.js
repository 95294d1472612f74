import { chmodSync, readFileSync, rmSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { rolldown } from 'rolldown';
import { dts } from 'rolldown-plugin-dts';

// What follows the compiler: the bin can be run, and the declarations that users get are bundled. These are of what the entries of
// package.json's `exports` name, and of nothing behind it: a module's own declarations name types of Node and better-sqlite3,
// which a user's project need not have.

const root = fileURLToPath(new URL('../', import.meta.url));
const { bin, exports } = JSON.parse(readFileSync(`${root}package.json`, 'utf8'));

for (const file of Object.values(bin)) chmodSync(root + file, 0o755);

rmSync(`${root}dist/types`, { recursive: true, force: true });
for (const entry of Object.values(exports).filter(({ types }) => types !== undefined)) {
  const bundle = await rolldown({
    input: root + entry.default.replace(/\.js$/, '.d.ts'),
    plugins: [dts({ dtsInput: true, sourcemap: false })],
  });
  await bundle.write({ dir: dirname(root + entry.types), entryFileNames: basename(entry.types) });
  await bundle.close();
}
