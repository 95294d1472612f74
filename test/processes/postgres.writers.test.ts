import { expect } from 'chai';
import { before, describe, it } from 'mocha';
import { type CliResult, spawnCli } from '../support/cli.js';
import { randomNumbers } from '../support/crash.js';
import { expectPgLedger } from '../support/postgres-ledger.js';
import { argsOn, MANY, OURS, runOn, start, untilFound, useCopies, V21 } from '../support/postgres-runs.js';
import { column, needServer, type TestDatabase } from '../support/postgres-server.js';
import { actualPgCells } from '../support/postgres-stores.js';
import type { Cells } from '../support/reference.js';

// Another program writes to the rows that are being filled.

const OWN = 'written by the application';
const payload = (time: string): string => `{"source_ts": "${time}", "timestamp": "${time}"}`;
const SKIPS = `SELECT key || ' ' || target || ' ' || reason FROM umzug_backfill_skips WHERE reason LIKE 'POSTGRES%' ORDER BY key::int8`;
const IS_WAITING = `SELECT 1 ${OURS} AND wait_event_type = 'Lock' AND query LIKE 'WITH read_rows%'`;

describe('rows that another program writes while they are filled', () => {
  const onCopy = useCopies({ audits: 300, ...V21 });
  const onMany = useCopies({ ...MANY, ...V21 });
  let whole: Map<string, Cells> = new Map();
  before(async function () {
    needServer(this);
    whole = await onCopy(async ({ url, client }) => {
      await runOn(url, 'up');
      return await actualPgCells(client);
    });
  });

  /** Keys of rows that a run fills in both columns, first to last. */
  const filled = (): string[] => [...whole].filter(([, cells]) => !cells.includes(null)).map(([key]) => key);

  async function expectCells(
    { client }: TestDatabase,
    other: Record<string, Cells | undefined>,
  ): Promise<void> {
    const expected = new Map(whole);
    for (const [key, cells] of Object.entries(other)) {
      if (cells) expected.set(key, cells);
      else expected.delete(key);
    }
    expect(await actualPgCells(client)).to.deep.equal(expected);
  }

  /** The same of the larger store. */
  const filledInMany = (): Promise<string[]> =>
    onMany(async ({ url, client }) => {
      await runOn(url, 'up');
      const hasBoth = 'source_event_ts IS NOT NULL AND supervisor_processed_at IS NOT NULL';
      return await column(client, `SELECT audit_id FROM task_audits WHERE ${hasBoth} ORDER BY audit_id`);
    });

  /** Lets the run meet rows that another transaction has changed, and does not have them before it has committed. */
  async function runInto(copy: TestDatabase, ...changes: readonly string[]): Promise<CliResult> {
    const other = await copy.connect();
    await other.query('BEGIN');
    for (const sql of changes) await other.query(sql);
    const running = start(argsOn(copy.url, 'up'));
    await untilFound(copy.client, IS_WAITING);
    await other.query('COMMIT');
    const result = await running.result;
    expect(result.code, result.stdout + result.stderr).to.equal(0);
    return result;
  }

  it('keep what the program has written, and are derived from what it has written', () =>
    onCopy(async (copy) => {
      const [before] = [await actualPgCellsOf(copy)];
      const [one = '', two = '', three = '', four = ''] = filled().slice(3);
      const { stderr } = await runInto(
        copy,
        `UPDATE task_audits SET source_event_ts = '${OWN}' WHERE audit_id = ${one}`,
        `UPDATE task_audits SET payload = '${payload('2026-02-02T02:02:02Z')}' WHERE audit_id = ${two}`,
        `DELETE FROM task_audits WHERE audit_id = ${three}`,
        `UPDATE task_audits SET event_type = 'TASK_DONE' WHERE audit_id = ${four}`,
      );
      expect(stderr).to.include('"event":"store_busy"');
      await expectCells(copy, {
        [one]: [OWN, whole.get(one)?.[1] ?? null],
        [two]: ['2026-02-02T02:02:02Z', '2026-02-02T02:02:02Z'],
        [three]: undefined,
        [four]: [null, null],
      });
      await expectPgLedger(copy.client, new Map(before).set(one, [OWN, null]));
      await runOn(copy.url, 'down');
    }));

  it('are as if nothing had been, when the program rolls back', () =>
    onCopy(async (copy) => {
      const other = await copy.connect();
      await other.query(`BEGIN; UPDATE task_audits SET source_event_ts = '${OWN}'`);
      const running = start(argsOn(copy.url, 'up'));
      await running.told('"event":"store_busy"'); // not within a second
      await other.query('ROLLBACK');
      expect((await running.result).code).to.equal(0);
      await expectCells(copy, {});
    }));

  it('are filled by several workers all the same, with two programs that write all the time', () =>
    onMany(async (copy) => {
      const { url, client, connect } = copy;
      // A row without a value is skipped: what is written to it behind that waits for a rescan.
      const keys = await filledInMany();
      const random = randomNumbers(7);
      const [own, anew] = [new Set<string>(), new Map<string, string>()];
      let isOver = false;
      const write = async (act: (key: string) => Promise<void>): Promise<void> => {
        while (!isOver) await act(keys[Math.floor(random() * keys.length)] ?? '');
      };
      const [first, second] = [await connect(), await connect()];
      const writers = [
        write(async (key) => {
          await first.query(
            `UPDATE task_audits SET source_event_ts = $2, supervisor_processed_at = $2 WHERE audit_id = $1`,
            [key, OWN],
          );
          own.add(key);
        }),
        write(async (key) => {
          const time = `2026-03-${10 + (anew.size % 20)}T00:00:00Z`;
          // Not what is filled already: that would be a cell that holds no more what its row derives.
          const { rowCount } = await second.query(
            `UPDATE task_audits SET payload = $2 WHERE audit_id = $1 AND source_event_ts IS NULL AND supervisor_processed_at IS NULL`,
            [key, payload(time)],
          );
          if (rowCount === 1) anew.set(key, time);
        }),
      ];
      const result = await spawnCli(argsOn(url, 'up', '--workers', '2', '--json'));
      isOver = true;
      await Promise.all(writers);
      expect(own.size).to.be.above(20);
      expect(anew.size).to.be.above(5);
      const now = await actualPgCells(client);
      expect(
        [...own].filter((key) => now.get(key)?.join() !== `${OWN},${OWN}`),
        'lost updates',
      ).to.deep.equal([]);
      const stale = [...anew].filter(
        ([key, time]) => !own.has(key) && now.get(key)?.join() !== `${time},${time}`,
      );
      expect(stale, 'derived from a payload that was gone').to.deep.equal([]);
      // A cell that was filled and then changed within one run is another transaction's, and no fault of the run.
      expect(result.code, result.stdout + result.stderr).to.equal(0);
    }));

  it('halve a batch, down to the row, for as long as they are written before it ends', () =>
    onCopy(async ({ url, client, connect }) => {
      const [first = ''] = filled();
      await client.query(`DELETE FROM task_audits WHERE audit_id < ${first}`);
      const others = [await connect(), await connect()];
      const write = (i: number) =>
        others[i % 2]?.query(
          `BEGIN; UPDATE task_audits SET event_type = event_type WHERE audit_id = ${first}`,
        );
      await write(0);
      const running = start(argsOn(url, 'up'));
      let since = '-infinity';
      // Batches of 10, 5, 3 and 2 rows, each of which finds at its end that another has written its first row.
      for (const i of [0, 1, 2, 3]) {
        await untilFound(client, `${IS_WAITING} AND xact_start > '${since}'`);
        const next = i < 3 ? write(i + 1) : undefined; // it waits for the one before, and has the row before our next try
        since = (await column(client, 'SELECT clock_timestamp()::text'))[0] ?? '';
        await others[i % 2]?.query('COMMIT');
        await next;
      }
      const { code, stdout, stderr } = await running.result;
      expect(code, stdout + stderr).to.equal(0);
      const sizes = [...stderr.matchAll(/"event":"batch_committed".*"rowsScanned":(\d+)/g)].map(([, rows]) =>
        Number(rows),
      );
      expect(sizes.slice(0, 5)).to.deep.equal([1, 2, 4, 8, 10]);
      expect(stderr.match(/"event":"store_busy"/g)).to.have.length(4);
    }));
});

