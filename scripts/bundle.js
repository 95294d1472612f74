import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { rolldown } from 'rolldown';

/** Compiled modules that stay files of their own: what package.json names, and what threads and processes begin with. All are found next to each other. */
export const ENTRIES = [
  ...['index', 'lint/index', 'report/index', 'testing/index', 'cli/bin'],
  ...[
    'testing/child',
    'fleet/worker',
    'migrate/background-thread',
    'migrate/call-process',
    'migrate/orphan-thread',
  ],
  ...[
    'engine/sqlite/trial-process',
    'engine/sqlite/companion-thread',
    'engine/sqlite/pass-thread',
    'engine/postgres/session-thread',
    'verify/scan-pass',
  ],
];

/** Modules that are in one file with all that they import, but for what is in an earlier one: a step file imports `api`, a command `cli`, and `core` to read a store. */
const GROUPS = { api: 'index', cli: 'cli/main', core: 'migrate/status' };

/** Licences that allow a copy within a package under the MIT licence, if their text and notices go with it. */
const ALLOWED = ['MIT', 'ISC', 'BSD-2-Clause', 'BSD-3-Clause', '0BSD', 'Apache-2.0'];

/**
 * Bundles the compiled modules into few files, since each that Node has to find takes a third of a millisecond, together with the packages that are
 * not installed with this one. Writes the licences of those.
 *
 * @param source folder of the compiled modules, `dist/src/`
 * @param target folder for the files; what is in it is removed
 * @param noticesFile path of the file for the name, version and licence of each package
 * @param dependencies packages that are installed with this one, or by its user
 * @throws {Error} if the licence of a package is not in `ALLOWED`, or its text is missing
 */
export async function bundle({ source, target, noticesFile, dependencies }) {
  rmSync(target, { recursive: true, force: true });
  const bundled = await rolldown({
    input: Object.fromEntries(ENTRIES.map((entry) => [entryName(entry), join(source, `${entry}.js`)])),
    platform: 'node',
    external: dependencies,
    onLog: (level, log, defaultHandler) => {
      if (log.code !== 'INEFFECTIVE_DYNAMIC_IMPORT') defaultHandler(level, log);
    },
  });
  const { output } = await bundled.write({
    dir: target,
    entryFileNames: '[name].js',
    chunkFileNames: '[name].js',
    comments: { jsdoc: false },
    codeSplitting: { groups: [{ name: groupOf(source), debugName: 'GROUPS' }] },
  });
  await bundled.close();
  const ids = output.flatMap(({ modules }) => Object.keys(modules));
  const folders = ids.map((id) => /^\0?(.*\/node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(id)?.[1]);
  const notices = [...new Set(folders)].filter((folder) => folder !== undefined).map(noticeOf);
  const head = 'This package contains code of the following packages, under these licences.\n';
  writeFileSync(noticesFile, [head, ...notices.sort()].join('\n'));
}

/** Returns the name of the file of an entry: that of the module, for an `index` that of its folder. */
export const entryName = (path) =>
  path
    .replace(/(?<=.)\/index$/, '')
    .split('/')
    .at(-1);

/** Returns the function that names the group of a module. */
function groupOf(source) {
  const reached = new Map();
  const reach = (id, graph, ids = new Set()) => {
    if (ids.has(id)) return ids;
    ids.add(id);
    for (const next of graph.getModuleInfo(id)?.importedIds ?? []) reach(next, graph, ids);
    return ids;
  };
  return (id, graph) => {
    for (const [name, start] of Object.entries(GROUPS)) {
      if (!reached.has(name)) reached.set(name, reach(join(source, `${start}.js`), graph));
      if (reached.get(name).has(id)) return name;
    }
    return null;
  };
}

function noticeOf(folder) {
  const { name, version, license } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  const files = readdirSync(folder).filter((file) => /^(?:licen[cs]e|notice)(?:\.\w+)?$/i.test(file));
  if (!ALLOWED.includes(license) || !files.some((file) => /^l/i.test(file)))
    throw new Error(`${name} cannot be bundled: its licence is ${license}, its files are ${files.join()}`);
  const texts = files.map((file) => readFileSync(join(folder, file), 'utf8').trim());
  return [`--- ${name} ${version} (${license})`, ...texts, ''].join('\n\n');
}
