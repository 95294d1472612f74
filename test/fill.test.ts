import { join } from 'node:path';
import Database from 'better-sqlite3';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { generateStore, hostilePayloads, type StoreOptions } from '../demo/store-generator.js';
import type { RunOptions } from '../src/backfill/run-options.js';
import { applyBackfillStep, catchUp } from '../src/backfill/runner.js';
import { applySchemaStep } from '../src/schema/run.js';
import { actualCells, type Cells, expectedCells, expectedSkips, targets } from './support/reference.js';
import {
  asAgentOs,
  backfillStep,
  dumpTable,
  ledgeredCells,
  type Opened,
  schemaStep,
  withFolder,
  withGeneratedStore,
  withOpened,
} from './support/stores.js';

const NAME = backfillStep.name;
const COLUMNS = targets.map(({ column }) => column);

/** Applies both steps, as `up` does, and then looks at the ledger. */
async function fill<Result>(
  path: string,
  look: (opened: Opened) => Result,
  options: RunOptions = {},
): Promise<Result> {
  return await withOpened(path, async (opened) => {
    applySchemaStep(opened.store, opened.ledger, schemaStep);
    await applyBackfillStep(opened.store, opened.ledger, backfillStep, options);
    return look(opened);
  });
}

/** The recorded skips in the oracle's words. */
function recordedSkips({ ledger }: Opened): Map<string, unknown[]> {
  const skips = new Map<string, unknown[]>();
  for (const { key, target, reason } of ledger.skips(NAME)) {
    const entry = `${target}: ${reason}`;
    skips.set(String(key), [...(skips.get(String(key)) ?? []), entry]);
  }
  return skips;
}

/** The oracle's skips in the ledger's words, and in its order. */
function oracleSkips(path: string): Map<string, unknown[]> {
  const words = { unreadable: 'DOCUMENT_UNREADABLE', 'no-value': 'NO_USABLE_VALUE' } as const;
  return new Map(
    [...expectedSkips(path)].map(([key, skips]) => [
      key,
      skips.map(({ column, kind }) => `${column ?? '*'}: ${words[kind]}`).sort(),
    ]),
  );
}

/** Cells that were NULL before and hold a value now, as `key column`. */
function changedCells(before: ReadonlyMap<string, Cells>, after: ReadonlyMap<string, Cells>): string[] {
  return [...after].flatMap(([key, cells]) =>
    COLUMNS.filter((_, i) => cells[i] !== null && before.get(key)?.[i] === null).map(
      (name) => `${key} ${name}`,
    ),
  );
}

/** A dump without the two columns that are filled: the rest of the table, to the byte. */
const restOfTable = (path: string): string[] =>
  dumpTable(path).map((row) => row.replace(/ (?:source_event_ts|supervisor_processed_at)=\S*/g, ''));

const total = <Item>(items: readonly Item[], count: (item: Item) => number): number =>
  items.reduce((sum, item) => sum + count(item), 0);

const read = (path: string, sql: string): unknown[] =>
  asAgentOs(path, (db) => db.prepare(sql).pluck().safeIntegers().all());

/** Fills a store and compares everything that can be compared with the oracle, which looks at it before. */
async function fillAndCompare(path: string, batchRows?: number): Promise<void> {
  const told: string[] = [];
  const [expected, before, skips] = [expectedCells(path), actualCells(path), oracleSkips(path)];
  const rest = restOfTable(path);
  const scope = `event_type LIKE '%SUPERVISOR%'`;
  const inScope = new Set(read(path, `SELECT audit_id FROM task_audits WHERE ${scope}`).map(String));

  await fill(
    path,
    (opened) => {
      const actual = actualCells(path);
      expect([...actual]).to.deep.equal([...expected]);
      expect(restOfTable(path)).to.deep.equal(rest);
      expect(recordedSkips(opened)).to.deep.equal(skips);
      expect(told).to.deep.equal(
        opened.ledger.skips(NAME).map(({ key, target, reason }) => `${key} ${target} ${reason}`),
      );

      const changed = changedCells(before, actual);
      expect(ledgeredCells(opened.ledger).sort()).to.deep.equal(changed.sort());
      const runs = opened.ledger.runs(NAME);
      expect(runs.map(({ kind, status }) => `${kind} ${status}`)).to.deep.equal(['first filled']);
      const open = [...before].filter(([key, cells]) => inScope.has(key) && cells.includes(null)).length;
      expect(total(runs, (run) => run.rowsScanned)).to.equal(open);
      expect(total(runs, (run) => run.cellsFilled)).to.equal(changed.length);
      const left = [...actual].filter(([key]) => inScope.has(key)).flatMap(([, cells]) => cells);
      expect(total(runs, (run) => run.cellsSkipped)).to.equal(left.filter((cell) => cell === null).length);
      const batches = opened.ledger.batches(NAME);
      for (const count of ['rowsScanned', 'cellsFilled', 'cellsSkipped'] as const) {
        expect(
          total(batches, (batch) => batch[count]),
          count,
        ).to.equal(total(runs, (run) => run[count]));
      }
      for (const batch of batches) expect(batch.rowsScanned).to.be.at.most(batchRows ?? 5000);
    },
    {
      batchRows,
      onEvent: (event) => {
        if (event.event === 'row_skipped') told.push(`${event.key} ${event.target} ${event.reason}`);
      },
    },
  );
  expect(read(path, 'PRAGMA integrity_check')).to.deep.equal(['ok']);
}

