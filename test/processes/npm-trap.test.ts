import {
  copyFileSync,
  mkdirSync,
  readdirSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { expect } from 'chai';
import { before, describe, it } from 'mocha';
import { generateStore } from '../../demo/store-generator.js';
import {
  bin,
  type CliResult,
  expectRefusal,
  root,
  runCli,
  runCommand,
  type StoreSnapshot,
  snapshotFiles,
  useFolder,
} from '../support/cli.js';
import { asAgentOs } from '../support/stores.js';

// Through the npm that is installed, in the folder of the project: what it keeps of a command line is its own affair.

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
const schemaStep = 'v021-1-decision-columns';
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

const rows: Readonly<Record<string, Row>> = {
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

describe('npm run migrate', () => {
  const folder = useFolder();
  let copies = 0;

  before(async () => {
    generateStore({ path: folder.file('v20.db'), audits: 300, rareShare: 0.2 });
    copyFileSync(folder.file('v20.db'), folder.file('v21.db'));
    const { code, stderr } = await runCli(['up', '--db-path', folder.file('v21.db')]);
    expect(code, stderr).to.equal(0);
  });

  /** A copy of a store; its name takes quotes in a shell. */
  function copy(isUp = false): string {
    copies += 1;
    const path = folder.file(`it's copy ${copies}.db`);
    copyFileSync(folder.file(isUp ? 'v21.db' : 'v20.db'), path);
    return path;
  }

  /** Keeps npm from asking for a newer one of itself. */
  const quiet = { npm_config_update_notifier: 'false' };
  const typed = (words: readonly string[], env: NodeJS.ProcessEnv): Promise<CliResult> =>
    runCommand(['npm', 'run', 'migrate', ...words], { env: { ...quiet, ...env } });

  for (const [title, { forms, isUp, expects }] of Object.entries(rows)) {
    it(`refuses what npm kept of ${title}, and gives the command that works`, async () => {
      await Promise.all(
        forms.map(async (form) => {
          const [store, given] = [copy(isUp), copy()];
          const [before, givenBefore] = [snapshotFiles(store), snapshotFiles(given)];
          const env = { AGENTOS_DB_PATH: store };
          const words = form.map((word) => word.replace('GIVEN', given));
          const refused = await typed(words, env);
          const error = expectRefusal(refused, 'NPM_KEPT_OPTION', 2);
          expect([snapshotFiles(store), snapshotFiles(given)]).to.deep.equal([before, givenBefore]);
          const command = /: (npm run migrate -- .*)$/.exec(error.hint)?.[1];
          expect(command, error.hint).to.be.a('string');
          const result = await runCommand(['sh', '-c', command as string], { env: { ...quiet, ...env } });
          expects({ result, store, given, before });
        }),
      );
    });
  }

  it('lets options behind -- through', async () => {
    const store = copy();
    const before = snapshotFiles(store);
    const words = ['--', 'up', '--dry-run', '--json', '--to', schemaStep, '--batch-size=7', '--yes'];
    const result = await typed([...words, '--db-path', store], {});
    expect(result.code, result.stderr).to.equal(0);
    expect(result.stdout).to.include('"dryRun": true');
    expect(snapshotFiles(store)).to.deep.equal(before);
  });

  it('refuses a value that npm left behind without its option', async () => {
    const store = copy();
    const before = snapshotFiles(store);
    expectRefusal(await typed(['up', '7'], { AGENTOS_DB_PATH: store }), 'USAGE', 2);
    expect(snapshotFiles(store)).to.deep.equal(before);
  });

  // npm keeps what it does not know as well, so that a slip would run for real, and on another store than was meant.
  it('refuses an option that is misspelt, which npm keeps as well', async () => {
    const slips = ['--dryrun', '--dry-rum', '--dry', '--db=GIVEN', '--dbpath=GIVEN', '--batchsize=7'];
    const touched: string[] = [];
    await Promise.all(
      slips.map(async (slip) => {
        const [store, given] = [copy(), copy()];
        const before = snapshotFiles(store);
        const result = await typed(['up', slip.replace('GIVEN', given)], { AGENTOS_DB_PATH: store });
        if (result.code !== 2 || snapshotFiles(store).main !== before.main) touched.push(slip);
      }),
    );
    expect(touched, 'ran for real').to.deep.equal([]);
  });

  it('names consent that npm kept, and does not advise it', async () => {
    const store = copy();
    for (const consent of ['--yes', '--allow-triggers']) {
      const refused = await typed(['up', consent, '--dry-run'], { AGENTOS_DB_PATH: store });
      expect(expectRefusal(refused, 'NPM_KEPT_OPTION', 2).hint).to.equal(
        `Put -- before the arguments, and ${consent} behind them if it is meant: npm run migrate -- up --dry-run`,
      );
    }
  });

  it('does not make a yes of a no', async () => {
    const store = copy(true);
    for (const no of ['--no-yes', '--yes=false']) {
      const result = await typed(['down', no], { AGENTOS_DB_PATH: store });
      expect(`${result.stdout}${result.stderr}`).not.to.include('-- down --yes');
    }
  });

  it('lets a setting of npm through that is no option of ours', async () => {
    const result = await typed(['--', 'status', '--db-path', copy()], { npm_config_all: 'true' });
    expect(result.code, result.stderr).to.equal(0);
  });

  describe('a script that holds a command of its own', () => {
    const run = (script: string, ...words: readonly string[]): Promise<CliResult> => {
      const project = folder.file(`project-${script}`);
      mkdirSync(join(project, 'node_modules/.bin'), { recursive: true });
      symlinkSync(root, join(project, 'node_modules/umzug-backfill'));
      symlinkSync(bin, join(project, 'node_modules/.bin/umzug-backfill'));
      for (const name of ['umzug-backfill.config.js', 'migrations', 'backfills'])
        symlinkSync(join(root, 'dist', name), join(project, name));
      const scripts = {
        up: 'umzug-backfill up --log-level warn',
        prestart: 'umzug-backfill deploy',
        start: '',
      };
      writeFileSync(join(project, 'package.json'), JSON.stringify({ name: 'shop', scripts }));
      return runCommand(['npm', 'run', '--silent', script, ...words], {
        cwd: project,
        env: { ...quiet, AGENTOS_DB_PATH: store },
      });
    };
    let store = '';
    before(() => {
      store = copy();
    });

    it('is not repeated in the corrected command', async () => {
      const { hint } = expectRefusal(await run('up', '--dry-run'), 'NPM_KEPT_OPTION', 2);
      expect(hint).to.match(/: npm run up -- --dry-run$/);
    });

    it('is not what a hint runs another command by', async () => {
      const { stdout, stderr, code } = await run('prestart');
      expect(code, stderr).to.equal(0);
      expect(stdout).to.match(/^Backup: .*To go back to it: npx umzug-backfill restore --db-path '/m);
    });
  });

  it('corrects a call through npm exec as such', async () => {
    const project = folder.file('project');
    mkdirSync(join(project, 'node_modules/.bin'), { recursive: true });
    symlinkSync(root, join(project, 'node_modules/umzug-backfill'));
    symlinkSync(bin, join(project, 'node_modules/.bin/umzug-backfill'));
    const words = ['exec', 'umzug-backfill', 'up', '--dry-run'];
    const refused = await runCommand(['npm', ...words], { cwd: project, env: quiet });
    const { hint } = expectRefusal(refused, 'NPM_KEPT_OPTION', 2);
    expect(hint).to.match(/: (npm exec -- umzug-backfill|npx umzug-backfill) up --dry-run$/);
  });
});
