import { expect } from 'chai';
import { before, describe, it } from 'mocha';
import { withEmptiedDatabase } from './support/emptied-database.js';
import { type LintJson, rulesIn, sqlFile, useLinted } from './support/linted.js';
import { needServer } from './support/postgres-server.js';
import { type Effect, POSTGRES_SCHEMA, postgresRows } from './support/unsafe-postgres-steps.js';
import type { Sql } from './support/unsafe-steps.js';

/** Every step, with its rule. */
const cases = Object.entries(postgresRows).flatMap(([rule, { bad, fine, effect, fineEffect }]) => [
  ...bad.map((sql) => ({ rule, sql, isBad: true, effect })),
  ...fine.map((sql) => ({ rule, sql, isBad: false, effect: fineEffect })),
]);

const stepOf = new Map(cases.map(({ rule, sql }, i) => [sql, `${rule}-${i}`]));

describe('lint for PostgreSQL', () => {
  const project = useLinted();
  let found: LintJson;

  before(async () => {
    for (const [sql, name] of stepOf) {
      const { up, down } = 'down' in sql ? sql : { ...sql, down: ['SELECT 1'] };
      project.write(name, sqlFile(up, down));
    }
    found = await project.lint('--postgres');
  });

  it('has a test of every rule', () => {
    const rules = new Set(found.findings.map(({ rule }) => rule));
    expect(Object.keys(postgresRows)).to.have.members([...rules]);
  });

  for (const { rule, sql, isBad } of cases)
    it(`${rule}: ${isBad ? 'finds' : 'takes'} ${sql.up.join('; ')}`, () => {
      const rules = rulesIn(found, stepOf.get(sql));
      if (isBad) expect(rules).to.include(rule);
      else expect(rules).not.to.include(rule);
    });

  it('refuses options for SQLite', async () => {
    expect((await project.lint('--postgres', '--sqlite', '3.35')).error?.code).to.equal('USAGE');
  });
});

describe('the statements that lint finds for PostgreSQL', () => {
  before(function () {
    needServer(this);
  });

  it('do what their rules say, and the others do not', () =>
    withEmptiedDatabase(async ({ client }) => {
      await client.query(POSTGRES_SCHEMA);
      const file = async (): Promise<unknown> =>
        (await client.query(`SELECT max(relfilenode) FILTER (WHERE relname = 't') AS file FROM pg_class`))
          .rows[0];
      const effectOf = async ({ up }: Sql): Promise<Effect> => {
        const before = await file();
        await client.query('BEGIN');
        try {
          for (const statement of up) await client.query(statement);
          const blocking = await client.query(
            `SELECT 1 FROM pg_locks AS l JOIN pg_class AS c ON c.oid = l.relation
            WHERE l.pid = pg_backend_pid() AND c.relname IN ('t', 't_n')
              AND l.mode IN ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')`,
          );
          const isCopied = JSON.stringify(await file()) !== JSON.stringify(before);
          return { isRefused: false, isCopied, isWritable: blocking.rows.length === 0 };
        } catch {
          return { isRefused: true, isCopied: false, isWritable: true };
        } finally {
          await client.query('ROLLBACK');
        }
      };
      for (const { rule, sql, effect } of cases)
        if (effect) expect(await effectOf(sql), `${rule}: ${sql.up.join('; ')}`).to.include(effect);
    }));
});
