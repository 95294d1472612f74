import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import Database from 'better-sqlite3';
import { root } from './cli.js';

// A project in which every name would mean something in SQL, in a shell, in a pattern or in a path.

const api = JSON.stringify(pathToFileURL(join(root, 'dist/src/index.js')).href);

export const TABLE = `ev"e'n;ts( -- $& \`x\` [y] $(touch pwned) ☃`;
const KEY = `i"d; --`;
export const KIND = `kind\n.shell touch pwned\nDROP TABLE bystander; --`;
const BODY = `bo'dy "x"`;
const FALLBACK = 'created ]at';
export const COLUMNS = [`ordered"at'; DROP TABLE bystander; --`, '..'] as const;
const INDEX = `idx"'; DROP TABLE bystander; --\n.shell touch pwned\n`;
/** Of one column of the two: the other index serves every query better. */
const LESSER_INDEX = `lesser (" $& [`;
const MEMBERS = [`it's; --`, 'a.b[0]', '$', '*'] as const;

/** What steps are named, in their order. */
export const [SCHEMA, BACKFILL, VIEW] = [
  '..',
  `.0'; DROP TABLE bystander; -- "$(touch pwned)" ; touch pwned #`,
  `001 $(touch pwned) ☃ --yes`,
] as const;

/** A name as SQL has it. */
export const name = (text: string): string => `"${text.replaceAll('"', '""')}"`;
const code = JSON.stringify;

const QUERY = `SELECT 1 FROM ${name(TABLE)} WHERE ${COLUMNS.map((column) => `${name(column)} = '2026'`).join(' AND ')}`;

/** The code of each step, by its name. */
export const steps: Readonly<Record<string, string>> = {
  [SCHEMA]: `defineSchemaStep({
    table: ${code(TABLE)},
    columns: { ${COLUMNS.map((column) => `${code(column)}: 'TEXT'`).join(', ')} },
    indexes: { ${code(INDEX)}: { columns: ${code(COLUMNS)} }, ${code(LESSER_INDEX)}: { columns: ['..'] } },
  })`,
  [BACKFILL]: `defineBackfill({
    table: ${code(TABLE)}, key: ${code(KEY)}, scope: ${code(`${name(KIND)} = 'it''s; --'`)},
    columns: {
      ${code(COLUMNS[0])}: firstOf(${code(BODY)}, ${code(MEMBERS)}, ${code(FALLBACK)}),
      ${code(COLUMNS[1])}: firstOf(${code(BODY)}, ['ts'], ${code(FALLBACK)}),
    },
    checks: {
      groupBy: ${code(KIND)}, timestamps: true, lag: { from: ${code(COLUMNS[0])}, to: '..' },
      indexes: ${code([INDEX, LESSER_INDEX])}.map((index) => ({ index, query: ${code(QUERY)} })),
    },
  })`,
  [VIEW]: `defineSqlStep({ up: [${code(`CREATE VIEW ${name(`v'"; --`)} AS SELECT 1`)}], down: [${code(`DROP VIEW ${name(`v'"; --`)}`)}] })`,
};

/** What every row of the store is to hold, sorted. */
export const FILLED = [
  [null, null],
  [null, null],
  ['2026-01-02', '2026-01-03'],
  ['2026-01-04', '2026-01-01'],
  ['2026-01-06', '2026-01-01'],
];

/** Writes the config. */
export function writeConfig(project: string, requires: object = {}): void {
  writeFileSync(
    join(project, 'umzug-backfill.config.js'),
    `import { defineConfig } from ${api};
    export default defineConfig({ database: { path: 'shop.db' }, steps: ['steps'], requires: ${code(requires)} });`,
  );
}

/** Makes the project with its store, `shop.db`. */
export function makeHostileProject(project: string): void {
  mkdirSync(join(project, 'steps'), { recursive: true });
  writeFileSync(join(project, 'package.json'), '{ "type": "module" }');
  writeConfig(project);
  for (const [step, text] of Object.entries(steps)) {
    writeFileSync(
      join(project, 'steps', `${step}.js`),
      `import { defineBackfill, defineSchemaStep, defineSqlStep, firstOf } from ${api};\nexport default ${text};`,
    );
  }
  const db = new Database(join(project, 'shop.db'));
  db.exec(`CREATE TABLE bystander (x); INSERT INTO bystander VALUES (1);
    CREATE TABLE ${name(TABLE)} (${name(KEY)} INTEGER PRIMARY KEY, ${[KIND, BODY, FALLBACK].map((column) => `${name(column)} TEXT`).join(', ')})`);
  const insert = db.prepare(`INSERT INTO ${name(TABLE)} VALUES (NULL, ?, ?, '2026-01-01')`);
  for (const body of [
    { [MEMBERS[0]]: '2026-01-02', ts: '2026-01-03' },
    { [MEMBERS[1]]: '2026-01-04' },
    { a: { b: ['2026-01-05'] }, $: '2026-01-06' },
  ])
    insert.run(`it's; --`, JSON.stringify(body));
  insert.run('other', '{"$":"2026"}');
  insert.run(`it's; --`, '{');
  db.close();
}
