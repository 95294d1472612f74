import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { expect } from 'chai';
import { before, describe, it } from 'mocha';
import { main } from '../src/cli/main.js';
import { defineBackfill, firstOf } from '../src/index.js';
import { cleanEnv, collector, root, runCli, useFolder } from './support/cli.js';
import { stoppedAfter } from './support/migrate.js';
import { type Extra, named, projectOf } from './support/project.js';
import { screenOf } from './support/terminal.js';

const fill = (name: string, column: string) =>
  named(
    name,
    defineBackfill({ table: 'events', key: 'id', columns: { [column]: firstOf('body', ['ts'], 'created') } }),
  );
const project = projectOf([fill('001-one', 'one')]);

type Id = number | bigint;

/** So many ids in a row. */
const ids = (first: number, count: number): number[] => Array.from({ length: count }, (_, i) => first + i);

/** Makes a store whose table has rows of these ids; of some no value can be derived. */
function makeStore(path: string, rows: readonly Id[], bad: readonly Id[] = []): string {
  const db = new Database(path);
  db.exec('CREATE TABLE events (id INTEGER PRIMARY KEY, body TEXT, created TEXT, one TEXT, two TEXT)');
  const insert = db.prepare(`INSERT INTO events (id, body) VALUES (?, ?)`);
  db.transaction(() => {
    for (const id of rows) insert.run(id, bad.includes(id) ? '{' : '{"ts":"2026-01-20T10:00:00Z"}');
  })();
  db.close();
  return path;
}

/** Runs `act` while the clock stands still, but for the milliseconds that are added. */
async function withClock<Result>(act: (tick: (ms: number) => void) => Promise<Result>): Promise<Result> {
  let now = Math.round(performance.now()); // whole milliseconds add up exactly
  performance.now = () => now;
  try {
    return await act((ms) => {
      now += ms;
    });
  } finally {
    Reflect.deleteProperty(performance, 'now');
  }
}

/** What each batch takes, and what else a command is told. */
interface Run extends Extra {
  readonly batchMs: number;
  readonly steps?: typeof project;
}

/** Options under which a command's batches take so long. */
const timed = ({ batchMs, steps = project, ...extra }: Run, path: string, tick: (ms: number) => void) => ({
  program: 'umzug-backfill',
  loadMigrator: async () => ({
    pace: 'full' as const,
    ...extra,
    project: steps,
    path,
    onEvent: (event: Parameters<NonNullable<Extra['onEvent']>>[0]) => {
      if (/^batch_(?:committed|reverted)$/.test(event.event)) tick(batchMs);
      extra.onEvent?.(event);
    },
  }),
});

describe('progress in the log', () => {
  const folder = useFolder();
  let count = 0;
  const store = (rows: readonly Id[], bad?: readonly Id[]): string => {
    count += 1;
    return makeStore(folder.file(`${count}.db`), rows, bad);
  };

  /** The lines of progress that a command logs, ten seconds a batch unless told otherwise. */
  const logged = (path: string, args: readonly string[], run: Partial<Run> = {}) =>
    withClock(async (tick) => {
      const { stderr } = await runCli([...args, '--no-backup', '--db-path', path], {
        embedding: timed({ batchMs: 10_000, ...run }, path, tick),
      });
      const lines = stderr.split('\n').filter((line) => line.includes('"event":"progress"'));
      return lines.map((line) => {
        const { level: _, time: __, event: ___, ...progress } = JSON.parse(line);
        return progress;
      });
    });

  it('goes by the keys between the cursor and the watermark', async () => {
    const rows = [
      ...ids(901, 100),
      ...[...ids(1001, 99), 1250],
      ...[...ids(1251, 99), 1500],
      ...[...ids(1501, 99), 1990],
      ...ids(1991, 10),
    ];
    const path = store(rows, [1001, 1002, 1250, 1251, 1500]);
    await logged(path, ['up'], { batchRows: 100, ...stoppedAfter(1) });
    const common = { backfill: '001-one', direction: 'up', rowsPerSecond: 10, batchRows: 100 };
    expect(await logged(path, ['up'], { batchRows: 100 })).to.deep.equal([
      { ...common, rows: 100, percent: 25, etaSeconds: 30, skippedCells: 3 },
      { ...common, rows: 200, percent: 50, etaSeconds: 20, skippedCells: 5 },
      { ...common, rows: 300, percent: 99, etaSeconds: 1, skippedCells: 5 },
      { ...common, rows: 310, percent: 100, etaSeconds: 0, skippedCells: 5, rowsPerSecond: 8, batchRows: 10 },
    ]);
  });

  it('begins at the first key where there is no cursor', async () => {
    const percents = async (rows: readonly Id[], batchRows: number) =>
      (await logged(store(rows), ['up'], { batchRows })).map(({ percent, etaSeconds }) => [
        percent,
        etaSeconds,
      ]);
    expect(await percents([...ids(500, 9), 600, ...ids(601, 9), 900], 10)).to.deep.equal([
      [25, 30],
      [100, 0],
    ]);
    expect(await percents([900], 10)).to.deep.equal([[100, 0]]);
    expect(await percents([1, 2, 5], 1)).to.deep.equal([
      [0, undefined],
      [25, 60],
      [100, 0],
    ]);
  });

  it('knows keys apart that JavaScript takes for the same number', async () => {
    const path = store([2n ** 53n + 1n, 2n ** 53n + 2n, 2n ** 53n + 3n]);
    await logged(path, ['up'], { batchRows: 1, ...stoppedAfter(1) });
    const found = await logged(path, ['up'], { batchRows: 1 });
    expect(found.map(({ percent }) => percent)).to.deep.equal([50, 100]);
  });

  it('goes by the batches of a `down`, of each backfill by itself', async () => {
    const path = store(ids(1, 40));
    const steps = projectOf([fill('001-one', 'one'), fill('002-two', 'two')]);
    await logged(path, ['up'], { steps, batchRows: 10 });
    const each = (backfill: string) =>
      [25, 50, 75, 100].map((percent, i) => ({ backfill, direction: 'down', percent, rows: 10 * (i + 1) }));
    const found = await logged(path, ['down', '--to', '0', '--yes'], { steps });
    expect(
      found.map(({ backfill, direction, percent, rows }) => ({ backfill, direction, percent, rows })),
    ).to.deep.equal([...each('002-two'), ...each('001-one')]);
    expect(found.map(({ batchRows }) => batchRows)).to.deep.equal(Array(8).fill(10));
    expect(found.map(({ skippedCells }) => skippedCells)).to.deep.equal(Array(8).fill(0));
  });

  it('is told every five seconds, and not of what has no batches', async () => {
    const found = await logged(store(ids(1, 70)), ['up'], { batchRows: 10, batchMs: 2000 });
    expect(found.map(({ rows }) => rows)).to.deep.equal([30, 60]);
    const empty = store([]);
    const slowly = withClock((tick) =>
      runCli(['up', '--no-backup', '--db-path', empty], {
        embedding: timed({ batchMs: 0, onEvent: () => tick(10_000) }, empty, tick),
      }),
    );
    const { stderr } = await slowly;
    expect(stderr).to.include('"event":"verified"').and.not.include('"progress"');
  });
});

