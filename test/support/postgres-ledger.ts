import { expect } from 'chai';
import type pg from 'pg';
import { expectSameCells } from './expect-ledger.js';
import type { State } from './expect-same.js';
import { readPgLedger } from './ledger.js';
import { COLUMNS } from './oracle-words.js';
import { dumpPgStore } from './postgres-dump.js';
import { column } from './postgres-server.js';
import { actualPgCells } from './postgres-stores.js';
import type { Cells } from './reference.js';

// What must hold of a database at any instant at which no process of ours is connected, a run killed or ended.

/** What a database holds for good: all but times, numbers of batches, and who did what. */
export async function lasting(client: pg.Client): Promise<State> {
  const { schema, tables } = await dumpPgStore(client);
  const own = Object.entries(tables).filter(([table]) => !table.startsWith('umzug_backfill_'));
  const versions = tables.schema_version?.map((line) => line.replace(/^(version='0\.21\.0').*/, '$1')) ?? [];
  const isKnown = schema.some((line) => line.includes('umzug_backfill_steps'));
  const lines = async (table: string, columns: string, order = '1'): Promise<string[]> =>
    isKnown
      ? await column(
          client,
          `SELECT concat_ws(' ', ${columns}) FROM umzug_backfill_${table} ORDER BY ${order}`,
        )
      : [];
  return {
    schema,
    ...Object.fromEntries(own),
    schema_version: versions,
    steps: await lines('steps', 'name, kind, status, fingerprint'),
    objects: await lines('objects', 'step, kind, name'),
    skips: await lines('skips', 'backfill, key, target, reason'),
    runs: await lines('runs', 'run, kind, status, start_key, watermark, prefilled_cells'),
    verdict: await lines('verifications', 'verdict', 'number DESC LIMIT 1'),
  };
}

/** A database that can be taken back to this: everything in it counts. */
export async function wholePgStore(client: pg.Client): Promise<State> {
  const { schema, tables } = await dumpPgStore(client);
  return { schema, ...tables };
}

/**
 * Insists that no two batches of a run overlap, that each lies in its range, and that the ledger, the totals of its ranges and the
 * table tell of the same cells; `before` is what the table held before anything was filled.
 */
export async function expectPgLedger(client: pg.ClientBase, before: Map<string, Cells>, mostRuns = 1) {
  const now = await actualPgCells(client);
  const isNew = (key: string, i: number) => (before.get(key)?.[i] ?? null) === null;
  const filled = [...now].flatMap(([key, cells]) =>
    COLUMNS.flatMap((name, i) => (cells[i] != null && isNew(key, i) ? [`${key} ${name}`] : [])),
  );
  const ledger = await readPgLedger(client);
  expectSameCells(ledger, filled.sort(), mostRuns);
  if (!ledger.exists()) return;
  for (const [what, sql] of Object.entries(CONTRADICTIONS))
    expect(await column(client, sql), what).to.deep.equal([]);
}

/** Each query finds what contradicts; none may find anything. */
const CONTRADICTIONS: Readonly<Record<string, string>> = {
  'two batches of a run overlap': `SELECT a.number || ' ' || b.number FROM umzug_backfill_batches AS a
    JOIN umzug_backfill_batches AS b USING (backfill, run)
    WHERE a.number <> b.number AND a.first_key::int8 <= b.last_key::int8 AND b.first_key::int8 <= a.last_key::int8`,
  'a batch is outside of its range': `SELECT b.number FROM umzug_backfill_batches AS b
    LEFT JOIN umzug_backfill_ranges AS r ON r.backfill = b.backfill AND r.run = b.run AND r.number = b.range_number
    WHERE r.number IS NULL OR b.first_key::int8 <= coalesce(r.start_key::int8, -9223372036854775808)
      OR b.last_key::int8 > coalesce(r.cursor, r.start_key)::int8 OR b.last_key::int8 > r.end_key::int8`,
  'the totals of a range are not those of its batches': `SELECT r.run || ' ' || r.number FROM umzug_backfill_ranges AS r
    LEFT JOIN umzug_backfill_batches AS b ON b.backfill = r.backfill AND b.run = r.run AND b.range_number = r.number
    GROUP BY r.backfill, r.run, r.number HAVING (r.batches, r.rows_scanned, r.cells_filled, r.cells_skipped)
      IS DISTINCT FROM (count(b.number), coalesce(sum(b.rows_scanned), 0), coalesce(sum(b.cells_filled), 0), coalesce(sum(b.cells_skipped), 0))
      OR coalesce(max(b.last_key::int8), r.start_key::int8) IS DISTINCT FROM r.cursor::int8`,
  'two ranges do not follow one another': `SELECT run || ' ' || number FROM (SELECT run, number, start_key,
      lag(end_key) OVER w AS before, row_number() OVER w AS place FROM umzug_backfill_ranges WINDOW w AS (PARTITION BY backfill, run ORDER BY number)) AS r
    WHERE number <> place OR number > 1 AND start_key IS DISTINCT FROM before`,
  'a run that has ended has an open range': `SELECT r.run FROM umzug_backfill_ranges AS r JOIN umzug_backfill_runs USING (backfill, run)
    WHERE r.is_done = 0 AND status IN ('filled', 'verified')`,
  'a skip is of no batch': `SELECT key FROM umzug_backfill_skips AS s
    WHERE NOT EXISTS (SELECT 1 FROM umzug_backfill_batches AS b WHERE b.backfill = s.backfill AND b.number = s.batch)`,
};
