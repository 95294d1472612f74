import { join } from 'node:path';
import type { PostgresServer } from '../demo/postgres-server.js';
import { run } from './logged.js';
import { median, middle, root, type StoreName, type Taken, time } from './measure.js';
import { ask, FILLED, makeDatabase, onCopy, onServer, serverCpu, serverText } from './postgres-store.js';
import { compared, figure, type Row } from './report.js';

/** A whole `up` of a database of PostgreSQL, against what is run by hand. */

/** A way to fill the store. Sizes in bytes; processor time with the server's. */
interface Filled extends Taken {
  readonly fillSeconds: number;
  readonly rows: number;
  readonly wal: number;
  readonly grown: number;
  readonly ledger: number;
}

type Act = (url: string) => Promise<Taken & Pick<Filled, 'fillSeconds'>>;

const up =
  (workers: number): Act =>
  async (url) => {
    const ours = await run(url, 'up', '--pace', 'full', '--workers', String(workers));
    return { ...ours, fillSeconds: ours.stepSeconds };
  };

const byHand =
  ({ bin: folder }: PostgresServer): Act =>
  async (url) => {
    const args = ['-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', join(root, 'bench/rival-postgres.sql'), url];
    const { output, ...taken } = await time(join(folder, 'psql'), args);
    const fillSeconds = Number(/^Time: ([\d.]+) ms/m.exec(output)?.[1]) / 1000;
    return { ...taken, fillSeconds };
  };

const LEDGER = `SELECT coalesce(sum(pg_total_relation_size(oid)), 0) FROM pg_class WHERE relname LIKE 'umzug\\_backfill\\_%' AND relkind = 'r'`;
const SIZE = 'SELECT pg_database_size(current_database())';

/** Returns the time and the processor time of a verification, the server's included. */
async function verify(server: PostgresServer, url: string, parallelMinBytes: number): Promise<Taken> {
  const before = serverCpu(server);
  const program = join(root, 'dist/bench/verify-app.js');
  const { output, cpu } = await time(process.execPath, [program, url, String(parallelMinBytes)]);
  return { ...(JSON.parse(output) as { seconds: number }), cpu: cpu + serverCpu(server) - before };
}

/** Runs one act on a fresh copy, and weighs that before and after. */
const weighed = (server: PostgresServer, act: Act, after?: (url: string) => Promise<void>): Promise<Filled> =>
  onCopy(server, 'audits', async (url) => {
    const [size, lsn] = [Number(await ask(url, SIZE)), await ask(url, 'SELECT pg_current_wal_insert_lsn()')];
    const before = serverCpu(server);
    const taken = await act(url);
    const filled = {
      ...taken,
      cpu: taken.cpu + serverCpu(server) - before,
      wal: Number(await ask(url, `SELECT pg_current_wal_insert_lsn() - '${lsn}'::pg_lsn`)),
      grown: Number(await ask(url, SIZE)) - size,
      rows: Number(await ask(url, FILLED)),
      ledger: Number(await ask(url, LEDGER)),
    };
    await after?.(url);
    return filled;
  });

const mib = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(1)} MiB`;

/** Measures one worker, two, and psql, in turn. */
export const postgresRows = (store: StoreName, audits: number, rounds: number): Promise<Row[]> =>
  onServer(async (server) => {
    await makeDatabase(server, 'audits', { store, audits });
    const [one, two, hand]: [Filled[], Filled[], Filled[]] = [[], [], []];
    const [verifiedByTwo, verifiedByOne]: [Taken[], Taken[]] = [[], []];
    for (let round = 0; round < rounds; round += 1) {
      one.push(
        await weighed(server, up(1), async (url) => {
          verifiedByTwo.push(await verify(server, url, 0));
          verifiedByOne.push(await verify(server, url, Number.MAX_SAFE_INTEGER));
        }),
      );
      two.push(await weighed(server, up(2)));
      hand.push(await weighed(server, byHand(server)));
    }
    const of = (runs: readonly Filled[], name: keyof Filled): number =>
      median(runs.map((taken) => taken[name]));
    const filled = (runs: readonly Filled[]): Taken => ({
      seconds: of(runs, 'fillSeconds'),
      cpu: Number.NaN,
    });
    const [fillOne, fillTwo] = [filled(one), filled(two)];
    const gain = fillOne.seconds / fillTwo.seconds;
    const perRow = (runs: readonly Filled[]): string =>
      `${Math.round(of(runs, 'wal') / of(runs, 'rows'))} bytes per row, ${of(runs, 'rows')} rows`;
    return [
      figure('server', serverText(server)),
      compared('whole `up`, against psql’s DDL and UPDATE', middle(one), middle(hand), { time: 1.15 }),
      compared('the same by 2 workers', middle(two), middle(hand), {}),
      compared('fill alone, against the UPDATE alone', fillOne, filled(hand), {}),
      {
        ...compared('fill by 1 connection, against 2', fillOne, fillTwo, {}),
        target: '≥ 1.7 ×',
        isMet: gain >= 1.7,
      },
      compared('`verify` by two sessions, against one', middle(verifiedByTwo), middle(verifiedByOne), {
        time: 0.5,
      }),
      figure(
        'growth of the database',
        `${mib(of(one, 'grown'))}, of it the ledger ${mib(of(one, 'ledger'))}`,
        mib(of(hand, 'grown')),
      ),
      figure('WAL', perRow(one), perRow(hand)),
    ];
  });
