import { lstatSync, mkdirSync, readdirSync, statSync, symlinkSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { expect } from 'chai';
import { before, describe, it } from 'mocha';
import { bin, runCommand, snapshotFiles, startScript, useFolder } from '../support/cli.js';
import { copiesOf } from '../support/copies.js';
import { isLong } from '../support/crash.js';
import { killedAt } from '../support/failpoints.js';
import {
  cellsOf,
  type Form,
  makeForm,
  oracleCells,
  REWRITE,
  SPILL,
  straceTrouble,
  theirs,
} from '../support/forms.js';
import { on, WRITER } from '../support/on-store.js';

type Theirs = ReturnType<typeof theirs>;

// Every command, undisturbed and killed, on stores of every form that SQLite's files have.

/** A form, and where and in what state its store is found. */
interface Case extends Form {
  readonly title: string;
  /** Path of the store inside a folder of the case's own. */
  readonly file?: string;
  /** A name for the store elsewhere, by which the commands are given it. */
  readonly link?: string;
  /** A writer that is killed before the first command, and what it was doing. */
  readonly killed?: readonly [script: string, ...args: string[]];
}

const ODD_PATH = `it's 100% "odd"; touch pwned #1/store ?mode=ro&x=%41#b\\ü.db`;

// Every page size, journal, way to be left behind and kind of path once; and every two of journal (WAL or not), encoding and
// auto_vacuum together. UMZUG_BACKFILL_CRASH=long adds every page size in the other kind of journal.
const short: readonly Case[] = [
  {
    title: 'pages of 512 bytes',
    pageBytes: 512,
    journalMode: 'delete',
    encoding: 'UTF-16le',
    autoVacuum: 'full',
  },
  {
    title: 'pages of 1,024 bytes, references that lead nowhere',
    pageBytes: 1024,
    journalMode: 'wal',
    autoVacuum: 'full',
    isViolated: true,
  },
  {
    title: 'pages of 2,048 bytes, references that lead nowhere',
    pageBytes: 2048,
    journalMode: 'delete',
    autoVacuum: 'incremental',
    isViolated: true,
  },
  {
    title: 'a link with signs that mean something elsewhere to a path with such',
    journalMode: 'wal',
    file: ODD_PATH,
    link: `a 'link' #?%20.db`,
  },
  {
    title: 'pages of 8,192 bytes, a journal that TRUNCATE has left',
    pageBytes: 8192,
    journalMode: 'truncate',
    encoding: 'UTF-16be',
  },
  {
    title: 'pages of 16,384 bytes, a journal that PERSIST has left',
    pageBytes: 16384,
    journalMode: 'persist',
    encoding: 'UTF-16be',
    autoVacuum: 'full',
  },
  {
    title: 'pages of 32,768 bytes, a WAL that a killed writer has left',
    pageBytes: 32768,
    journalMode: 'wal',
    encoding: 'UTF-16le',
    killed: [WRITER, REWRITE],
  },
  {
    title: 'pages of 65,536 bytes',
    pageBytes: 65536,
    journalMode: 'wal',
    encoding: 'UTF-16be',
    autoVacuum: 'incremental',
  },
  {
    title: 'a hot journal',
    journalMode: 'delete',
    encoding: 'UTF-16le',
    autoVacuum: 'incremental',
    killed: [WRITER, SPILL],
  },
];

const more: readonly Case[] = [512, 1024, 2048, 8192, 16384, 32768, 65536].map((pageBytes, i) => ({
  title: `pages of ${pageBytes.toLocaleString('en-US')} bytes`,
  pageBytes,
  journalMode: short.some((form) => form.pageBytes === pageBytes && form.journalMode === 'wal')
    ? 'delete'
    : 'wal',
  encoding: (['UTF-8', 'UTF-16le', 'UTF-16be'] as const)[i % 3] ?? 'UTF-8',
  autoVacuum: (['none', 'full', 'incremental'] as const)[Math.floor(i / 3)] ?? 'none',
}));
const cases = isLong
  ? [
      ...short,
      ...more,
      {
        title: 'a link to a path with such signs',
        journalMode: 'delete',
        file: ODD_PATH,
        link: 'link.db',
      } as const,
    ]
  : short;

describe('stores of every form', () => {
  const folder = useFolder();
  const noStrace = straceTrouble();
  before(() => {
    if (noStrace) console.log(`    skipped: kills within a copy, as ${noStrace}`);
  });

  cases.forEach((form: Case, i) => {
    it(`works on ${form.title} (${form.journalMode})`, () => live(folder.file(`form-${i}`), form, noStrace));
  });
});

const SMALL = ['--batch-size', '20'];

/** Everything that can be done to a store, in one life of it. */
async function live(own: string, form: Case, noStrace: string | undefined): Promise<void> {
  const real = join(own, 'real', form.file ?? 'store.db');
  mkdirSync(dirname(real), { recursive: true });
  makeForm(real, form);
  const untouched = theirs(real);
  expectForm(untouched, form);
  const expected = oracleCells(real, join(own, 'oracle.db'));
  const given = form.link === undefined ? real : join(own, form.link);
  if (given !== real) symlinkSync(real, given);
  if (form.journalMode === 'persist' || form.journalMode === 'truncate')
    await leaveJournal(real, form.journalMode);
  if (form.killed) await (await startScript(form.killed[0], real, ...form.killed.slice(1))).end();
  else await on(given).look(['status']);

  const expectFilled = (): void => {
    expect(cellsOf(real)).to.deep.equal(expected);
    // The schema is another, and has its version.
    const rest = ({ tables, ...others }: Theirs) => [
      { ...others, schema: [] },
      { ...tables, schema_version: [] },
    ];
    expect(rest(theirs(real))).to.deep.equal(rest(untouched));
  };
  const expectUntouched = (): void => {
    expect(theirs(real)).to.deep.equal(untouched);
  };
  const { run, look } = on(given);
  await fill(given, expectFilled, expectUntouched);
  await run(['down', '--to', '0', '--yes', ...SMALL]);
  expectUntouched();
  const newest = copiesOf(real).sort().at(-1) ?? ''; // the backup that `down` has made, whose ledger is gone
  await killedAt(['restore', newest, '--db-path', given], { at: 'copy', detail: 'begun', nth: 2 });
  expectUntouched();
  if (noStrace === undefined) await killedInCopy(real, given, newest);
  await run(['restore', newest]);
  expectFilled();
  await look(['verify']);
  await run(['down', '--to', '0', '--yes', ...SMALL]);
  expectUntouched();
  expectTidy(own, real, given);
}

/** A form is what it claims to be. */
function expectForm({ header, violations }: Theirs, form: Case): void {
  const { journalMode, encoding = 'UTF-8', autoVacuum = 'none', isViolated = false } = form;
  expect(header).to.deep.equal({
    page_size: form.pageBytes ?? 4096,
    encoding,
    auto_vacuum: ['none', 'full', 'incremental'].indexOf(autoVacuum),
    user_version: 2026,
    application_id: 20260120,
    journal_mode: journalMode === 'wal' ? 'wal' : 'delete',
    integrity_check: 'ok',
  });
  expect(violations as unknown[]).to.have.lengthOf.above(isViolated ? 20 : -1);
}

async function fill(given: string, expectFilled: () => void, expectUntouched: () => void): Promise<void> {
  const { run, look } = on(given);
  await run(['up', ...SMALL]);
  expectFilled();
  await look(['status', '--check']);
  await look(['verify']);
  await run(['restore']);
  expectUntouched();
  const point = { at: 'statement', detail: 'UPDATE "task_audits"', nth: 2 };
  await killedAt(['up', ...SMALL, '--db-path', given], point);
  await run(['up', ...SMALL]);
  expectFilled();
  await run(['backfill', '--rescan', ...SMALL]);
  expectFilled();
}

/** Leaves behind what a program leaves that uses this journal mode. */
async function leaveJournal(path: string, mode: 'persist' | 'truncate'): Promise<void> {
  await (await startScript(WRITER, path, `PRAGMA journal_mode = ${mode}; ${REWRITE}`)).end();
  expect(statSync(`${path}-journal`).size > 0).to.equal(mode === 'persist');
}

/** Ends `restore` within the copy into the live store, when it writes the third of the pages. */
async function killedInCopy(real: string, given: string, backup: string): Promise<void> {
  const { main, wal } = snapshotFiles(real);
  const options = ['-f', '-qq', '-o', '/dev/null', '-P', real, '-P', `${real}-wal`, '-e', 'trace=pwrite64'];
  const strace = ['strace', ...options, '-e', 'inject=pwrite64:signal=SIGKILL:when=3'];
  const result = await runCommand([...strace, process.execPath, bin, 'restore', backup, '--db-path', given]);
  expect(result.signal, result.stdout + result.stderr).to.equal('SIGKILL');
  expect(snapshotFiles(real), 'half of the copy is there').not.to.deep.include({ main, wal });
}

/** Nothing stands there but the store, its copies and its lock, and nothing was made where the link is. */
function expectTidy(own: string, real: string, given: string): void {
  const name = basename(real);
  const others = readdirSync(dirname(real)).filter((file) => file !== name && !file.startsWith(`${name}.`));
  expect(others).to.deep.equal([]);
  expect(readdirSync(own).sort()).to.deep.equal(
    ['oracle.db', 'real', ...(given === real ? [] : [basename(given)])].sort(),
  );
  if (given !== real) expect(lstatSync(given).isSymbolicLink()).to.equal(true);
}