describe('a row that the database refuses to update', () => {
  const onCopy = useCopies({ audits: 300, ...V21 });
  const onMany = useCopies({ ...MANY, ...V21 });
  const onEnough = useCopies({ audits: 2000, others: 10, ...V21 });
  before(function () {
    needServer(this);
  });

  const raise = (key: string, when: string): string =>
    `CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
      IF NEW.audit_id = ${key} THEN RAISE EXCEPTION 'secret of the payload'; END IF; RETURN NEW; END $$;
    CREATE ${when} UPDATE ON task_audits ${when.startsWith('CONSTRAINT') ? 'DEFERRABLE INITIALLY DEFERRED ' : ''}FOR EACH ROW EXECUTE FUNCTION refuse()`;
  const obstacles: readonly (readonly [
    what: string,
    (key: string) => string,
    code: string,
    workers: 1 | 2,
  ])[] = [
    ['by a trigger', (key) => raise(key, 'TRIGGER refuse BEFORE'), 'POSTGRES_P0001', 2],
    ['by a trigger behind it', (key) => raise(key, 'TRIGGER refuse AFTER'), 'POSTGRES_P0001', 1],
    [
      'by a trigger at the commit',
      (key) => raise(key, 'CONSTRAINT TRIGGER refuse AFTER'),
      'POSTGRES_P0001',
      1,
    ],
    [
      'by a constraint',
      (key) =>
        `ALTER TABLE task_audits ADD CONSTRAINT refuse CHECK (audit_id <> ${key} OR source_event_ts IS NULL)`,
      'POSTGRES_23514',
      2,
    ],
    [
      'by a type',
      (key) => `ALTER TABLE task_audits ALTER source_event_ts TYPE varchar(3000);
        UPDATE task_audits SET payload = '${payload('x'.repeat(3001))}' WHERE audit_id = ${key}`,
      'POSTGRES_22001',
      1,
    ],
  ];

  for (const [what, obstacle, code, workers] of obstacles)
    it(`${what} is recorded as a skip, and all others are filled (workers: ${workers})`, async () => {
      await (workers === 1 ? onCopy : onMany)(async ({ url, client, connect }) => {
        const [key = ''] = await column(
          client,
          `SELECT audit_id FROM task_audits WHERE event_type = 'SUPERVISOR_DECISION' ORDER BY audit_id OFFSET 25 LIMIT 1`,
        );
        await (await connect()).query(obstacle(key));
        const allowed = what.includes('trigger') ? ['--allow-triggers'] : [];
        const { stdout, stderr } = await runOn(url, 'up', '--workers', String(workers), ...allowed);
        expect(stdout + stderr).not.to.include('secret');
        expect(await column(client, SKIPS)).to.deep.equal([`${key} * ${code}`]);
        const left = `SELECT a.audit_id FROM task_audits AS a WHERE event_type ILIKE '%SUPERVISOR%' AND source_event_ts IS NULL
            AND NOT EXISTS (SELECT 1 FROM umzug_backfill_skips AS s WHERE s.key = a.audit_id::text)`;
        expect(await column(client, left)).to.deep.equal([]);
        expect(await column(client, `SELECT verdict FROM umzug_backfill_verifications`)).to.deep.equal([
          'warn',
        ]);
      });
    });

  it('counts against what all workers have read together', () =>
    onEnough(async ({ url, client, connect }) => {
      // Not one in a hundred rows of the run, and more than that of what one of four workers reads.
      const last = `SELECT audit_id FROM task_audits WHERE event_type ILIKE '%SUPERVISOR%' ORDER BY audit_id DESC OFFSET 12 LIMIT 1`;
      const [first = ''] = await column(client, last);
      await (await connect()).query(
        raise(`any(ARRAY(${last.replace(/OFFSET.*/, 'LIMIT 13')}))`, 'TRIGGER refuse BEFORE'),
      );
      await runOn(url, 'up', '--workers', '4', '--allow-triggers');
      const refused = await column(client, SKIPS);
      expect(refused.length).to.be.within(11, 13);
      expect(refused.every((line) => Number(line.split(' ')[0]) >= Number(first))).to.equal(true);
    }));
});

const actualPgCellsOf = async ({ client }: TestDatabase): Promise<Map<string, Cells>> => {
  const keys = await column(client, 'SELECT audit_id FROM task_audits');
  return new Map(keys.map((key) => [key, [null, null]]));
};
