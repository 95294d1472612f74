import { join } from 'node:path';
import { type PostgresServer, whyNoServer } from '../demo/postgres-server.js';
import { courtesyRows } from './courtesy.js';
import { run } from './logged.js';
import { median, root, time } from './measure.js';
import { ask, FILLED, makeDatabase, onCopy, serverText, startBenchServer } from './postgres-store.js';
import { compared, type Row } from './report.js';

/** What a fill of a database of PostgreSQL takes, against what is run by hand. */

/** What one way to fill the store took. Sizes in bytes. */
interface Filled {
  readonly seconds: number;
  readonly fillSeconds: number;
  readonly verifySeconds: number;
  readonly downSeconds: number;
  readonly rows: number;
  readonly wal: number;
  readonly grown: number;
  readonly ledger: number;
}

type Act = (url: string) => Promise<Partial<Filled> & Pick<Filled, 'seconds' | 'fillSeconds'>>;

const up =
  (workers: number): Act =>
  async (url) => {
    const ours = await run(url, 'up', '--pace', 'full', '--workers', String(workers));
    return { seconds: ours.seconds, fillSeconds: ours.stepSeconds, verifySeconds: ours.verifySeconds };
  };

const byHand =
  ({ bin: folder }: PostgresServer): Act =>
  async (url) => {
    const args = ['-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', join(root, 'bench/rival-postgres.sql'), url];
    const { seconds, output } = await time(join(folder, 'psql'), args);
    return { seconds, fillSeconds: Number(/^Time: ([\d.]+) ms/m.exec(output)?.[1]) / 1000 };
  };

const LEDGER = `SELECT coalesce(sum(pg_total_relation_size(oid)), 0) FROM pg_class WHERE relname LIKE 'umzug\\_backfill\\_%' AND relkind = 'r'`;
const SIZE = 'SELECT pg_database_size(current_database())';

/** Runs one act on a fresh copy, and weighs that before and after. */
const weighed = (server: PostgresServer, template: string, act: Act): Promise<Filled> =>
  onCopy(server, template, async (url) => {
    const [size, lsn] = [Number(await ask(url, SIZE)), await ask(url, 'SELECT pg_current_wal_insert_lsn()')];
    const taken = await act(url);
    const wal = Number(await ask(url, `SELECT pg_current_wal_insert_lsn() - '${lsn}'::pg_lsn`));
    const grown = Number(await ask(url, SIZE)) - size;
    const [rows, ledger] = [Number(await ask(url, FILLED)), Number(await ask(url, LEDGER))];
    const downSeconds = ledger > 0 ? (await run(url, 'down', '--pace', 'full')).stepSeconds : Number.NaN;
    return { verifySeconds: Number.NaN, ...taken, rows, wal, grown, ledger, downSeconds };
  });

/** The medians of what some acts took, each on a fresh copy, in turn. */
async function inTurn(
  server: PostgresServer,
  template: string,
  acts: readonly Act[],
  rounds: number,
): Promise<Filled[]> {
  const runs: Filled[][] = acts.map(() => []);
  for (let round = 0; round < rounds; round += 1)
    for (const [i, act] of acts.entries()) runs[i]?.push(await weighed(server, template, act));
  return runs.map((own) => {
    const of = (name: keyof Filled): number => median(own.map((filled) => filled[name]));
    return {
      seconds: of('seconds'),
      fillSeconds: of('fillSeconds'),
      verifySeconds: of('verifySeconds'),
      downSeconds: of('downSeconds'),
      rows: of('rows'),
      wal: of('wal'),
      grown: of('grown'),
      ledger: of('ledger'),
    };
  });
}

const figure = (what: string, ours: string, rival = ''): Row => ({ what, ours, rival, target: '' });
const mib = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(1)} MiB`;
const speed = ({ rows, fillSeconds }: Filled): number => rows / fillSeconds;
const speedText = (filled: Filled): string =>
  `${Math.round(speed(filled)).toLocaleString('en-US')} rows per second (${filled.fillSeconds.toFixed(2)} s)`;

function fillRows(size: string, [one, two, hand]: readonly [Filled, Filled, Filled]): Row[] {
  const gain = speed(two) / speed(one);
  return [
    compared(`fill, ${size} audits, against one UPDATE`, one.fillSeconds, hand.fillSeconds, 1.2),
    { ...compared('whole up, against DDL and UPDATE', one.seconds, hand.seconds, 1), target: '' },
    {
      what: 'fill by 2 workers',
      ours: speedText(two),
      rival: `${speedText(one)} by 1`,
      ratio: gain,
      target: '≥ 1.5 ×',
      isMet: gain >= 1.5,
    },
    figure('whole up by 2 workers', `${two.seconds.toFixed(2)} s`, `${one.seconds.toFixed(2)} s by 1`),
    figure('verification', `${one.verifySeconds.toFixed(2)} s`),
    figure(
      'down of the backfill',
      `${one.downSeconds.toFixed(2)} s`,
      `${one.fillSeconds.toFixed(2)} s its fill`,
    ),
    figure('rows that are filled', one.rows.toLocaleString('en-US'), hand.rows.toLocaleString('en-US')),
    figure('growth of the database', mib(one.grown), mib(hand.grown)),
    figure('the ledger', mib(one.ledger)),
    figure(
      'WAL per row',
      `${Math.round(one.wal / one.rows)} bytes`,
      `${Math.round(hand.wal / hand.rows)} bytes`,
    ),
  ];
}

/** Measures on a server of its own. */
export async function postgresRows(audits: number, rounds: number): Promise<Row[]> {
  const trouble = whyNoServer();
  if (trouble !== undefined) return [figure('PostgreSQL', `not measured: ${trouble}`)];
  const server = await startBenchServer();
  try {
    await makeDatabase(server, 'audits', audits);
    const acts = [up(1), up(2), byHand(server)];
    const taken = await inTurn(server, 'audits', acts, rounds);
    return [
      figure('server', serverText(server)),
      ...fillRows(audits.toLocaleString('en-US'), taken as [Filled, Filled, Filled]),
      ...(await courtesyRows(server, 'audits', rounds)),
    ];
  } finally {
    await server.stop();
  }
}
