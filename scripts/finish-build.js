import { chmodSync, readFileSync, rmSync } from 'node:fs';
import { basename, dirname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { rolldown } from 'rolldown';
import { dts } from 'rolldown-plugin-dts';
import { bundle, ENTRIES, entryName } from './bundle.js';

// What follows the compiler: modules and the declarations that users get are bundled. The declarations are of what the entries of
// package.json's `exports` name, and of nothing behind it: a module's own declarations name types of Node and better-sqlite3,
// which a user's project need not have. What one entry takes of another it imports from there: a type stands once.

const root = fileURLToPath(new URL('../', import.meta.url));
const manifest = JSON.parse(readFileSync(`${root}package.json`, 'utf8'));

await bundle({
  source: `${root}dist/src/`,
  target: `${root}dist/lib/`,
  noticesFile: `${root}dist/THIRD-PARTY-NOTICES.txt`,
  dependencies: Object.keys({ ...manifest.dependencies, ...manifest.peerDependencies }),
});
for (const file of [...Object.values(manifest.bin), 'dist/src/cli/bin.js']) chmodSync(root + file, 0o755);

rmSync(`${root}dist/types`, { recursive: true, force: true });
const entries = Object.values(manifest.exports).filter(({ types }) => types !== undefined);
const sources = new Map(ENTRIES.map((entry) => [entryName(entry), resolve(root, `dist/src/${entry}`)]));
const sourceOf = (entry) => sources.get(basename(entry.types, '.d.ts'));
for (const entry of entries) {
  const others = entries.filter((other) => other !== entry);
  const declarations = await rolldown({
    input: `${sourceOf(entry)}.d.ts`,
    plugins: [
      {
        name: 'other-entries',
        resolveId(source, importer = root) {
          const other = others.find((each) => `${sourceOf(each)}.js` === resolve(dirname(importer), source));
          return other && { id: `./${basename(other.types, '.d.ts')}.js`, external: true };
        },
      },
      dts({ dtsInput: true, sourcemap: false }),
    ],
  });
  await declarations.write({ dir: dirname(root + entry.types), entryFileNames: basename(entry.types) });
  await declarations.close();
}
