import { expect } from 'chai';
import { before, describe, it } from 'mocha';
import { fill, fillAndCompare } from './support/compare-fill.js';
import { ENGINES, needEngine, type TestStoreOptions } from './support/engines.js';
import { isLong } from './support/long.js';
import { catchUp, codeOf, name as NAME } from './support/migrate.js';
import { COLUMNS } from './support/oracle-words.js';
import type { PgForm } from './support/postgres-stores.js';
import type { Audit } from './support/stores.js';
import { umzugEngine } from './support/umzug-engine.js';

const stores: readonly (readonly [what: string, options: TestStoreOptions, batchRows?: number])[] = [
  ['a usual store', { audits: 1500, rareShare: 0.4 }],
  ['a usual store, in small batches', { audits: 1000, rareShare: 0.2, seed: 7 }, 70],
  ['a store of rare payloads only', { audits: 1000, rareShare: 1, supervisorShare: 1 }, 399],
  ['a small store', { audits: 600, rareShare: 0.2, smallSchema: true }, 100],
  ['a store without supervisor events', { audits: 100, supervisorShare: 0 }],
  ['an empty table', { audits: 0 }],
  ['an empty small table', { audits: 0, smallSchema: true }],
];

/**
 * What only PostgreSQL has: columns in the types that applications give them. Each type once, as neither column is read otherwise for what
 * the other is; the long form has each with each.
 */
const times = ['timestamptz', 'timestamp', 'text'] as const;
const forms: readonly PgForm[] = (['text', 'json', 'jsonb'] as const).flatMap((payload, i) =>
  times.filter((_, at) => isLong || at === i).map((createdAt) => ({ payload, createdAt })),
);

/** Times that only a column of text holds as they are. */
const oddTimes: Audit[] = [
  'infinity',
  '-infinity',
  '2026-01-20T23:30:00.5-11:30',
  '1999-12-31 23:59:59.999999',
].map((createdAt) => ({ createdAt }));

/** Keys at both ends of the range, with payloads that are read and such that are not. */
const farApart: Audit[] = [
  -(2n ** 63n),
  -(2n ** 63n) + 1n,
  -1n,
  0n,
  1n,
  2n ** 53n + 1n,
  2n ** 63n - 2n,
  2n ** 63n - 1n,
].map((key, i) => ({ key, payload: i % 3 === 2 ? '{' : `{"source_ts":"s${key}"}` }));

for (const engine of [...ENGINES, umzugEngine]) {
  describe(`${engine.title ?? engine.name}: up`, () => {
    before(function () {
      needEngine(this, engine);
    });

    for (const [what, options, batchRows] of stores) {
      it(`fills ${what} as the rules say, and touches nothing else`, () =>
        engine.withStore(options, (store) => fillAndCompare(store, batchRows)));
    }

    for (const form of engine.name === 'PostgreSQL' ? forms : []) {
      it(`fills payloads of ${form.payload}, and times of ${form.createdAt}, as the rules say`, () =>
        engine.withStore({ audits: 400, rareShare: 0.6, form, rows: oddTimes }, (store) =>
          fillAndCompare(store, 90),
        ));
    }

    it('takes the first of a name given twice, whichever letter of it an escape hides', () => {
      const name = 'source_ts';
      const rows = Array.from(name, (letter, i): Audit[] => {
        const hex = letter.charCodeAt(0).toString(16).padStart(4, '0');
        const hidden = `${name.slice(0, i)}\\u${hex}${name.slice(i + 1)}`;
        return [`{"${hidden}":"1","${name}":"2"}`, `{"${name}":"1","${hidden}":"2"}`].map((payload) => ({
          payload,
        }));
      }).flat();
      return engine.withStore({ audits: 0, rows }, async (store) => {
        await fillAndCompare(store);
        const found = await store.query('SELECT DISTINCT source_event_ts FROM task_audits');
        expect(found).to.deep.equal(['1']);
      });
    });

    it('leaves values that stand, and counts only what it filled', () =>
      engine.withStore(
        {
          audits: 900,
          rareShare: 0.3,
          // An empty text is a value, too, and so is a BLOB; a full row is never looked at, whatever its payload.
          prepare: `${COLUMNS.map((column) => `ALTER TABLE task_audits ADD COLUMN ${column} TEXT;`).join('')}
            UPDATE task_audits SET source_event_ts = 'stands' WHERE audit_id % 3 = 0;
            UPDATE task_audits SET source_event_ts = '' WHERE audit_id % 7 = 0;
            UPDATE task_audits SET supervisor_processed_at = 'it''s = there' WHERE audit_id % 5 = 0;
            UPDATE task_audits SET supervisor_processed_at = x'00ff' WHERE audit_id % 11 = 0`,
        },
        (store) => fillAndCompare(store, 64),
      ));

    it('writes nothing when it is applied again', () =>
      engine.withStore({ audits: 400, rareShare: 0.3 }, async (store) => {
        expect((await fill(store)).skips(NAME)).not.to.deep.equal([]);
        const traces = await store.traces();
        // Unreadable rows are still NULL: they must not be read again for that.
        const again = await catchUp(store);
        expect({ code: codeOf(again), ran: again.ran }).to.deep.equal({ code: undefined, ran: [] });
        expect(await store.traces()).to.deep.equal(traces);
      }));

    for (const batchRows of engine.name === 'SQLite' ? [1, 2, 3, 4, 100] : [1, 3, 100]) {
      it(`reaches keys at both ends of the range in batches of ${batchRows}`, () =>
        engine.withStore({ audits: 0, smallSchema: true, rows: farApart }, async (store) => {
          await fillAndCompare(store, batchRows);
          const filled = 'SELECT count(*) FROM task_audits WHERE source_event_ts IS NOT NULL';
          expect(await store.query(filled)).to.deep.equal(['6']);
        }));
    }

    if (engine.title) return; // takes long, and is no matter of who calls
    it('reads a document of 20 million characters', () => {
      // With an escape in a name: PostgreSQL leaves it to this program.
      const payload = `{"reason":"${'x'.repeat(2e7)}","source_\\u0074s":"s","timestamp":"t"}`;
      return engine.withStore({ audits: 0, smallSchema: true, rows: [{ payload }] }, async (store) => {
        expect((await fill(store)).skips(NAME)).to.deep.equal([]);
        expect([...(await store.cells()).values()]).to.deep.equal([['s', 't']]);
      });
    });
  });
}
