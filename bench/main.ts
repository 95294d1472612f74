import { rmSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { courtesyRows } from './courtesy.js';
import { doneRows, sizeRows } from './done.js';
import { eventLoopRows } from './event-loop.js';
import { fleetRow } from './fleet.js';
import { type StoreName, work } from './measure.js';
import { narrowRows } from './narrow.js';
import { partRows } from './parts.js';
import { postgresRows } from './postgres.js';
import { printRows, type Row, writeResults } from './report.js';
import { scriptRows, shellRows } from './rivals.js';
import { servingRow } from './serving-row.js';
import { largeRows, startRows } from './start.js';
import { writerRows } from './writers.js';

/** Compares the command line with what people would run by hand. It measures; it never asserts. */

/** Measures on a store of so many audits, in so many rounds. */
type Measure = (store: StoreName, audits: number, rounds: number) => Promise<readonly Row[]>;

/** A part of the table. */
interface Part {
  readonly title: string;
  /** Option that adds it. Default: it is measured always. */
  readonly with?: 'large' | 'postgres';
  readonly measure: Measure;
  /** Whether it is measured once, not for each store. */
  readonly isOnce?: boolean;
}

const parts: Readonly<Record<string, Part>> = {
  shell: { title: 'Compared with the sqlite3 shell', measure: shellRows },
  script: { title: 'Compared with a script', measure: scriptRows },
  parts: { title: 'Derivation and verification alone', measure: partRows },
  writers: { title: 'Next to another writer', measure: writerRows },
  fleet: { title: 'Many stores', measure: fleetRow },
  start: { title: 'Nothing to do', measure: startRows },
  sizes: { title: 'By size', measure: sizeRows },
  down: { title: 'Reverted', measure: doneRows },
  serving: { title: 'An application that keeps serving', measure: servingRow },
  large: { title: '10,000,000 audits', with: 'large', measure: largeRows },
  postgres: { title: 'PostgreSQL', with: 'postgres', measure: postgresRows },
  narrow: {
    title: 'PostgreSQL, narrow rows',
    with: 'postgres',
    measure: (_, __, rounds) => narrowRows(rounds),
    isOnce: true,
  },
  courtesy: {
    title: 'PostgreSQL, next to pgbench',
    with: 'postgres',
    measure: (_, audits, rounds) => courtesyRows(audits, rounds),
    isOnce: true,
  },
  'event-loop': {
    title: 'The event loop, and signals',
    with: 'postgres',
    measure: (_, __, rounds) => eventLoopRows(rounds),
    isOnce: true,
  },
};

const { values: given } = parseArgs({
  options: {
    short: { type: 'boolean', default: false },
    large: { type: 'boolean', default: false },
    postgres: { type: 'boolean', default: false },
    /** Names of parts, with commas between them. */
    only: { type: 'string' },
    store: { type: 'string' },
    rounds: { type: 'string', default: '3' },
  },
});
const AUDITS = given.short ? 100_000 : 1_000_000;
const rounds = given.short ? 1 : Number(given.rounds);
const stores = (['bench', 'wide'] as const).filter((name) => (given.store ?? name) === name);
const group = given.large ? 'large' : given.postgres ? 'postgres' : undefined;
const names = given.only?.split(',') ?? Object.keys(parts).filter((name) => parts[name]?.with === group);
const unknown = names.filter((name) => !parts[name]);
if (unknown.length > 0 || stores.length === 0)
  throw new RangeError(
    `Expected --only to name some of ${Object.keys(parts).join(', ')}, and --store bench or wide`,
  );

const flags = process.argv.slice(2).join(' ');
const command = `npm run bench${flags === '' ? '' : ` -- ${flags}`}`;
for (const name of names) {
  const { title, measure, isOnce } = parts[name] as Part;
  const startedAt = performance.now();
  const rows: Row[] = [];
  if (isOnce) rows.push(...(await measure('bench', AUDITS, rounds)));
  else {
    const byStore: Row[][] = [];
    for (const store of stores)
      byStore.push((await measure(store, AUDITS, rounds)).map((row) => ({ ...row, store })));
    // The stores' rows of the same measurement follow each other.
    for (const i of Array.from({ length: Math.max(...byStore.map(({ length }) => length)) }).keys())
      rows.push(...byStore.flatMap((own) => own[i] ?? []));
  }
  printRows(title, rows);
  console.error(`${name}: ${Math.round((performance.now() - startedAt) / 1000)} s`);
  const how = `Measured on ${new Date().toISOString().slice(0, 10)} by \`${command}\``;
  if (!given.short) writeResults(name, title, how, rows, Object.keys(parts));
}
rmSync(work, { recursive: true, force: true });
