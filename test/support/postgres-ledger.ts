import { expect } from 'chai';
import type pg from 'pg';
import { ledgeredCells, readPgLedger } from './ledger.js';
import { column } from './postgres-runs.js';
import { dumpPgStore } from './postgres-stores.js';
import { type Cells, targets } from './reference.js';
import { backfillStep } from './stores.js';

// What must hold of a database at any instant at which no process of ours is connected, a run killed or ended.

const { name } = backfillStep;

/** What a database holds for good: all but times, numbers of batches, and who did what. */
export async function lasting(client: pg.Client): Promise<Record<string, readonly string[]>> {
  const { schema, tables } = await dumpPgStore(client);
  const own = Object.entries(tables).filter(([table]) => !table.startsWith('umzug_backfill_'));
  const versions = tables.schema_version?.map((line) => line.replace(/^(version='0\.21\.0').*/, '$1')) ?? [];
  const ledger = async (sql: string): Promise<string[]> =>
    schema.some((line) => line.includes('umzug_backfill_steps')) ? await column(client, sql) : [];
  return {
    schema,
    ...Object.fromEntries(own),
    schema_version: versions,
    steps: await ledger(
      `SELECT concat_ws(' ', name, kind, status, fingerprint) FROM umzug_backfill_steps ORDER BY 1`,
    ),
    objects: await ledger(`SELECT concat_ws(' ', step, kind, name) FROM umzug_backfill_objects ORDER BY 1`),
    skips: await ledger(
      `SELECT concat_ws(' ', backfill, key, target, reason) FROM umzug_backfill_skips ORDER BY 1`,
    ),
    runs: await ledger(
      `SELECT concat_ws(' ', run, kind, status, start_key, watermark, found_cells) FROM umzug_backfill_runs ORDER BY 1`,
    ),
    verdict: await ledger('SELECT verdict FROM umzug_backfill_verifications ORDER BY number DESC LIMIT 1'),
  };
}

/** A database that can be taken back to this: everything in it counts. */
export async function wholePgStore(client: pg.Client): Promise<Record<string, readonly string[]>> {
  const { schema, tables } = await dumpPgStore(client);
  return { schema, ...tables };
}

/** Tables in which two states of a database differ, with some of the lines that only one has. */
export function differences(
  now: Record<string, readonly string[]>,
  then: Record<string, readonly string[]>,
): string[] {
  const names = [...new Set([...Object.keys(now), ...Object.keys(then)])];
  return names.flatMap((table) => {
    const [has, had] = [new Set(now[table] ?? []), new Set(then[table] ?? [])];
    const only = (sign: string, lines: Set<string>, others: Set<string>): string[] =>
      [...lines].filter((line) => !others.has(line)).map((line) => `${table} ${sign} ${line.slice(0, 300)}`);
    return [...only('+', has, had).slice(0, 5), ...only('-', had, has).slice(0, 5)];
  });
}

/**
 * Insists that no two batches of a run overlap, that each lies in its range, and that the ledger, the totals of its ranges and the
 * table tell of the same cells.
 *
 * @param before what the table held before anything was filled
 * @param mostRuns how many runs there are at most
 */
export async function expectPgLedger(
  client: pg.ClientBase,
  before: Map<string, Cells>,
  mostRuns = 1,
): Promise<void> {
  const ledger = await readPgLedger(client);
  if (!ledger.exists()) {
    expect(await filledCells(client, before)).to.deep.equal([]);
    return;
  }
  const cells = ledgeredCells(ledger, name);
  expect(new Set(cells).size, 'each cell once').to.equal(cells.length);
  expect(cells.sort()).to.deep.equal((await filledCells(client, before)).sort());
  const batches = ledger.batches(name);
  expect(batches.reduce((sum, { cellsFilled }) => sum + cellsFilled, 0)).to.equal(cells.length);
  const runs = ledger.runs(name);
  expect(runs).to.have.length.at.most(mostRuns);
  expect(runs.map(({ run }) => run)).to.include.members(batches.map(({ run }) => run));
  await expectRanges(client);
}

/** Cells that the table holds and did not hold before, as `ledgeredCells` writes them. */
async function filledCells(client: pg.ClientBase, before: Map<string, Cells>): Promise<string[]> {
  const found: string[] = [];
  for (const [i, { column: target }] of targets.entries()) {
    const has = await column(
      client,
      `SELECT 1 FROM pg_attribute WHERE attrelid = 'task_audits'::regclass AND attname = '${target}'`,
    );
    if (has.length === 0) continue;
    const keys = await column(client, `SELECT audit_id FROM task_audits WHERE ${target} IS NOT NULL`);
    found.push(
      ...keys.filter((key) => (before.get(key)?.[i] ?? null) === null).map((key) => `${key} ${target}`),
    );
  }
  return found;
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

async function expectRanges(client: pg.ClientBase): Promise<void> {
  for (const [what, sql] of Object.entries(CONTRADICTIONS))
    expect(await column(client, sql), what).to.deep.equal([]);
}