describe('applyBackfillStep', () => {
  const stores: readonly (readonly [
    what: string,
    options: Omit<StoreOptions, 'path'>,
    batchRows?: number,
  ])[] = [
    ['a usual store', { audits: 3000, rareShare: 0.2 }],
    ['a usual store, in small batches', { audits: 3000, rareShare: 0.2, seed: 7 }, 170],
    ['a store of rare payloads only', { audits: 3000, rareShare: 1, supervisorShare: 1 }, 999],
    ['a store in rollback mode', { audits: 600, rareShare: 0.2, journalMode: 'delete' }, 100],
    ['a small store', { audits: 600, rareShare: 0.2, smallSchema: true }, 100],
    ['a store without supervisor events', { audits: 100, supervisorShare: 0 }],
    ['an empty table', { audits: 0 }],
    ['an empty small table', { audits: 0, smallSchema: true }],
  ];
  for (const [what, options, batchRows] of stores) {
    it(`fills ${what} as the rules say, and touches nothing else`, async () => {
      await withGeneratedStore(options, async (path) => {
        const others = () => (options.smallSchema ? [] : dumpTable(path, 'tasks'));
        const [tasks, versions] = [others(), dumpTable(path, 'schema_version')];
        await fillAndCompare(path, batchRows);
        expect(others()).to.deep.equal(tasks);
        // The schema step adds its own row; those before stand as they did.
        expect(dumpTable(path, 'schema_version').slice(0, -1)).to.deep.equal(versions);
        expect(read(path, 'PRAGMA journal_mode')).to.deep.equal([options.journalMode ?? 'wal']);
      });
    });
  }

  it('meets every payload form there is in the store of rare payloads', async () => {
    await withGeneratedStore({ audits: 3000, rareShare: 1, supervisorShare: 1 }, (path) => {
      const stored = new Set(read(path, 'SELECT hex(payload) FROM task_audits'));
      const missing = hostilePayloads.filter(
        ({ payload }) =>
          !stored.has((payload === null ? '' : Buffer.from(payload as string).toString('hex')).toUpperCase()),
      );
      expect(missing.map(({ name }) => name)).to.deep.equal([]);
    });
  });

  it('leaves values that stand, and counts only what it filled', async () => {
    await withGeneratedStore({ audits: 900, rareShare: 0.3 }, async (path) => {
      asAgentOs(path, (db) => {
        for (const column of COLUMNS) db.exec(`ALTER TABLE task_audits ADD COLUMN ${column} TEXT`);
        // An empty text and a BLOB are values too; a full row is never looked at, whatever its payload.
        db.exec(`UPDATE task_audits SET source_event_ts = 'stands' WHERE audit_id % 3 = 0;
          UPDATE task_audits SET source_event_ts = '' WHERE audit_id % 7 = 0;
          UPDATE task_audits SET supervisor_processed_at = x'00ff' WHERE audit_id % 5 = 0`);
      });
      await fillAndCompare(path, 64);
    });
  });

  it('does nothing more when it is applied again', async () => {
    await withGeneratedStore({ audits: 400, rareShare: 0.3 }, async (path) => {
      const totals = ({ ledger }: Opened) => [ledger.runs(NAME), ledger.batches(NAME), ledger.skips(NAME)];
      const first = await fill(path, totals);
      const cells = actualCells(path);
      // Unreadable rows are still NULL: they must not be read again for that.
      expect(await fill(path, totals)).to.deep.equal(first);
      expect(actualCells(path)).to.deep.equal(cells);
      await withOpened(path, async ({ store, ledger }) => {
        expect(await catchUp(store, ledger, backfillStep)).to.equal(false);
      });
    });
  });

  it('does not mind foreign keys that were violated before', async () => {
    await withGeneratedStore({ audits: 300, rareShare: 0.2 }, async (path) => {
      asAgentOs(path, (db) => db.exec(`UPDATE task_audits SET task_id = 'gone' WHERE audit_id % 2 = 0`));
      const violated = read(path, 'SELECT count(*) FROM pragma_foreign_key_check');
      expect(violated).to.deep.equal([150n]);
      await fillAndCompare(path);
      expect(read(path, 'SELECT count(*) FROM pragma_foreign_key_check')).to.deep.equal(violated);
    });
  });

  for (const batchRows of [1, 2, 3, 4, 100]) {
    it(`reaches keys at both ends of the range in batches of ${batchRows}`, async () => {
      const keys = [
        -(2n ** 63n),
        -(2n ** 63n) + 1n,
        -1n,
        0n,
        1n,
        2n ** 53n + 1n,
        2n ** 63n - 2n,
        2n ** 63n - 1n,
      ];
      await withGeneratedStore({ audits: 0, smallSchema: true }, async (path) => {
        asAgentOs(path, (db) => {
          const insert = db.prepare('INSERT INTO task_audits VALUES (?, ?, ?, ?)');
          keys.forEach((key, i) => {
            insert.run(
              key,
              'SUPERVISOR_DECISION',
              i % 3 === 2 ? '{' : `{"source_ts":"s${key}"}`,
              '2026-01-20',
            );
          });
        });
        await fillAndCompare(path, batchRows);
        expect(
          read(path, 'SELECT count(*) FROM task_audits WHERE source_event_ts IS NOT NULL'),
        ).to.deep.equal([6n]);
      });
    });
  }

  it('takes no name for another that goes on with bytes that are no UTF-8', async () => {
    // With an escape in the name SQLite decodes it, and ends the comparison where a byte decodes to zero.
    const names = ['\xff', '\xc0\x80', '\xe0', '\xf0', '\xfe'].flatMap((bytes) =>
      ['\\n', '\\"', '\\/', '\\u4e8c'].map((escaped) => `source_ts${bytes}${escaped}`),
    );
    await withGeneratedStore({ audits: 0, smallSchema: true }, async (path) => {
      asAgentOs(path, (db) => {
        const insert = db.prepare(
          `INSERT INTO task_audits VALUES (?, 'SUPERVISOR_ERROR', CAST(? AS TEXT), '2026-01-20')`,
        );
        names.forEach((name, i) => {
          insert.run(i, Buffer.from(`{"${name}":"other","timestamp":"t"}`, 'latin1'));
        });
      });
      await fillAndCompare(path);
      expect(read(path, 'SELECT DISTINCT source_event_ts FROM task_audits')).to.deep.equal(['2026-01-20']);
    });
  });

  for (const encoding of ['UTF-16le', 'UTF-16be']) {
    it(`reads a store in ${encoding}`, async () => {
      const C = '2026-01-20 10:00:00';
      // By hand: the oracle reads UTF-8 only.
      const rows: readonly (readonly [
        payload: string | null,
        source: string | null,
        processed: string | null,
      ])[] = [
        [null, C, C],
        ['', C, C],
        ['{"source_ts":"2026-01-20T10:00:00Z","timestamp":1768903200}', '2026-01-20T10:00:00Z', '1768903200'],
        ['{"reason":"暂停：需要确认","source_ts":"二〇二六年","timestamp":"😀"}', '二〇二六年', '😀'],
        [String.raw`{"\u0073ource_ts":"\u4e8c\ud83d\ude00\n","timestamp":"年"}`, '二😀\n', '年'],
        ['{"source_ts":NaN,"event_timestamp":"年","processed_at":Infinity}', '年', C],
        [String.raw`{"source_ts":"\ud800","event_timestamp":"\u0000","task_created_at":7}`, '7', C],
        ['{"source_ts":"年",}', null, null],
        ["{'source_ts':'年'}", null, null],
        ['{"source_ts":"年"}\0', null, null],
        ['\ufeff{"source_ts":"年"}', null, null],
      ];
      await withFolder(async (folder) => {
        const [path, utf8] = [join(folder, 'store.db'), join(folder, 'utf8.db')];
        // The schema comes from the generator; an encoding can only be chosen before the first table.
        generateStore({ path: utf8, audits: 0, smallSchema: true });
        const schema = read(utf8, 'SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL') as string[];
        const db = new Database(path);
        db.pragma(`encoding = '${encoding}'`);
        for (const sql of schema) db.exec(sql);
        db.exec(`INSERT INTO schema_version (version) VALUES ('0.20.0')`);
        const insert = db.prepare(`INSERT INTO task_audits VALUES (?, 'SUPERVISOR_决定', ?, ?)`);
        rows.forEach(([payload], i) => {
          insert.run(i, payload, C);
        });
        db.close();

        const skips = await fill(path, (opened) => [...recordedSkips(opened).keys()], { batchRows: 4 });
        const sql = `SELECT json_array(${COLUMNS}) FROM task_audits ORDER BY audit_id`;
        const filled = (read(path, sql) as string[]).map((json): unknown => JSON.parse(json));
        expect(filled).to.deep.equal(rows.map(([, source, processed]) => [source, processed]));
        expect(skips).to.deep.equal(['7', '8', '9', '10']);
        expect(read(path, 'PRAGMA integrity_check')).to.deep.equal(['ok']);
        expect(read(path, 'PRAGMA encoding')).to.deep.equal([encoding]);
      });
    });
  }
});
