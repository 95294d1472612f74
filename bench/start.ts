import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { dropStore, freshStore, root, type StoreName, type Taken, time, up, work } from './measure.js';
import { compared, memory, type Row } from './report.js';

/** Commands that find nothing to do, in a project that has the package installed: in the repository, it would be loaded twice. */

const ROUNDS = 15;

let project: string | undefined;

/** Makes a project with the steps of this one, once. */
function makeProject(): string {
  project = join(work, 'project');
  rmSync(project, { recursive: true, force: true });
  mkdirSync(project, { recursive: true });
  const read = (file: string): string => readFileSync(join(root, file), 'utf8');
  for (const folder of ['.', 'migrations', 'backfills']) {
    mkdirSync(join(project, folder), { recursive: true });
    for (const file of readdirSync(join(root, 'dist', folder)).filter((name) => name.endsWith('.js'))) {
      const text = read(join('dist', folder, file));
      writeFileSync(
        join(project, folder, file),
        text.replace(/'\.{1,2}\/src\/index\.js'/, `'umzug-backfill'`),
      );
    }
  }
  writeFileSync(join(project, 'package.json'), '{ "name": "project", "private": true, "type": "module" }');
  // The dependencies are those of the repository, already built: npm finds that they are what the package asks for.
  const lock = JSON.parse(read('package-lock.json')) as { packages: Record<string, Record<string, unknown>> };
  for (const [path, { dev, devOptional }] of Object.entries(lock.packages))
    if (path !== '' && !dev && !devOptional)
      cpSync(join(root, path), join(project, path), {
        recursive: true,
        filter: (file) => !file.slice(join(root, path).length).includes('node_modules'), // listed by itself
      });
  const pack = ['pack', '--ignore-scripts', '--silent', '--pack-destination', project];
  const tarball = execFileSync('npm', pack, { cwd: root, encoding: 'utf8' }).trim();
  const install = ['install', '--offline', '--ignore-scripts', '--no-audit', '--no-fund', `./${tarball}`];
  execFileSync('npm', install, { cwd: project, stdio: ['ignore', 'ignore', 'inherit'] });
  return project;
}

/** Returns the run with the least processor time, or time where that is unknown: what disturbs such short runs only adds. */
const best = (runs: readonly Taken[]): Taken =>
  runs.reduce((a, b) => ((b.cpu || b.seconds) < (a.cpu || a.seconds) ? b : a));

async function idleRows(store: string, audits: number): Promise<Row[]> {
  const cwd = project ?? makeProject();
  const command = (...args: readonly string[]) => [
    join(cwd, 'node_modules/umzug-backfill/dist/lib/bin.js'),
    ...args,
    '--db-path',
    store,
  ];
  const acts = {
    node: ['-e', '0'],
    imports: ['--input-type=module', '-e', `import 'umzug'; import 'better-sqlite3';`],
    status: command('status'),
    up: command('up', '--no-backup', '--log-level', 'warn'),
  };
  const runs: Record<keyof typeof acts, Taken[]> = { node: [], imports: [], status: [], up: [] };
  for (let round = 0; round < ROUNDS; round += 1)
    for (const name of Object.keys(acts) as (keyof typeof acts)[])
      runs[name].push(await time(process.execPath, acts[name], { cwd }));
  const size = `${audits.toLocaleString('en-US')} audits`;
  return [
    compared(`\`status\`, ${size}, against \`node -e 0\``, best(runs.status), best(runs.node), { time: 2.5 }),
    compared(
      `\`up\`, nothing pending, ${size}, against importing umzug and better-sqlite3`,
      best(runs.up),
      best(runs.imports),
      { cpu: 1.2 },
    ),
  ];
}

/** Measures `status` and `up` on stores on which nothing is pending. */
export async function startRows(store: StoreName, audits: number): Promise<Row[]> {
  const rows: Row[] = [];
  for (const size of [1000, audits]) {
    const path = freshStore({ audits: size, store });
    await up(path);
    rows.push(...(await idleRows(path, size)));
    dropStore(path);
  }
  return rows;
}

/** Measures a store of ten times the size. */
export async function largeRows(store: StoreName, audits: number): Promise<Row[]> {
  const [small, large] = [freshStore({ audits, store }), 10 * audits];
  const base = await up(small);
  dropStore(small);
  const path = freshStore({ audits: large, store });
  const run = await up(path);
  const tenTimes = { seconds: 10 * base.seconds, cpu: 10 * base.cpu };
  const size = large.toLocaleString('en-US');
  const rows = [
    compared(
      `\`up\`, ${size} audits, against ten times that of ${audits.toLocaleString('en-US')}`,
      run,
      tenTimes,
      { time: 1.18 },
    ),
    memory(`peak memory of \`up\`, ${size} audits`, run.peakMib, 150),
    ...(await idleRows(path, large)),
  ];
  dropStore(path);
  return rows;
}
