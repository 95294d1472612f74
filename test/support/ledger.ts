import type pg from 'pg';
import { compareKeys, decodeIntegerKeys, decodeTextKeys, type Key, type KeySpan } from './pure.js';
import { asAgentOs } from './stores.js';

// The ledger as its tables show it to anybody with a connection: the one place in which tests know its format.

type Value = string | number | bigint | Buffer | null;
type Row = Readonly<Record<string, Value>>;

type Texts<Name extends string> = Readonly<Record<Name, string>>;
type Numbers<Name extends string> = Readonly<Record<Name, number>>;
type Keys<Name extends string> = Readonly<Record<Name, Key>>;

export interface StepRow
  extends Texts<'name' | 'kind' | 'status' | 'fingerprint' | 'packageVersion'>,
    // What a `down` under way has taken back, and left.
    Numbers<'revertedCells' | 'keptCells'> {
  readonly appliedAt: string | null;
}

type Counts = Numbers<'run' | 'rowsScanned' | 'cellsFilled' | 'cellsSkipped'>;
export interface RunRow extends Counts, Texts<'kind' | 'status'>, Numbers<'prefilledCells' | 'batches'> {
  readonly startKey: Key | null;
  readonly watermark: Key | null;
  readonly cursor: Key | null;
  readonly filledAt: string | null;
}
export interface BatchRow extends Counts, Keys<'firstKey' | 'lastKey'>, Numbers<'number' | 'skips'> {}

/** Its target is a column, or `*` for the whole row. */
type SkipRow = Texts<'target' | 'reason'> & Keys<'key'> & Numbers<'batch'>;

const TABLES = [
  ...([
    'steps',
    'objects',
    'runs',
    'ranges',
    'batches',
    'cells',
    'skips',
    'verifications',
    'commands',
  ] as const),
  ...(['recorded', 'declarations', 'kept', 'format', 'tables', 'backups'] as const),
];
type Tables = Record<(typeof TABLES)[number], readonly Row[]>;

/** Names of the ledger's tables. */
export const LEDGER_TABLES: readonly string[] = TABLES.map((name) => `umzug_backfill_${name}`);

const KEYS = ['start_key', 'watermark', 'cursor', 'first_key', 'last_key', 'end_key', 'key'];
const NUMBERS = [
  ...['run', 'number', 'batch', 'range_number', 'prefilled_cells', 'batches', 'rows_scanned', 'cells_filled'],
  ...[
    'cells_skipped',
    'skips',
    'object_count',
    'reverted_cells',
    'kept_cells',
    'duration_ms',
    'is_done',
    'bytes',
  ],
];

/** Reads the ledger of a SQLite store. */
export const readLedger = (path: string): Ledger =>
  asAgentOs(path, (db) => {
    const exists = (table: string) =>
      db.prepare(`SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?`).get(table) !== undefined;
    const rowsOf = (table: string): Row[] =>
      exists(table) ? (db.prepare(`SELECT * FROM ${table}`).safeIntegers().all() as Row[]) : [];
    const entries = TABLES.map((name) => [name, rowsOf(`umzug_backfill_${name}`)]);
    return view(Object.fromEntries(entries) as Tables, exists('umzug_backfill_steps'));
  });

/** Reads the ledger of a database of PostgreSQL. */
export async function readPgLedger(client: pg.ClientBase): Promise<Ledger> {
  const rowsOf = async (table: string): Promise<Row[]> => {
    const there = await client.query('SELECT to_regclass($1) AS found', [table]);
    return there.rows[0].found === null
      ? []
      : (await client.query(`SELECT * FROM ${table}`)).rows.map(fromPg);
  };
  const tables = Object.fromEntries(TABLES.map((name) => [name, [] as readonly Row[]])) as Tables;
  for (const name of TABLES) tables[name] = await rowsOf(`umzug_backfill_${name}`);
  return view(tables, tables.steps.length > 0);
}

/** Runs with the cursor and the counts that stand in their ranges. */
const withRanges = ({ runs, ranges }: Tables): readonly Row[] =>
  runs.map((run) => {
    const own = ranges.filter((range) => range.backfill === run.backfill && range.run === run.run);
    own.sort((a, b) => Number(a.number) - Number(b.number));
    const sum = (name: string): number => own.reduce((total, range) => total + Number(range[name]), 0);
    const counts = ['batches', 'rows_scanned', 'cells_filled', 'cells_skipped'].map((name) => [
      name,
      sum(name),
    ]);
    const at = own.find(({ is_done: isDone }) => Number(isDone) === 0) ?? own.at(-1);
    return { ...run, ...Object.fromEntries(counts), cursor: (at ? at.cursor : run.start_key) ?? null };
  });

