import { cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { generateStore } from '../../../demo/store-generator.js';
import { root, spawnCli } from '../cli.js';
import { killedAt, type Point } from '../failpoints.js';
import { withFolder } from '../stores.js';

// Stores as a life has left them, at several of its stages, with their WAL or journal: what is changed at random is then read deeply.

/** The files of a store, by the end of their names. */
export type Image = Readonly<Record<'' | '-wal' | '-journal', Buffer | undefined>>;

export interface Stage {
  readonly name: string;
  readonly image: Image;
}

const url = (path: string): string => JSON.stringify(new URL(path, `file://${root}`).href);

/** The project: the steps of AgentOS, one of a table with text keys, one whose values a function derives. */
export function makeProject(folder: string): void {
  mkdirSync(join(folder, 'steps'));
  const api = url('dist/src/index.js');
  const files = {
    'umzug-backfill.config.mjs': `import { defineConfig } from ${api};
export default defineConfig({ database: { path: 'store.db', env: 'AGENTOS_DB_PATH' }, steps: ['steps'],
  requires: { tables: { task_audits: ['audit_id', 'event_type', 'payload', 'created_at'] },
    version: { table: 'schema_version', column: 'version', atLeast: '0.20.0' } } });\n`,
    'steps/1-columns.mjs': `export { default } from ${url('dist/migrations/v021-1-decision-columns.js')};\n`,
    'steps/2-fields.mjs': `export { default } from ${url('dist/backfills/v021-2-decision-fields.js')};\n`,
    'steps/3-items.mjs': `import { defineSchemaStep } from ${api};
export default defineSchemaStep({ table: 'items', columns: { upper: 'TEXT', size: 'INTEGER' } });\n`,
    'steps/4-upper.mjs': `import { defineBackfill, sql } from ${api};
export default defineBackfill({ table: 'items', key: 'id', columns: { upper: sql('upper(name)') }, checks: { groupBy: 'kind' } });\n`,
    'steps/5-size.mjs': `import { defineBackfill } from ${api};
export default defineBackfill({ table: 'items', key: 'id', columns: ['size'], reads: ['name'], processVersion: 1,
  process: (rows) => rows.map(({ name }) => ({ size: String(name).length })) });\n`,
  };
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
}

function makeStore(path: string, journalMode: 'wal' | 'delete'): void {
  generateStore({ path, audits: 30, journalMode: 'delete', rareShare: 0.2 });
  const db = new Database(path);
  db.exec(`CREATE TABLE items (id TEXT PRIMARY KEY, kind TEXT, name TEXT);
    CREATE INDEX items_by_kind ON items (kind) WHERE kind IS NOT NULL;
    CREATE VIEW kinds AS SELECT kind, count(*) AS items FROM items GROUP BY kind;
    CREATE TRIGGER items_kept BEFORE DELETE ON items BEGIN SELECT RAISE(ABORT, 'kept'); END;`);
  const insert = db.prepare('INSERT INTO items VALUES (?, ?, ?)');
  for (let i = 0; i < 24; i += 1)
    insert.run(`item-${String(i).padStart(3, '0')}`, `kind ${i % 3}`, `name ${i}`);
  db.pragma('page_size = 1024');
  db.exec('VACUUM');
  db.pragma(`journal_mode = ${journalMode}`);
  db.close();
}

const read = (path: string): Buffer | undefined => (existsSync(path) ? readFileSync(path) : undefined);

export const imageOf = (path: string): Image => ({
  '': read(path),
  '-wal': read(`${path}-wal`),
  '-journal': read(`${path}-journal`),
});

export function putImage(image: Image, path: string): void {
  for (const [end, bytes] of Object.entries(image)) if (bytes) writeFileSync(path + end, bytes);
}

const UP = ['up', '--no-backup', '--batch-size', '5', '--pace', 'full'];

/** Ways to a stage: commands, the last of which may be killed. */
const WAYS: Readonly<
  Record<
    string,
    { readonly run?: readonly (readonly string[])[]; readonly killed?: readonly [readonly string[], Point] }
  >
> = {
  v20: {},
  'half of the schema step': { killed: [UP, { at: 'commit', nth: 3 }] },
  'half filled': { killed: [UP, { at: 'statement', detail: 'INSERT INTO umzug_backfill_cells', nth: 4 }] },
  'filled, not verified': {
    killed: [UP, { at: 'statement', detail: 'INSERT INTO umzug_backfill_verifications' }],
  },
  verified: { run: [UP] },
  'filled again': { run: [UP, ['backfill', '2-fields', '--rescan', '--no-backup']] },
  'half taken back': {
    run: [UP],
    killed: [
      ['down', '--to', '0', '--yes', '--no-backup'],
      { at: 'statement', detail: 'DELETE FROM umzug_backfill_cells', nth: 3 },
    ],
  },
};

/** Makes a store at each stage, in both kinds of journal. */
export const makeStages = (): Promise<Stage[]> =>
  withFolder(async (folder) => {
    makeProject(folder);
    const stages: Stage[] = [];
    for (const mode of ['wal', 'delete'] as const) {
      for (const [name, { run = [], killed }] of Object.entries(WAYS)) {
        const path = join(folder, `${mode}-${name.replaceAll(/\W/g, '-')}.db`);
        makeStore(path, mode);
        const of = (args: readonly string[]): string[] => [
          ...args,
          '--db-path',
          path,
          '--log-level',
          'silent',
        ];
        for (const args of run) {
          const { code, stdout, stderr } = await spawnCli(of(args), { cwd: folder });
          if (code !== 0 && code !== 5)
            throw new Error(`${args.join(' ')} ended with ${code}\n${stdout}${stderr}`);
        }
        if (killed) await killedAt(of(killed[0]), killed[1], { cwd: folder });
        stages.push({ name: `${name}, ${mode}`, image: imageOf(path) });
      }
    }
    return stages;
  });

/** The same store in one file, without a WAL and without a journal that is hot. */
export const settled = (image: Image): Promise<Image> =>
  withFolder((folder) => {
    const path = join(folder, 'store.db');
    putImage(image, path);
    const db = new Database(path);
    db.pragma('journal_mode = DELETE');
    db.close();
    cpSync(path, `${path}.copy`);
    return { '': readFileSync(`${path}.copy`), '-wal': undefined, '-journal': undefined };
  });

/** The bytes of a lock's file as a run has left it. */
export const makeLock = (): Promise<Buffer> =>
  withFolder(async (folder) => {
    makeProject(folder);
    const path = join(folder, 'store.db');
    makeStore(path, 'wal');
    await spawnCli([...UP, '--db-path', path], { cwd: folder });
    return readFileSync(`${path}.lock`);
  });
