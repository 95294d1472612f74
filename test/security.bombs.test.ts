import { deflateRawSync } from 'node:zlib';
import { expect } from 'chai';
import { before, describe, it } from 'mocha';
import { BackfillError, defineBackfill, sql } from '../src/index.js';
import { needEngine } from './support/engines.js';
import { OWN_ENGINES, type OwnTables } from './support/own-tables.js';

// What a few bytes in the ledger, or in a row, can stand for: keys without end, texts without end. All of it is read within bounds, and
// what can't be read is told, not passed over.

const NAME = '001-own';
const KEYS = { integer: 'BIGINT', text: 'VARCHAR(40)' } as const;

const tableOf = (
  kind: keyof typeof KEYS,
): string => `CREATE TABLE t (id ${KEYS[kind]} PRIMARY KEY NOT NULL, a TEXT, b TEXT);
  INSERT INTO t (id, a) VALUES ${Array.from({ length: 25 }, (_, i) => (kind === 'text' ? `('k${i + 10}', 'a')` : `(${i + 1}, 'a')`)).join(', ')}`;

/** Bytes as each engine writes them. */
const bytes = (engine: string, value: Buffer): string =>
  engine === 'PostgreSQL' ? `'\\x${value.toString('hex')}'::bytea` : `x'${value.toString('hex')}'`;

const deflated = (json: string | Buffer): Buffer => deflateRawSync(json, { level: 9 });

const INTEGER_BOMBS: Readonly<Record<string, Buffer>> = {
  'a run of every key that there can be': Buffer.from('00ffffffffffffffff7f', 'hex'),
  'a run that ends behind the last number': Buffer.from('00ffffffffffffffffffffffffff7f', 'hex'),
  'a number without end': Buffer.alloc(2_000, 0xff),
  'a number that is cut off': Buffer.from('0080', 'hex'),
  'more keys than its rows': Buffer.from('000b', 'hex'),
  'a million runs': Buffer.alloc(2_000_000),
  'more bytes than a batch can have': Buffer.alloc(40_000_000),
};

const TEXT_BOMBS: Readonly<Record<string, Buffer>> = {
  '100 MB of spaces': deflated(Buffer.alloc(100_000_000, 0x20)),
  'one text of 100 MB': deflated(
    Buffer.concat([Buffer.from('["'), Buffer.alloc(100_000_000, 0x61), Buffer.from('"]')]),
  ),
  'ten million lists': deflated(
    Buffer.concat([Buffer.alloc(10_000_000, 0x5b), Buffer.alloc(10_000_000, 0x5d)]),
  ),
  'ten million texts': deflated(`["a"${',"a"'.repeat(5_000_000)}]`),
  'texts that are not in order': deflated('["k12","k11"]'),
  numbers: deflated('[1,2]'),
  'an object': deflated('{"k11":1}'),
  'what is not deflated': Buffer.from('nonsense'),
};

/** What must not be read whole from a server. */
const BOUNDED = /more bytes than|every key that|100 MB of spaces/;

for (const engine of OWN_ENGINES) {
  describe(`packed keys that are bombs, on ${engine.name}`, function () {
    this.timeout(120_000);
    before(function () {
      needEngine(this, engine);
    });

    for (const [kind, bombs] of [
      ['integer', INTEGER_BOMBS],
      ['text', TEXT_BOMBS],
    ] as const) {
      // What unpacks keys is the same for both engines; what differs is how much of them is read from the store.
      const asked = Object.entries(bombs).filter(([what]) => engine.name === 'SQLite' || BOUNDED.test(what));
      for (const [what, bomb] of asked) {
        it(`${kind} keys: ${what}`, () =>
          engine.withTables(tableOf(kind), async (tables) => {
            const commands = tables.of({
              [NAME]: defineBackfill({ table: 't', key: 'id', columns: { b: sql('a') } }),
            });
            await commands.up();
            await tables.exec(
              `UPDATE umzug_backfill_cells SET keys = ${bytes(engine.name, bomb)} WHERE batch = 2`,
            );
            const before = await everything(tables);

            const [verification] = await commands.verify();
            const integrity = verification?.checks.find(({ id }) => id === 'integrity');
            expect(integrity?.findings.map(({ text }) => text)).to.include(
              'The cells of batch 2 cannot be read',
            );
            expect(verification?.verdict).to.equal('fail');

            const refusal = await commands.plan(['down']).catch((error: unknown) => error);
            expect(refusal).to.be.instanceOf(BackfillError).with.property('code', 'LEDGER_DAMAGED');
            const refused = await commands.text('down', '--yes', '--to', '0');
            expect(refused.stderr).to.include(
              `LEDGER_DAMAGED: The ledger of this store is damaged: the cells filled by batch 2 of ${NAME} cannot be read`,
            );
            expect(refused.stderr).to.match(/umzug-backfill backfill .*001-own --rescan/);
            expect(refused.code).to.equal(1);
            expect(await everything(tables)).to.deep.equal(before);

            // As the hint says: what the ledger has lost counts as the application's own.
            const { verifications } = await commands.rescan(NAME);
            expect(verifications.map(({ verdict }) => verdict)).to.deep.equal(['pass']);
            const { error, cells } = await commands.down();
            expect(error).to.equal(undefined);
            expect(cells).to.deep.equal([{ backfill: NAME, reverted: 15, kept: 0, gone: 0, underivable: 0 }]);
          }));
      }
    }
  });
}

