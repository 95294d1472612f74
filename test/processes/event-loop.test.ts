import { expect } from 'chai';
import { before, describe, it } from 'mocha';
import type pg from 'pg';
import { lockWaits, untilLockWait } from '../support/lock-waits.js';
import { until, untilAlone } from '../support/postgres-runs.js';
import { column, needServer, type TestDatabase, withDatabase } from '../support/postgres-server.js';
import {
  type App,
  EVENTS,
  expectAnswers,
  type Order,
  type Settled,
  UNFILLED,
  useServing,
  type Way,
} from '../support/serving.js';

// An application serves while it migrates its database of PostgreSQL in the same thread: whatever a command waits for, the event loop
// turns. How late it is under load is measured in bench/event-loop.ts.

const TABLE_LOCK = 'LOCK TABLE events IN ACCESS EXCLUSIVE MODE';
/** What every reader and writer of rows holds until its transaction ends: DDL waits for it. */
const USE_LOCK = 'LOCK TABLE events IN ACCESS SHARE MODE';
const rowLock = (id: number): string => `SELECT FROM events WHERE id = ${id} FOR UPDATE`;

describe('the event loop of an application that migrates its database', () => {
  before(function () {
    needServer(this);
  });
  const serve = useServing();

  /** Runs `act` with the application on a database of its own, on which the commands have been run before. */
  const withApp = (
    { way = 'firstOf', done = [] }: { readonly way?: Way; readonly done?: readonly Order['run'][] },
    act: (app: App, database: TestDatabase) => Promise<void>,
  ): Promise<void> =>
    withDatabase(async (database) => {
      await database.client.query(EVENTS);
      const app = await serve({ url: database.url, way });
      for (const run of done) expectDone(await app.begin({ run }).settled);
      try {
        await act(app, database);
      } finally {
        await app.end();
      }
    });

  const expectDone = ({ code, message }: Settled): void =>
    expect(code, `${code}: ${message}`).to.equal(undefined) as never;

  /** Another session that holds this lock. */
  async function hold({ connect }: TestDatabase, sql: string): Promise<pg.Client> {
    const other = await connect();
    await other.query(`BEGIN; ${sql}`);
    return other;
  }

  const expectFilled = async (client: pg.ClientBase): Promise<void> =>
    expect(await column(client, UNFILLED), 'rows that are not filled').to.deep.equal(['0']) as never;

  for (const [run, what, lock, done] of [
    ['status', 'a table', TABLE_LOCK, ['up']],
    ['verify', 'a table', TABLE_LOCK, ['up']],
    ['up', 'whoever uses the table, to change it', USE_LOCK, []],
    ['down', 'a row', rowLock(100), ['up']],
  ] as const) {
    it(`turns while \`${run}()\` waits for ${what}`, () =>
      withApp({ done }, async (app, database) => {
        const other = await hold(database, lock);
        const { settled } = app.begin({ run });
        await untilLockWait(database.client);
        await expectAnswers(app, database.client);
        await other.query('ROLLBACK');
        expectDone(await settled);
        if (run === 'up') await expectFilled(database.client);
      }));
  }

  for (const way of ['firstOf', 'sql', 'process'] as const) {
    it(`turns in each batch of \`up()\` that waits for a row, whose values come by ${way}`, () =>
      withApp({ way }, async (app, database) => {
        const others: pg.Client[] = [];
        for (const id of [1, 90, 190]) others.push(await hold(database, rowLock(id)));
        const { settled } = app.begin({ run: 'up' });
        for (const other of others) {
          await untilLockWait(database.client);
          await expectAnswers(app, database.client);
          const waits = await lockWaits(database.client);
          await other.query('ROLLBACK');
          await until('that wait to end', async () =>
            (await lockWaits(database.client)).every((wait) => !waits.includes(wait)),
          );
        }
        expectDone(await settled);
        await expectFilled(database.client);
      }));
  }

  for (const [run, what, transaction, done] of [
    ['up', 'has read the table that is to be changed', ['SELECT 1 FROM events', 'SELECT 1 FROM events'], []],
    [
      'up',
      'has written to the table that is to be changed',
      [`UPDATE events SET made = 'ours' WHERE id = 7`, `UPDATE events SET made = 'ours' WHERE id = 8`],
      [],
    ],
    [
      'down',
      'has written to a row that is to be taken back',
      [`UPDATE events SET made = 'ours' WHERE id = 7`, `UPDATE events SET made = 'ours' WHERE id = 8`],
      ['up'],
    ],
    [
      'status',
      'holds the table for itself',
      [
        `${TABLE_LOCK}; UPDATE events SET made = 'ours' WHERE id = 7`,
        `UPDATE events SET made = 'ours' WHERE id = 8`,
      ],
      ['up'],
    ],
  ] as const) {
    it(`lets the application commit its own transaction, which ${what}, while it awaits \`${run}()\``, () =>
      withApp({ done }, async (app, { client }) => {
        const settled = await app.begin({ run, beside: transaction }).settled;
        expectDone(settled);
        expect(settled.hasCommittedMeanwhile, 'it was committed while the command waited for it').to.equal(
          true,
        );
        const ours = await column(client, `SELECT id FROM events WHERE made = 'ours' ORDER BY id`);
        expect(ours).to.deep.equal(transaction[1].startsWith('UPDATE') ? ['7', '8'] : []);
        if (run === 'up') await expectFilled(client);
      }));
  }

  for (const [what, lock, run, done] of [
    ['the table, to change it', USE_LOCK, 'up', []],
    ['a row of a batch', rowLock(100), 'up', []],
    ['a row of a batch that is taken back', rowLock(100), 'down', ['up']],
  ] as const) {
    it(`hears its signal while \`${run}()\` waits for ${what}, and leaves nothing waiting`, () =>
      withApp({ done }, async (app, database) => {
        const other = await hold(database, lock);
        const { settled } = app.begin({ run });
        await untilLockWait(database.client);
        app.stop();
        const { code, message } = await settled;
        expect(code, message).to.equal('TERMINATED');
        await untilAlone(database.client);
        await other.query('ROLLBACK'); // not before: it was heard in the wait
        const again = await serve({ url: database.url, way: 'firstOf' });
        expectDone(await again.begin({ run: 'up' }).settled);
        await expectFilled(database.client);
      }));
  }
});
