import { chmodSync, readFileSync, rmSync } from 'node:fs';
import { basename, dirname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { rolldown } from 'rolldown';
import { dts } from 'rolldown-plugin-dts';

// What follows the compiler: the bin can be run, and the declarations that users get are bundled. These are of what the entries of
// package.json's `exports` name, and of nothing behind it: a module's own declarations name types of Node and better-sqlite3,
// which a user's project need not have. What one entry takes of another it imports from there: a type stands once.

const root = fileURLToPath(new URL('../', import.meta.url));
const { bin, exports } = JSON.parse(readFileSync(`${root}package.json`, 'utf8'));

for (const file of Object.values(bin)) chmodSync(root + file, 0o755);

rmSync(`${root}dist/types`, { recursive: true, force: true });
const entries = Object.values(exports).filter(({ types }) => types !== undefined);
const sourceOf = (entry) => resolve(root, entry.default);
for (const entry of entries) {
  const others = entries.filter((other) => other !== entry);
  const bundle = await rolldown({
    input: sourceOf(entry).replace(/\.js$/, '.d.ts'),
    plugins: [
      {
        name: 'other-entries',
        resolveId(source, importer = root) {
          const other = others.find((each) => sourceOf(each) === resolve(dirname(importer), source));
          return other && { id: `./${basename(other.types, '.d.ts')}.js`, external: true };
        },
      },
      dts({ dtsInput: true, sourcemap: false }),
    ],
  });
  await bundle.write({ dir: dirname(root + entry.types), entryFileNames: basename(entry.types) });
  await bundle.close();
}