/** A row as SQLite would have it: of a key, an apostrophe says that it is a text. */
function fromPg(row: Readonly<Record<string, string | number | Buffer | null>>): Row {
  const read = (name: string, value: string | number | Buffer | null): Value => {
    if (typeof value !== 'string') return value;
    if (KEYS.includes(name)) return value.startsWith("'") ? value.slice(1) : BigInt(value);
    return NUMBERS.includes(name) ? Number(value) : value;
  };
  return Object.fromEntries(Object.entries(row).map(([name, value]) => [name, read(name, value)]));
}

const camel = (name: string): string => name.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase());

/** A row with the names that tests have, and numbers but for keys. */
const read = (row: Row): Record<string, unknown> =>
  Object.fromEntries(
    Object.entries(row).map(([name, value]) => [
      camel(name),
      typeof value === 'bigint' && !KEYS.includes(name) ? Number(value) : value,
    ]),
  );

/** Rows of the ledger's tables, with keys as bigint or text and counts as numbers. */
export type Ledger = ReturnType<typeof view>;

const by =
  <Row>(of: (row: Row) => string | number) =>
  (a: Row, b: Row): number =>
    of(a) < of(b) ? -1 : 1;

function view(rows: Tables, exists: boolean) {
  const tables = { ...rows, runs: withRanges(rows) };
  const of = <Kind>(name: keyof Tables, where: Readonly<Record<string, Value>> = {}): Kind[] =>
    tables[name]
      .map(read)
      .filter((row) => Object.entries(where).every(([column, value]) => row[column] === value)) as Kind[];
  const steps = () => of<StepRow>('steps').sort(by(({ name }) => name));
  const skipRows = (backfill: string) => of<SkipRow>('skips', { backfill });
  const counted = <Of extends string | number>(items: readonly Of[]): Map<Of, number> => {
    const counts = new Map<Of, number>();
    for (const item of items) counts.set(item, (counts.get(item) ?? 0) + 1);
    return counts;
  };
  return {
    exists: () => exists,
    steps,
    step: (name: string) => steps().find((step) => step.name === name),
    objects: (step: string) =>
      of<{ readonly kind: string; readonly name: string }>('objects', { step })
        .map(({ kind, name }) => ({ kind, name }))
        .sort(by(({ kind, name }) => `${kind} ${name}`)),
    runs: (backfill: string) => of<RunRow>('runs', { backfill }).sort(by(({ run }) => run)),
    batches: (backfill: string) => of<BatchRow>('batches', { backfill }).sort(by(({ number }) => number)),
    /** The cells of one batch that share their columns. */
    cells: (backfill: string, batch: number) =>
      of<{ columns: string; firstKey: Key; keys: Buffer }>('cells', { backfill, batch }).map(
        ({ columns, firstKey, keys }) => ({
          columns: JSON.parse(columns) as readonly string[],
          runs: typeof firstKey === 'bigint' ? decodeIntegerKeys(firstKey, keys) : decodeTextKeys(keys),
        }),
      ),
    skips: (backfill: string) =>
      skipRows(backfill)
        .map(({ key, target, reason }) => ({ key, target, reason }))
        .sort((a, b) => compareKeys(a.key, b.key) || (a.target < b.target ? -1 : 1)),
    /** How many skips each batch has put there that stand. */
    skipsByBatch: (backfill: string) => counted(skipRows(backfill).map(({ batch }) => batch)),
    /** How many skips there are of each reason. */
    skipCounts: (backfill: string): Readonly<Record<string, number>> =>
      Object.fromEntries(counted(skipRows(backfill).map(({ reason }) => reason))),
    verdicts: (backfill: string) =>
      of<{ readonly number: number; readonly verdict: string }>('verifications', { backfill })
        .sort(by(({ number }) => number))
        .map(({ verdict }) => verdict),
    /** Size and hash of each backup, as it was when it was made. */
    backups: () => of<{ readonly path: string; readonly bytes: number; readonly sha256: string }>('backups'),
    commands: () =>
      of<{ readonly number: number; readonly command: string; readonly backup: string | null }>(
        'commands',
      ).sort(by(({ number }) => number)),
  };
}

/** The cells that the ledger says were filled, as `key column`, in the order of the batches. */
export const ledgeredCells = (ledger: Ledger, backfill: string): string[] =>
  ledger
    .batches(backfill)
    .flatMap(({ number }) =>
      ledger
        .cells(backfill, number)
        .flatMap(({ columns, runs }) =>
          runs.flatMap((run) => keysOf(run).flatMap((key) => columns.map((column) => `${key} ${column}`))),
        ),
    );

function keysOf([first, last]: KeySpan): Key[] {
  if (typeof first !== 'bigint' || typeof last !== 'bigint') return [first];
  return Array.from({ length: Number(last - first) + 1 }, (_, i) => first + BigInt(i));
}
