import {
  BackfillError,
  type Config,
  type DeployOptions,
  defineBackfill,
  defineConfig,
  defineSchemaStep,
  defineSqlStep,
  type ErrorCode,
  firstOf,
  type MigratorEvent,
  migrateOnDeploy,
  requireBackfill,
  sql,
  startBackfills,
} from '../../src/index.js';

// Compiled by `npm run typecheck`, never run: what is misspelt, missing or of the wrong kind is an error of the compiler, and no line
// more than that. `@ts-expect-error` fails where there is none.

const value = firstOf('details', ['paid_at', 'ts'], 'created_at');
const paid = { table: 'orders', key: 'id', columns: { paid_at: value } } as const;
const split = { table: 'orders', key: 'id', reads: ['name'], columns: ['first', 'last'] } as const;
const names: readonly string[] = ['paid_at'];

export const allowed = [
  firstOf('details', names, 'created_at'),
  defineBackfill({ table: 'orders', key: 'id', columns: { paid_at: value } }),
  defineBackfill({
    table: 'orders',
    key: 'id',
    scope: `state = 'paid'`,
    columns: { paid_at: value, seen_at: value },
  }),
  defineBackfill({
    table: 'orders',
    key: 'id',
    columns: { paid_at: value, sent_at: value },
    checks: {
      groupBy: 'state',
      timestamps: true,
      lag: { from: 'paid_at', to: 'sent_at' },
      indexes: [{ index: 'idx_paid_at', query: 'SELECT * FROM orders WHERE paid_at > 0' }],
    },
  }),
  defineBackfill({ table: 'orders', key: 'id', columns: { paid_at: value, total: sql('price * count') } }),
  defineBackfill({
    table: 'orders',
    key: 'id',
    reads: ['name'],
    columns: ['first', 'last'],
    process: (rows, { skip }) =>
      rows.map(({ id, name }) => (name === null ? skip('NO_NAME') : { first: id, last: name })),
    checks: { rules: [{ title: 'each has a name', query: 'SELECT id FROM orders WHERE name IS NULL' }] },
  }),
  defineSchemaStep({ table: 'orders' }),
  defineSchemaStep({
    table: 'orders',
    columns: { paid_at: 'TEXT' },
    indexes: { i: { columns: names, where: 'true' } },
  }),
  defineSchemaStep({ table: 'orders', version: { table: 'versions', column: 'version', to: '2.0.0' } }),
  defineSqlStep({ up: ['CREATE VIEW v AS SELECT 1'] }),
  requireBackfill('002-paid-at'),
] as const;

export const config: Config = defineConfig({
  database: { path: 'shop.db', env: 'SHOP_DB' },
  steps: ['steps'],
  requires: { tables: { orders: ['id'] }, version: { table: 'v', column: 'v', atLeast: '1.0' } },
});

