import { expect } from 'chai';
import { before, describe, it } from 'mocha';
import { BackfillError } from '../src/index.js';
import { needServer, withDatabase } from './support/postgres-server.js';
import { locateStore, openSqlite, postgresConnector } from './support/pure.js';
import { withGeneratedStore } from './support/stores.js';

// A transaction is a parameter: what is not run on it can't slip in between its statements.

type Connection = Awaited<ReturnType<ReturnType<typeof postgresConnector>['open']>>;

const onSqlite = (act: (store: Connection) => Promise<void>): Promise<void> =>
  withGeneratedStore({ audits: 3 }, async (path) => {
    const store = openSqlite(locateStore(path), { access: 'write' });
    await act(store).finally(() => store.close());
  });

const onPostgres = (act: (store: Connection) => Promise<void>): Promise<void> =>
  withDatabase(async ({ url }) => {
    const store = await postgresConnector({ url }).open({ access: 'write' });
    await act(store).finally(() => store.close());
  });

/** Expects that a statement is refused for its place. */
async function expectRefused(act: () => Promise<unknown>): Promise<void> {
  const found = await act().then(
    () => undefined,
    (error: unknown) => error,
  );
  expect(found).to.be.instanceOf(BackfillError);
  expect(found).to.include({ code: 'INTERNAL' });
}

for (const [engine, onStore, ours] of [
  ['SQLite', onSqlite, 'main.ours'],
  ['PostgreSQL', onPostgres, 'public.ours'],
] as const)
  describe(`${engine}: a connection`, () => {
    if (engine === 'PostgreSQL')
      before(function () {
        needServer(this);
      });

    it('takes no statement and no other transaction while one is open, whatever asks', () =>
      onStore(async (store) => {
        await store.exec(`CREATE TABLE ${ours} (n INTEGER)`);
        const wrongly: Record<string, () => Promise<unknown>> = {
          get: () => store.get('SELECT 1'),
          run: () => store.run(`INSERT INTO ${ours} VALUES (7)`),
          exec: () => store.exec(`INSERT INTO ${ours} VALUES (7)`),
          pages: () => store.pages('SELECT 1').next(),
          project: () => store.project.all('SELECT 1'),
          compileError: () => store.compileError('SELECT 1'),
          attempt: () => store.attempt(async () => void (await store.run(`INSERT INTO ${ours} VALUES (7)`))),
          write: () => store.write(async (tx) => await tx.run(`INSERT INTO ${ours} VALUES (7)`)),
          snapshot: () => store.snapshot(async (tx) => await tx.get('SELECT 1')),
        };
        for (const open of ['write', 'tryWrite', 'snapshot', 'snapshotAsync'] as const)
          await store[open](async (tx) => {
            for (const act of Object.values(wrongly)) await expectRefused(act);
            if (open.endsWith('rite')) await tx.run(`INSERT INTO ${ours} VALUES (1)`);
          });
        expect(await store.pluck(`SELECT n FROM ${ours}`)).to.deep.equal([1, 1]);
      }));

    it('takes no statement on a transaction that has ended, by whatever end', () =>
      onStore(async (store) => {
        const first = await store.write(async (tx) => tx);
        await expectRefused(() => first.get('SELECT 1'));
        const failed = new Error('within');
        let second: typeof first | undefined;
        const thrown = await store
          .write(async (tx) => {
            second = tx;
            throw failed;
          })
          .catch((error: unknown) => error);
        expect(thrown).to.equal(failed);
        await expectRefused(() => (second as typeof first).get('SELECT 1'));
        await store.write(async () => await expectRefused(() => first.get('SELECT 1')));
        expect(await store.get('SELECT 1 AS one')).to.deep.equal({ one: 1 });
      }));

    it('gives a snapshot within a transaction that one', () =>
      onStore(async (store) => {
        await store.snapshot(async (tx) => expect(await tx.snapshot(async (same) => same)).to.equal(tx));
      }));
  });