describe('the bar on a terminal', () => {
  const folder = useFolder();
  let count = 0;
  before(() => makeStore(folder.file('new.db'), [...ids(1, 999), 45_601, 100_001], ids(1, 42)));

  const fresh = (): string => {
    count += 1;
    copyFileSync(folder.file('new.db'), folder.file(`${count}.db`));
    return folder.file(`${count}.db`);
  };

  /** What a command shows on a terminal, whose batches take so long, and its bars, one after the other. */
  const shown = (path: string, args: readonly string[], run: Run, columns: number, env = {}) =>
    withClock(async (tick) => {
      const stderr = Object.assign(collector(), { isTTY: true, columns });
      await main([...args, '--no-backup', '--db-path', path], {
        env: cleanEnv(join(folder.path, 'none'), { CI: '', TERM: 'xterm', ...env }),
        folder: root,
        stdout: collector(),
        stderr,
        embedding: timed(run, path, tick),
      });
      const pieces = stderr.text.split(/\u001b\[[\d;?]*[A-Za-z]|\u001b[78]|[\r\n]/);
      return { output: stderr.text, bars: pieces.filter((piece) => /^(?!\d\d:)(?:[█░]|.*%)/.test(piece)) };
    });

  /** The bars of a run that is stopped after a batch of 1,000 rows, which has come to 45.6%. */
  const bars = async (columns: number, batchMs: number, env = {}): Promise<readonly string[]> =>
    (await shown(fresh(), ['up'], { batchMs, batchRows: 1000, ...stoppedAfter(1) }, columns, env)).bars;

  for (const columns of [200, 120, 80, 60, 40, 20, 8, 1]) {
    it(`fits in ${columns} columns`, async () => {
      const found = await bars(columns, 1000);
      for (const bar of found) expect([...bar].length, bar).to.be.below(Math.max(2, columns));
      if (columns >= 8) expect(found.at(-1)).to.include('45.6%');
      if (columns >= 61) expect(found.at(-1)).to.match(/[█░]{10}/);
    });
  }

  it('says everything where there is room', async () => {
    const bar = `${'█'.repeat(14)}${'░'.repeat(16)}`;
    expect((await bars(120, 3_122_000)).at(-1)).to.equal(
      `${bar}  45.6% · 1,000 rows · 0/s · ETA 62 min 5 s · skipped 42 · batch 1,000`,
    );
    expect((await bars(120, 500)).at(-1)).to.equal(
      `${bar}  45.6% · 1,000 rows · 2,000/s · ETA 1.0 s · skipped 42 · batch 1,000`,
    );
    expect((await bars(120, 0)).at(-1)).to.include(' 0/s · ETA 0 ms ·');
  });

  it('tells of cells where they are taken back, and leaves nothing behind', async () => {
    const path = fresh();
    await shown(path, ['up'], { batchMs: 0, batchRows: 2000 }, 120);
    const { bars: found, output } = await shown(path, ['down', '--yes'], { batchMs: 1000 }, 120);
    expect(found.at(-1)).to.match(/^█{30} 100\.0% · 959 cells · \d+\/s · ETA 0 ms · batch 958$/);
    expect(screenOf(output)).not.to.match(/[█░%]/);
  });

  it('is a line of the log where CI or TERM=dumb is set', async () => {
    expect(await bars(120, 10_000, { CI: '1' })).to.deep.equal([]);
    expect(await bars(120, 10_000, { TERM: 'dumb' })).to.deep.equal([]);
    expect(await bars(120, 10_000)).not.to.deep.equal([]);
  });
});