export const refused = [
  // @ts-expect-error: no such option
  () => defineBackfill({ ...paid, tabel: 'orders' }),
  // @ts-expect-error: no such option
  () => defineBackfill({ ...paid, checks: { groupby: 'state' } }),
  // @ts-expect-error: no such option
  () => defineBackfill({ ...paid, checks: { lag: { from: 'paid_at', too: 'sent_at' } } }),
  // @ts-expect-error: no column of this backfill
  () => defineBackfill({ ...paid, checks: { timestamps: true, lag: { from: 'paid_at', to: 'sent_at' } } }),
  // @ts-expect-error: no column that it reads
  () => defineBackfill({ ...split, process: (rows) => rows.map(({ nam }) => ({ first: nam })) }),
  // @ts-expect-error: no column that it fills
  () => defineBackfill({ ...split, process: (rows) => rows.map(({ name }) => ({ frist: name })) }),
  // @ts-expect-error: no value that SQLite can hold
  () => defineBackfill({ ...split, process: (rows) => rows.map(() => ({ first: true })) }),
  // @ts-expect-error: asynchronous
  () => defineBackfill({ ...split, process: async (rows) => rows.map(() => ({})) }),
  // @ts-expect-error: no columns to read are named
  () => defineBackfill({ table: 'orders', key: 'id', columns: ['first'], process: () => [] }),
  // @ts-expect-error: no such option
  () => defineBackfill({ ...paid, checks: { rules: [{ title: 'x', sql: 'SELECT 1' }] } }),
  // @ts-expect-error: the table is missing
  () => defineBackfill({ key: 'id', columns: { paid_at: value } }),
  // @ts-expect-error: the key is missing
  () => defineBackfill({ table: 'orders', columns: { paid_at: value } }),
  // @ts-expect-error: of the wrong kind
  () => defineBackfill({ ...paid, key: 7 }),
  // @ts-expect-error: of the wrong kind
  () => defineBackfill({ ...paid, columns: { paid_at: 7 } }),
  // @ts-expect-error: of the wrong kind
  () => defineBackfill({ ...paid, checks: { timestamps: 'yes' } }),
  // @ts-expect-error: a list of names
  () => firstOf('details', 'paid_at', 'created_at'),
  // @ts-expect-error: a name
  () => firstOf('details', ['paid_at'], ['created_at']),
  // @ts-expect-error: no such option
  () => defineSchemaStep({ table: 'orders', column: { paid_at: 'TEXT' } }),
  // @ts-expect-error: no such option
  () => defineSchemaStep({ table: 'orders', indexes: { i: { columns: ['paid_at'], wher: 'true' } } }),
  // @ts-expect-error: of the wrong kind
  () => defineSchemaStep({ table: 'orders', indexes: { i: { columns: 'paid_at' } } }),
  // @ts-expect-error: the version is not said
  () => defineSchemaStep({ table: 'orders', version: { table: 'versions', column: 'version' } }),
  // @ts-expect-error: a list of statements
  () => defineSqlStep({ up: 'CREATE VIEW v AS SELECT 1' }),
  // @ts-expect-error: no such option
  () => defineSqlStep({ up: ['CREATE VIEW v AS SELECT 1'], dwon: ['DROP VIEW v'] }),
  // @ts-expect-error: one name
  () => requireBackfill(['002-paid-at']),
  // @ts-expect-error: no such option
  () => defineConfig({ database: { path: 'shop.db', envv: 'SHOP_DB' }, steps: ['steps'] }),
  // @ts-expect-error: no such option
  () => defineConfig({ database: { path: 'shop.db' }, steps: ['steps'], require: {} }),
  // @ts-expect-error: a list of folders
  () => defineConfig({ database: { path: 'shop.db' }, steps: 'steps' }),
  // @ts-expect-error: the steps are missing
  () => defineConfig({ database: { path: 'shop.db' } }),
  // @ts-expect-error: neither of the two
  () => migrateOnDeploy({ backfills: 'later' }),
  // @ts-expect-error: no such option
  () => migrateOnDeploy({ lockTimeout: 600 }),
  // @ts-expect-error: no such option
  () => migrateOnDeploy({ backup: { foldr: 'backups' } }),
  // @ts-expect-error: in the background there is nothing to leave
  () => startBackfills({ backfills: 'background' }),
  // @ts-expect-error: it is stopped by stop()
  () => startBackfills({ signal: new AbortController().signal }),
  // @ts-expect-error: no such code
  () => new BackfillError('NO_SUCH_CODE', 'message', 'hint'),
];

/** What comes back is typed, too. */
export async function typed(): Promise<void> {
  const options: DeployOptions = { signal: new AbortController().signal, backup: false };
  const { applied, deferred } = await migrateOnDeploy(options);
  const texts: readonly string[] = [...applied, ...deferred];
  // @ts-expect-error: an error is thrown, and not a part of the outcome
  (await migrateOnDeploy(options)).error;
  const code: ErrorCode = (new Error() as BackfillError).code;
  const tell = (event: MigratorEvent): string | number =>
    event.event === 'batch_committed' ? event.rowsScanned : `${event.event} ${code} ${texts.join()}`;
  startBackfills({ onEvent: tell });
  // @ts-expect-error: only some events are of a batch
  startBackfills({ onEvent: (event) => event.rowsScanned });
}
