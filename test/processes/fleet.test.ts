import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { setTimeout as wait } from 'node:timers/promises';
import { expect } from 'chai';
import { before, describe, it } from 'mocha';
import { generateStore } from '../../demo/store-generator.js';
import { expectRefusal, runCli, type SpawnOptions, spawnCli, useFolder } from '../support/cli.js';
import { interruptedAt, listening } from '../support/failpoints.js';
import { useHolders } from '../support/lock.js';
import { on } from '../support/on-store.js';
import { asAgentOs, dumpTable } from '../support/stores.js';

interface FleetJson {
  readonly exitCode: number;
  readonly stores: readonly {
    readonly path: string;
    readonly exitCode: number;
    readonly output: { error?: { code: string } };
  }[];
}

describe('several stores', () => {
  const folder = useFolder();
  const startHolder = useHolders();
  let whole: readonly string[] = [];
  let fleets = 0;

  before(async () => {
    generateStore({ path: folder.file('v20.db'), audits: 300 });
    copyFileSync(folder.file('v20.db'), folder.file('whole.db'));
    await on(folder.file('whole.db')).run(['up', '--no-backup']);
    whole = dumpTable(folder.file('whole.db'));
  });

  /** A folder of copies of a v20 store, and what runs a command on all of them. */
  function fleet(count: number, concurrency = 2) {
    fleets += 1;
    const name = `fleet-${fleets}`;
    mkdirSync(folder.file(name));
    const paths = Array.from({ length: count }, (_, i) =>
      folder.file(`${name}/${String(i).padStart(2, '0')}.db`),
    );
    for (const path of paths) copyFileSync(folder.file('v20.db'), path);
    const pattern = folder.file(`${name}/*.db`);
    const run = (args: readonly string[], options?: SpawnOptions) =>
      spawnCli([...args, '--db-path', pattern, '--concurrency', String(concurrency)], options);
    const json = async (args: readonly string[], options?: SpawnOptions): Promise<FleetJson> => {
      const result = await run([...args, '--json'], options);
      const found = result.json() as FleetJson;
      expect(result.code, result.stderr).to.equal(found.exitCode);
      return found;
    };
    return { name, paths, run, json };
  }

  const small = ['--no-backup', '--batch-size', '2', '--log-level', 'debug'];

  it('are told of in one report, with what each failed with, which is written over no store', async () => {
    const { name, paths, run } = fleet(3);
    writeFileSync(paths[1] as string, 'no database');
    const page = folder.file(`${name}.html`);
    const { stdout, code } = await run(['up', '--no-backup', '--report', page]);
    expect([code, stdout.includes(`Report: ${page}`)]).to.deep.equal([1, true]);
    const text = readFileSync(page, 'utf8');
    for (const path of paths) expect(text).to.include(path);
    expect(text).to.include('STORE_NOT_A_DATABASE').and.to.include('v021-2-decision-fields');
    const over = await run(['up', '--report', paths[0] as string]);
    expect([over.code, over.stderr]).to.satisfy(
      ([exit, told]: [number, string]) => exit === 1 && told.includes('OUTPUT_EXISTS'),
    );
  });

  it('are brought to v21 by one command, taken back by another, and looked at by a third', async () => {
    const { paths, run } = fleet(5);
    const { stdout, stderr, code } = await run(['up', '--log-level', 'debug']);
    expect(code, stderr).to.equal(0);
    expect(stdout).to.match(/│ done +│ 5 +│[\s\S]*\n5 stores in \S+ \S+\n$/);
    for (const path of paths) {
      expect(dumpTable(path)).to.deep.equal(whole);
      const lines = stderr.split('\n').filter((line) => line.includes(`"store":"${path}"`));
      expect(lines.filter((line) => line.includes('"batch_committed"'))).to.have.length.above(0);
      expect(lines.filter((line) => line.includes('"store_finished"'))).to.have.length(1);
    }
    expect((await run(['status', '--check'])).code).to.equal(0);
    expect((await run(['down', '--no-backup'])).code).to.equal(0);
    const pending = await run(['status', '--check']);
    expect(pending.code).to.equal(3);
    expect(pending.stdout).to.match(/│ work pending +│ 5 +│/);
  });

  it('fail each by itself: damage, a lock, a failed verification and a missing file spoil nothing', async () => {
    const { name, paths, run, json } = fleet(6);
    await run(['up', '--no-backup']);
    const [damaged, locked, failing] = paths as [string, string, string];
    writeFileSync(damaged, 'no database at all, but long enough to be looked at as one'.repeat(20));
    await on(locked).run(['down', '--no-backup']);
    asAgentOs(failing, (db) =>
      db.exec(`UPDATE umzug_backfill_runs SET status = 'filled'; UPDATE task_audits SET source_event_ts = 'x' WHERE audit_id =
        (SELECT min(audit_id) FROM task_audits WHERE source_event_ts IS NOT NULL)`),
    );
    asAgentOs(paths[3] as string, (db) => db.exec('DELETE FROM umzug_backfill_verifications'));
    const holder = await startHolder(locked);
    const { stores, exitCode } = await json(['up', '--no-backup', '--lock-timeout', '0']);
    await holder.end();
    expect(exitCode).to.equal(1);
    expect(stores.map(({ exitCode: own, output }) => [own, output.error?.code])).to.deep.equal([
      [1, 'STORE_NOT_A_DATABASE'],
      [4, 'RUN_LOCKED'],
      [5, 'VERIFICATION_FAILED'],
      [0, undefined],
      [0, undefined],
      [0, undefined],
    ]);
    const missing = await runCli([
      'verify',
      '--db-path',
      paths[4] as string,
      '--db-path',
      folder.file(`${name}/none.db`),
    ]);
    expect(missing.code).to.equal(1);
    expect(missing.stdout)
      .to.match(/none\.db: failed\n {2}STORE_MISSING: .*\n {2}→ /)
      .and.match(/│ failed +│ 1 +│[\s\S]*│ done +│ 1 +│/);
  });

  it('are told of in Chinese as well, with commands that run as they stand', async () => {
    const { paths, run } = fleet(3);
    const [path] = paths as [string];
    await on(path).run(['up', '--no-backup']);
    asAgentOs(path, (db) => {
      db.exec(`UPDATE umzug_backfill_runs SET status = 'filled'; DELETE FROM umzug_backfill_batches`);
    });
    const { stdout } = await run(['up', '--no-backup', '--lang', 'zh']);
    expect(stdout).to.include(`${path}：未校验\n  VERIFICATION_FAILED: v021-2-decision-fields 的校验失败：`);
    const [, hint = ''] = /→ 请运行 umzug-backfill (backfill --db-path .* --rescan) ，以/.exec(stdout) ?? [];
    expect((await runCli(hint.split(' '))).code).to.equal(0);
    expect(stdout).to.match(/│ 完成 +│ 2 +│/);
  });

  it('go on where one of the processes is killed, and the same command does the rest', async () => {
    const { name, paths, json } = fleet(6, 1); // so that another has to take its place
    const flag = folder.file(`${name}-killed`);
    const once = `[ -e '${flag}' ] || { : > '${flag}'; kill -KILL $PPID; }`;
    const spec = { at: 'statement', detail: 'UPDATE "task_audits"', nth: 2, run: ['sh', '-c', once] };
    const { stores, exitCode } = await json(['up', ...small], listening(spec));
    expect(exitCode).to.equal(1);
    const lost = stores.filter(({ exitCode: own }) => own !== 0);
    expect(lost.map(({ output }) => output.error?.code)).to.deep.equal(['WORKER_LOST']);
    expect((await json(['up', ...small])).exitCode).to.equal(0);
    for (const path of paths) expect(dumpTable(path)).to.deep.equal(whole);
  });

  it('are told of by the process of each alone, which is ended where it tells of another store', async () => {
    const { name, paths, json } = fleet(2, 1);
    const [first = '', second = ''] = paths;
    writeFileSync(first, 'no database');
    const lie = { path: first, exitCode: 0, durationMs: 1, output: {} };
    const liar = folder.file(`${name}.mjs`);
    writeFileSync(
      liar,
      `process.on('message', ({ path }) => {
        if (path === ${JSON.stringify(second)}) process.send(${JSON.stringify(lie)});
      });`,
    );
    const { stores } = await json(['up', ...small], { env: { NODE_OPTIONS: `--import ${liar}` } });
    expect(stores.map(({ output }) => output.error?.code)).to.deep.equal([
      'STORE_NOT_A_DATABASE',
      'WORKER_LOST',
    ]);
  });

  for (const [signal, code, error] of [
    ['SIGTERM', 143, 'TERMINATED'],
    ['SIGINT', 130, 'INTERRUPTED'],
  ] as const) {
    it(`stop on ${signal} with ${code}, each behind its batch, and the same command does the rest`, async () => {
      const { paths, run, json } = fleet(8);
      let isSent = false;
      const result = await run(['up', ...small, '--json'], {
        onStderr: (text, child) => {
          if (!isSent && text.includes('"batch_committed"')) isSent = child.kill(signal);
        },
      });
      expect(result.code, result.stderr).to.equal(code);
      const { stores } = result.json() as FleetJson;
      expect(stores.filter(({ exitCode }) => exitCode === code)).to.have.length.above(5);
      const stopped = stores.filter(({ output }) => output.error);
      expect(stopped.map(({ output }) => output.error?.code)).to.include(error);
      expect((await json(['up', ...small])).exitCode).to.equal(0);
      for (const path of paths) expect(dumpTable(path)).to.deep.equal(whole);
    });
  }

  it('leave no process behind when the first is killed', async () => {
    const { name, paths } = fleet(4);
    const pid = folder.file(`${name}-pid`);
    // Kills the parent of the process that works on the store, which then has nobody to report to.
    const orphan = `echo $PPID > '${pid}'; kill -KILL $(ps -o ppid= -p $PPID)`;
    const args = ['up', ...small, '--db-path', folder.file(`${name}/*.db`), '--concurrency', '1'];
    const point = { at: 'statement', detail: 'UPDATE "task_audits"', nth: 2 };
    const result = await interruptedAt(args, point, ['sh', '-c', orphan]);
    expect(result.signal).to.equal('SIGKILL');
    const worker = execFileSync('cat', [pid], { encoding: 'utf8' }).trim();
    const isThere = (): boolean => {
      try {
        process.kill(Number(worker), 0);
        return true;
      } catch (error) {
        expect((error as NodeJS.ErrnoException).code).to.equal('ESRCH');
        return false;
      }
    };
    for (let tries = 0; tries < 200 && isThere(); tries += 1) await wait(50);
    expect(isThere(), 'whether the process is still there').to.equal(false);
    const status = (await on(paths[0] as string).run(['status', '--json'])).json();
    expect(status.lock).to.deep.equal({ state: 'free' });
    expect(status.steps[1].state, 'stopped behind its batch').to.equal('applying');
    expect(
      readdirSync(folder.file(name)).filter((file) => file.endsWith('.lock')),
      'no other was begun',
    ).to.have.length(1);
  });

  it('are refused to what is about one, before anything is done', async () => {
    const { paths, run } = fleet(2);
    for (const args of [
      ['report'],
      ['restore'],
      ['skips'],
      ['up', '--workers', '2'],
      ['up', '--metrics-file', folder.file('x.prom')],
      ['verify', '--print-sql'],
    ])
      expectRefusal(await run(args), 'USAGE', 2);
    expectRefusal(await run(['up', '--frobnicate']), 'USAGE', 2);
    expectRefusal(await runCli(['up', '--db-path', folder.file('nowhere/*.db')]), 'STORE_MISSING', 1);
    for (const path of paths) expect(dumpTable(path)).to.deep.equal(dumpTable(folder.file('v20.db')));
  });
});
