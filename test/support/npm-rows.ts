import { readdirSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { expect } from 'chai';
import { type CliResult, root, type StoreSnapshot, snapshotFiles } from './cli.js';
import { asAgentOs } from './stores.js';

// Every option of the command line that npm may keep, and how it is known that the corrected command has it.

/** What a corrected command must have done. */
export interface Ran {
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

const column = <Value>(store: string, sql: string): Value[] =>
  asAgentOs(store, (db) => db.prepare(sql).pluck().all() as Value[]);
/** The steps that the ledger says are applied; its tables are gone with the last of them. */
function appliedSteps(store: string): string[] {
  const ledger = column(store, `SELECT 1 FROM sqlite_schema WHERE name = 'umzug_backfill_steps'`);
  if (ledger.length === 0) return [];
  return column(store, `SELECT name FROM umzug_backfill_steps WHERE status = 'applied' ORDER BY name`);
}
/** Names of the backups beside a store. */
const backupsOf = (store: string): string[] =>
  readdirSync(dirname(store)).filter((file) => file.startsWith(`${basename(store)}.backup-`));
export const schemaStep = 'v021-1-decision-columns';
const backfillStep = 'v021-2-decision-fields';

/** A command with an option in the two forms in which a person types it. */
const both = (command: string, option: string, value = 'true'): Row['forms'] => [
  value === 'true' ? [command, option] : [command, option, value],
  [command, `${option}=${value}`],
];

/** A report that is written in a row's forms, and is gone again then. */
const REPORT = join(realpathSync(tmpdir()), `umzug-backfill-npm-trap-${process.pid}.html`);

function expectReport({ result }: Ran): void {
  expect(result.stdout, result.stderr).to.include(`Report: ${REPORT}`);
  rmSync(REPORT, { force: true });
}

export const rows: Readonly<Record<string, Row>> = {
  '--to': {
    forms: both('up', '--to', schemaStep),
    expects: ({ store }) => expect(appliedSteps(store)).to.deep.equal([schemaStep]),
  },
  '--to 0': {
    forms: both('down', '--to', '0'),
    isUp: true,
    expects: ({ store }) => expect(appliedSteps(store)).to.deep.equal([]),
  },
  '--step': {
    forms: both('up', '--step', '1'),
    expects: ({ store }) => expect(appliedSteps(store)).to.deep.equal([schemaStep]),
  },
  '--check': {
    forms: both('status', '--check'),
    expects: ({ result }) => expect(result.code).to.equal(3),
  },
  '--min-coverage': {
    forms: both('verify', '--min-coverage', '99.99'),
    isUp: true,
    expects: ({ result }) => expect(result.code).to.equal(5),
  },
  '--print-sql': {
    forms: both('verify', '--print-sql'),
    expects: ({ result }) => expect(result.stdout).to.include('CREATE TEMP VIEW'),
  },
  '--rescan': {
    forms: both('backfill', '--rescan'),
    isUp: true,
    expects: ({ result }) => expect(result.stdout).to.include(`ran ${backfillStep} again`),
  },
  '--db-path': {
    forms: both('up', '--db-path', 'GIVEN'),
    expects: ({ store, given, before }) => {
      expect(snapshotFiles(store)).to.deep.equal(before);
      expect(appliedSteps(given)).to.deep.equal([schemaStep, backfillStep]);
    },
  },
  '--batch-size': {
    forms: both('up', '--batch-size', '50'),
    expects: ({ store }) =>
      expect(column(store, 'SELECT max(rows_scanned) FROM umzug_backfill_batches')).to.deep.equal([50]),
  },
  '--dry-run': {
    forms: both('up', '--dry-run'),
    expects: ({ result, store, before }) => {
      expect(result.stdout).to.include('nothing was written');
      expect(snapshotFiles(store)).to.deep.equal(before);
    },
  },
  '--json': {
    forms: both('up', '--json'),
    expects: ({ result }) => expect(result.stdout).to.include('"command": "up"'),
  },
  '--log-level': {
    forms: both('up', '--log-level', 'debug'),
    expects: ({ result }) => expect(result.stderr).to.include('batch_committed'),
  },
  '--yes': {
    forms: both('down', '--yes'),
    isUp: true,
    expects: ({ store }) => expect(appliedSteps(store)).to.deep.equal([schemaStep]),
  },
  '--strict': {
    forms: both('up', '--strict'),
    expects: ({ store }) => expect(appliedSteps(store)).to.deep.equal([schemaStep, backfillStep]),
  },
  '--no-backup': {
    forms: [
      ['up', '--no-backup'],
      ['up', '--backup=false'],
    ],
    expects: ({ store }) => expect(backupsOf(store)).to.have.length(0),
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
  '--check-backup': {
    forms: both('up', '--check-backup', 'full'),
    expects: ({ store }) => expect(backupsOf(store)).to.have.length(1),
  },
  '--keep-backups': {
    forms: both('up', '--keep-backups', '1'),
    expects: ({ store }) => expect(backupsOf(store)).to.have.length(1),
  },
  '--lock-timeout': {
    forms: both('up', '--lock-timeout', '5'),
    expects: ({ store }) => expect(appliedSteps(store)).to.deep.equal([schemaStep, backfillStep]),
  },
  '--allow-triggers': {
    forms: both('up', '--allow-triggers'),
    expects: ({ store }) => expect(appliedSteps(store)).to.deep.equal([schemaStep, backfillStep]),
  },
  '--lang': {
    forms: both('status', '--lang', 'zh'),
    expects: ({ result }) => expect(result.stdout).to.match(/^存储：/m),
  },
  '--out': {
    forms: both('report', '--out', REPORT),
    isUp: true,
    expects: expectReport,
  },
  '--report with a file': {
    forms: both('up', '--report', REPORT),
    expects: expectReport,
  },
  '--report without a file, beside an option that loses its value': {
    forms: [['up', '--report', '--batch-size', '50']],
    expects: ({ result, store }) => {
      const [, path = ''] = /^Report: (.*) \(/m.exec(result.stdout) ?? [];
      expect(path).to.equal(join(realpathSync(root), 'umzug-backfill-report.html'));
      rmSync(path);
      expect(column(store, 'SELECT max(rows_scanned) FROM umzug_backfill_batches')).to.deep.equal([50]);
    },
  },
  '--sqlite': {
    forms: both('lint', '--sqlite', '3.20'),
    expects: ({ result }) => expect(result.stdout).to.match(/Nothing unsafe|newer-sqlite/),
  },
  '--backfill, with a name': {
    forms: [['create', 'more', '--backfill', '--dry-run']],
    expects: ({ result }) => expect(result.stdout).to.include('backfills/v021-3-more.ts'),
  },
  '--sql, with a name': {
    forms: [['create', 'more', '--sql', '--dry-run']],
    expects: ({ result }) => expect(result.stdout).to.include('migrations/v021-3-more.ts'),
  },
  '--dry-run before the command': {
    forms: [['--dry-run', 'up']],
    expects: ({ result }) => expect(result.stdout).to.include('nothing was written'),
  },
  'two options that lose their values': {
    forms: [
      ['up', '--db-path', 'GIVEN', '--batch-size', '50'],
      ['up', '--batch-size', '50', '--db-path', 'GIVEN'],
    ],
    expects: ({ given }) =>
      expect(column(given, 'SELECT max(rows_scanned) FROM umzug_backfill_batches')).to.deep.equal([50]),
  },
  'an option before an argument': {
    forms: [['backfill', '--batch-size', '5', backfillStep, '--rescan']],
    isUp: true,
    expects: ({ store }) =>
      expect(
        column(store, `SELECT max(rows_scanned) FROM umzug_backfill_batches WHERE run = 2`),
      ).to.deep.equal([5]),
  },
  'an option before the command': {
    forms: [['--step', '1', 'up']],
    expects: ({ store }) => expect(appliedSteps(store)).to.deep.equal([schemaStep]),
  },
};
