import { realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { expect } from 'chai';
import { type CliResult, root, type StoreSnapshot, snapshotFiles } from './cli.js';
import { readLedger } from './ledger.js';
import { backfillStep, schemaStep } from './stores.js';

// Every option of the command line that npm may keep, and how it is known that the corrected command has it.

/** What a corrected command must have done. */
interface Ran {
  readonly result: CliResult;
  /** The store that the environment names. */
  readonly store: string;
  /** Another one, for `--db-path`. */
  readonly given: string;
  /** `store` as it was before. */
  readonly before: StoreSnapshot;
}

interface Row {
  /** What is typed behind `npm run migrate`, in each form; GIVEN stands for a store's path. */
  readonly forms: readonly (readonly string[])[];
  /** Whether the store is to be at v21 already. */
  readonly isUp?: boolean;
  readonly expects: (ran: Ran) => void;
}

/** A command with an option in the two forms in which a person types it. */
const both = (command: string, option: string, value = 'true'): Row['forms'] => [
  value === 'true' ? [command, option] : [command, option, value],
  [command, `${option}=${value}`],
];

const [schema, backfill] = [schemaStep.name, backfillStep.name];
const appliedIn = (store: string): string[] =>
  readLedger(store)
    .steps()
    .filter(({ status }) => status === 'applied')
    .map(({ name }) => name);
const applies =
  (...names: readonly string[]): Row['expects'] =>
  ({ store }) =>
    expect(appliedIn(store)).to.deep.equal(names);
const says =
  (text: string): Row['expects'] =>
  ({ result }) =>
    expect(result.stdout).to.include(text);
const ends =
  (code: number): Row['expects'] =>
  ({ result }) =>
    expect(result.code).to.equal(code);
const keeps =
  (backups: number): Row['expects'] =>
  ({ store }) =>
    expect(backupsOf(store)).to.have.length(backups);
const expectBatches = (store: string, rows: number, ofRun = 1): void => {
  const batches = readLedger(store).batches(backfill);
  const scanned = batches.filter(({ run }) => run === ofRun).map(({ rowsScanned }) => rowsScanned);
  expect(Math.max(...scanned)).to.equal(rows);
};
const reads: Row['expects'] = ({ result, store, before }) => {
  expect(result.stdout).to.include('nothing was written');
  expect(snapshotFiles(store)).to.deep.equal(before);
};

/** Names of the backups beside a store. */
const backupsOf = (store: string): string[] =>
  snapshotFiles(store).sidecars.filter((name) => name.includes('.backup-'));

/** A report that is written in a row's forms, and is gone again then. */
const REPORT = join(realpathSync(tmpdir()), `umzug-backfill-npm-trap-${process.pid}.html`);
const reports: Row['expects'] = ({ result }) => {
  expect(result.stdout, result.stderr).to.include(`Report: ${REPORT}`);
  rmSync(REPORT, { force: true });
};

export const rows: Readonly<Record<string, Row>> = {
  '--to': { forms: both('up', '--to', schema), expects: applies(schema) },
  '--to 0': { forms: both('down', '--to', '0'), isUp: true, expects: applies() },
  '--step': { forms: both('up', '--step', '1'), expects: applies(schema) },
  '--check': { forms: both('status', '--check'), expects: ends(3) },
  '--min-coverage': { forms: both('verify', '--min-coverage', '99.99'), isUp: true, expects: ends(5) },
  '--print-sql': { forms: both('verify', '--print-sql'), expects: says('CREATE TEMP VIEW') },
  '--rescan': { forms: both('backfill', '--rescan'), isUp: true, expects: says(`re-ran ${backfill}`) },
  '--db-path': {
    forms: both('up', '--db-path', 'GIVEN'),
    expects: ({ store, given, before }) => {
      expect(snapshotFiles(store)).to.deep.equal(before);
      expect(appliedIn(given)).to.deep.equal([schema, backfill]);
    },
  },
  '--batch-size': {
    forms: both('up', '--batch-size', '50'),
    expects: ({ store }) => expectBatches(store, 50),
  },
  '--dry-run': { forms: both('up', '--dry-run'), expects: reads },
  '--json': { forms: both('up', '--json'), expects: says('"command": "up"') },
  '--log-level': {
    forms: both('up', '--log-level', 'debug'),
    expects: ({ result }) => expect(result.stderr).to.include('batch_committed'),
  },
  '--yes': { forms: both('down', '--yes'), isUp: true, expects: applies(schema) },
  '--strict': { forms: both('up', '--strict'), expects: applies(schema, backfill) },
  '--no-backup': {
    forms: [
      ['up', '--no-backup'],
      ['up', '--backup=false'],
    ],
    expects: keeps(0),
  },
  '--backup-dir': {
    forms: both('up', '--backup-dir', tmpdir()),
    expects: ({ store, result }) => {
      expect(backupsOf(store)).to.have.length(0);
      const [, backup = ''] = /^Backup: '?(.+?) \(/m.exec(result.stdout) ?? [];
      expect(dirname(backup)).to.equal(realpathSync(tmpdir()));
      rmSync(backup);
    },
  },
  '--check-backup': { forms: both('up', '--check-backup', 'full'), expects: keeps(1) },
  '--keep-backups': { forms: both('up', '--keep-backups', '1'), expects: keeps(1) },
  '--lock-timeout': { forms: both('up', '--lock-timeout', '5'), expects: applies(schema, backfill) },
  '--allow-triggers': { forms: both('up', '--allow-triggers'), expects: applies(schema, backfill) },
  '--lang': {
    forms: both('status', '--lang', 'zh'),
    expects: ({ result }) => expect(result.stdout).to.match(/^存储：/m),
  },
  '--out': { forms: both('report', '--out', REPORT), isUp: true, expects: reports },
  '--report with a file': { forms: both('up', '--report', REPORT), expects: reports },
  '--report without a file, beside an option that loses its value': {
    forms: [['up', '--report', '--batch-size', '50']],
    expects: ({ result, store }) => {
      const [, path = ''] = /^Report: (.*) \(/m.exec(result.stdout) ?? [];
      expect(path).to.equal(join(realpathSync(root), 'umzug-backfill-report.html'));
      rmSync(path);
      expectBatches(store, 50);
    },
  },
  '--sqlite': {
    forms: both('lint', '--sqlite', '3.20'),
    expects: ({ result }) => expect(result.stdout).to.match(/No unsafe|newer-sqlite/),
  },
  '--backfill, with a name': {
    forms: [['create', 'more', '--backfill', '--dry-run']],
    expects: says('backfills/v021-3-more.ts'),
  },
  '--sql, with a name': {
    forms: [['create', 'more', '--sql', '--dry-run']],
    expects: says('migrations/v021-3-more.ts'),
  },
  '--dry-run before the command': { forms: [['--dry-run', 'up']], expects: says('nothing was written') },
  'two options that lose their values': {
    forms: [
      ['up', '--db-path', 'GIVEN', '--batch-size', '50'],
      ['up', '--batch-size', '50', '--db-path', 'GIVEN'],
    ],
    expects: ({ given }) => expectBatches(given, 50),
  },
  'an option before an argument': {
    forms: [['backfill', '--batch-size', '5', backfill, '--rescan']],
    isUp: true,
    expects: ({ store }) => expectBatches(store, 5, 2),
  },
  'an option before the command': { forms: [['--step', '1', 'up']], expects: applies(schema) },
};