// What the ledger's tables hold that no version of this package writes.
const FORGED: Readonly<Record<string, string>> = {
  'umzug_backfill_tables.probes': `'[["b","1x"]]'`,
  'umzug_backfill_runs.status': "'done'",
};
const FORGED_ON_A_SERVER: Readonly<Record<string, string>> = {
  'umzug_backfill_runs.watermark': "'99999999999999999999'",
};
const FORGED_IN_A_FILE: Readonly<Record<string, string>> = {
  'umzug_backfill_steps.started_at': "x'00'",
  'umzug_backfill_ranges.batches': "'many'",
  'umzug_backfill_batches.number': '1e300',
  'umzug_backfill_batches.last_key': '1.5',
  'umzug_backfill_declarations.first_batch': "x'01'",
  'umzug_backfill_verifications.verdict': '7',
  'umzug_backfill_format.version': "'two'",
};

for (const engine of OWN_ENGINES) {
  describe(`a ledger that this package has not written, on ${engine.name}`, () => {
    before(function () {
      needEngine(this, engine);
    });

    const forged =
      engine.name === 'SQLite' ? { ...FORGED, ...FORGED_IN_A_FILE } : { ...FORGED, ...FORGED_ON_A_SERVER };
    for (const [place, value] of Object.entries(forged)) {
      const [table = '', column = ''] = place.split('.');
      it(`is told by table and column: ${place}`, () =>
        engine.withTables(tableOf('integer'), async (tables) => {
          const commands = tables.of({
            [NAME]: defineBackfill({ table: 't', key: 'id', columns: { b: sql('a') } }),
          });
          await commands.up();
          await tables.exec(
            engine.name === 'SQLite'
              ? `UPDATE OR IGNORE ${table} SET ${column} = ${value}`
              : `UPDATE ${table} SET ${column} = ${value}`,
          );
          const { code, stderr, stdout } = await commands.text('down', '--dry-run');
          const report = code === 0 ? await commands.text('status') : { code, stderr, stdout };
          const told = report.code === 0 ? await commands.text('verify') : report;
          expect(told.stderr).to.include(
            `LEDGER_DAMAGED: The ledger of this store is damaged: a row of ${table} has a value in ${column} that this package never writes`,
          );
          expect(told.code).to.equal(1);
        }));
    }
  });

  describe(`a ledger that contradicts itself everywhere, on ${engine.name}`, () => {
    before(function () {
      needEngine(this, engine);
    });

    it('is told in twenty lines, and how many more there are', () =>
      engine.withTables(tableOf('integer'), async (tables) => {
        const commands = tables.of({
          [NAME]: defineBackfill({ table: 't', key: 'id', columns: { b: sql('a') } }),
        });
        await commands.up();
        const numbers = Array.from({ length: 300 }, (_, i) => `(${i})`).join(', ');
        await tables.exec(`INSERT INTO umzug_backfill_batches (backfill, number, run, range_number, first_key, last_key, rows_scanned,
            cells_filled, cells_skipped, skips, duration_ms, committed_at)
          SELECT b.backfill, 100 + n.column1, 1000 + n.column1, 1, b.first_key, b.last_key, 0, 0, 0, 0, 0, b.committed_at
          FROM umzug_backfill_batches AS b, (VALUES ${numbers}) AS n WHERE b.number = 1`);
        const check = (await commands.verify())[0]?.checks.find(({ id }) => id === 'integrity');
        expect(check?.findings.filter(({ verdict }) => verdict === 'fail')).to.have.lengthOf(21);
        expect(check?.findings[20]?.text).to.equal('280 more contradictions');
        expect(check?.stats).to.include({ contradictions: 300 });
      }));
  });

  describe(`values of the grouping column that are long, on ${engine.name}`, function () {
    this.timeout(120_000);
    before(function () {
      needEngine(this, engine);
    });

    it('are shown by their beginning and their length', () =>
      engine.withTables(tableOf('integer'), async (tables) => {
        const long =
          engine.name === 'SQLite' ? "replace(printf('%03000001d', 0), '0', 'x')" : "repeat('x', 3000001)";
        await tables.exec(`UPDATE t SET a = ${long} WHERE id = 1`);
        const commands = tables.of({
          [NAME]: defineBackfill({
            table: 't',
            key: 'id',
            columns: { b: sql("'b'") },
            checks: { groupBy: 'a' },
          }),
        });
        const { stdout } = await commands.text('up');
        expect(stdout).to.include('(3000001 characters): 1 rows');
        const stats = (await commands.verify())[0]?.checks.find(({ id }) => id === 'groups')?.stats;
        expect(stats).to.deep.include({ column: 'a' });
        expect(JSON.stringify(stats).length).to.be.below(1000);
      }));
  });
}

/** The table, and what of the ledger a `down` changes. */
const everything = async ({ rows }: OwnTables): Promise<unknown> => [
  await rows('SELECT id, a, b FROM t ORDER BY id'),
  await rows('SELECT name, status FROM umzug_backfill_steps'),
  await rows('SELECT number, cells_filled FROM umzug_backfill_batches ORDER BY number'),
];
