import { LANGS } from './messages/lang.js';
import { ALL, CHANGING, each, ON_CONFIG, ON_STORE } from './option-table.js';
import { BOOLEAN, type Kind, type OptionTable, oneOf, PERCENT, POSITIVE, TEXT, VERSION } from './options.js';
import { DEFAULT_REPORT } from './report/default-file.js';

/** Levels of the log, lowest first. */
export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;

/** A level of the log. */
export type LogLevel = (typeof LOG_LEVELS)[number];

/** A text, or the flag alone. */
const OPTIONAL_TEXT: Kind<string | true> = TEXT;

/** Options of one command or function. */
export const COMMAND_OPTIONS = {
  to: {
    kind: TEXT,
    flag: '--to <name>',
    help: {
      up: 'apply up to and including this step',
      down: 'revert down to and including this step; 0 reverts all',
    },
    usual: { up: 'all', down: 'the last step' },
    conflicts: { down: ['step'] },
  },
  step: {
    kind: POSITIVE,
    flag: '--step <count>',
    help: { up: 'number of steps to apply', down: 'number of steps to revert' },
    usual: { up: 'all', down: '1' },
  },
  report: {
    kind: OPTIONAL_TEXT,
    flag: '--report [file]',
    help: { up: 'write an HTML report afterwards, also of a failed verification' },
    usual: `none; without a file: ${DEFAULT_REPORT}`,
    conflicts: { up: ['dryRun'] },
  },
  check: {
    kind: BOOLEAN,
    flag: '--check',
    help: {
      deploy: 'write nothing; exit 3 if changes are pending',
      status: 'exit 3 if `up` would change something',
    },
    usual: { deploy: 'apply them', status: 'exit 0' },
  },
  backfills: {
    kind: oneOf('wait', 'background'),
    default: 'wait',
    flag: '--backfills <when>',
    help: { deploy: 'run backfills now, or only start them and defer the rest to `up` or startBackfills()' },
  },
  rescan: {
    kind: BOOLEAN,
    flag: '--rescan',
    help: { backfill: 'start at the first key and retry skips' },
    usual: 'after the last watermark',
  },
  minCoverage: {
    kind: PERCENT,
    flag: '--min-coverage <percent>',
    help: { verify: 'fail below this coverage' },
    usual: 'none',
  },
  printSql: {
    kind: BOOLEAN,
    flag: '--print-sql',
    help: { verify: 'print the checks as SQL for the sqlite3 shell instead' },
    isSingle: true,
  },
  out: {
    kind: TEXT,
    flag: '--out <file>',
    help: { report: 'file to write; only an earlier report is overwritten' },
    usual: `${DEFAULT_REPORT} in the current folder`,
  },
  sqlite: {
    kind: VERSION,
    flag: '--sqlite <version>',
    help: { lint: 'oldest SQLite that runs the steps or reads the store' },
    usual: 'that of this program',
  },
  backfill: {
    kind: BOOLEAN,
    flag: '--backfill',
    help: { create: 'write a backfill' },
    usual: 'a schema step, which adds columns and indexes',
    conflicts: { create: ['sql'] },
  },
  sql: {
    kind: BOOLEAN,
    flag: '--sql',
    help: { create: 'write an SQL step' },
    usual: 'a schema step',
  },
  dbPath: {
    kind: TEXT,
    flag: '--db-path <path>',
    help: {
      ...each(ON_STORE, 'the SQLite file; repeated, or a pattern: several stores'),
      lint: 'a store whose sizes are considered',
      init: 'the store, for the config',
    },
    usual: {
      ...each(ON_STORE, 'the environment variable or the path of the config'),
      lint: 'none',
      init: 'store.db',
    },
  },
  databaseUrl: {
    kind: TEXT,
    flag: '--database-url <url>',
    help: each(ON_STORE, 'a PostgreSQL database as the store'),
    usual: 'that of the config',
    isSingle: true,
  },
  postgres: {
    kind: BOOLEAN,
    flag: '--postgres',
    help: {
      ...each(ON_STORE, 'read the URL of that database from DATABASE_URL'),
      lint: 'the steps are for PostgreSQL',
    },
    conflicts: { lint: ['sqlite', 'dbPath'] },
    isSingle: true,
  },
  concurrency: {
    kind: POSITIVE,
    flag: '--concurrency <processes>',
    help: each(ON_STORE, 'processes that work on several stores at once'),
    usual: 'one per core',
  },
  metricsFile: {
    kind: TEXT,
    flag: '--metrics-file <path>',
    help: each(CHANGING, 'write metrics of the command there, as Prometheus text'),
    usual: 'nowhere',
    isSingle: true,
  },
  dryRun: {
    kind: BOOLEAN,
    flag: '--dry-run',
    help: each([...ON_STORE, 'init', 'create'], 'report what would be done, write nothing'),
  },
  trustConfig: {
    kind: BOOLEAN,
    flag: '--trust-config',
    help: each(ON_CONFIG, 'let root run a config and steps that others own or may write'),
    usual: 'refuse it',
  },
  logLevel: {
    kind: oneOf(...LOG_LEVELS),
    default: 'info',
    flag: '--log-level <level>',
    help: each(ON_STORE, 'what is logged to stderr'),
  },
  showValues: {
    kind: BOOLEAN,
    flag: '--show-values',
    help: each(
      ON_STORE,
      "show messages of a project's and the database's errors, which may quote rows; only on a terminal",
    ),
    isSingle: true,
  },
  json: { kind: BOOLEAN, flag: '--json', help: each(ALL, 'print the result as one JSON document') },
  lang: {
    kind: oneOf(...LANGS),
    flag: '--lang <language>',
    help: each(ALL, 'language of results and errors'),
    usual: 'that of the locale',
  },
} as const satisfies OptionTable;
