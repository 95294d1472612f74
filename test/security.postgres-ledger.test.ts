import { expect } from 'chai';
import { before, describe, it } from 'mocha';
import { expectRefusal, runCli, useFolder } from './support/cli.js';
import { type AttackedDatabase, useAttacked } from './support/postgres-attacks.js';
import { column, needServer, withClient } from './support/postgres-server.js';

// The ledger says what was filled, and by what SQL it is judged and taken back: one that others have made or may write is theirs to say.

const OPEN = 'GRANT CREATE, USAGE ON SCHEMA public TO low';

/** The first table of a ledger, as it has to be. */
const STEPS = `CREATE TABLE umzug_backfill_steps (name text PRIMARY KEY, kind text NOT NULL, status text NOT NULL, fingerprint text NOT NULL,
  package_version text NOT NULL, started_at text NOT NULL, applied_at text, duration_ms bigint NOT NULL DEFAULT 0,
  object_count bigint NOT NULL DEFAULT 0, reverted_cells bigint NOT NULL DEFAULT 0, kept_cells bigint NOT NULL DEFAULT 0);
  GRANT ALL ON umzug_backfill_steps TO public`;
const FIRED = `CREATE FUNCTION public.fired() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM loot.boom('trigger'); RETURN new; END $$`;
const CHECKED = `CREATE FUNCTION public.checked(text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM loot.boom('check'); RETURN true; END $$`;
const MADE = `CREATE FUNCTION public.made(text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM loot.boom('made'); RETURN $1; END $$`;

/** What the owner of a table may hang on it, by what is said of it. */
const HUNG: Readonly<Record<string, readonly [table: string, sql: string]>> = {
  'has triggers': [
    'umzug_backfill_steps',
    `${FIRED}; CREATE TRIGGER fired BEFORE INSERT OR UPDATE ON umzug_backfill_steps FOR EACH ROW EXECUTE FUNCTION public.fired()`,
  ],
  'has rules': [
    'umzug_backfill_steps',
    `CREATE RULE ruled AS ON UPDATE TO umzug_backfill_steps DO ALSO SELECT loot.boom('rule')`,
  ],
  'has row security': [
    'umzug_backfill_steps',
    `${CHECKED}; ALTER TABLE umzug_backfill_steps ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON umzug_backfill_steps USING (checked(name))`,
  ],
  'has constraints': [
    'umzug_backfill_runs',
    `${CHECKED}; ALTER TABLE umzug_backfill_runs ADD CHECK (checked(kind))`,
  ],
  'has defaults': [
    'umzug_backfill_steps',
    `${MADE}; ALTER TABLE umzug_backfill_steps ALTER fingerprint SET DEFAULT made('x')`,
  ],
  'has other types': [
    'umzug_backfill_steps',
    `${CHECKED}; CREATE DOMAIN public.odd AS text CHECK (checked(VALUE)); ALTER TABLE umzug_backfill_steps ALTER kind TYPE odd`,
  ],
  'has indexes on expressions': [
    'umzug_backfill_steps',
    `${MADE}; CREATE INDEX ON umzug_backfill_steps (made(kind))`,
  ],
  'has inheriting tables or partitions': [
    'umzug_backfill_steps',
    `CREATE TABLE heir () INHERITS (umzug_backfill_steps)`,
  ],
};

describe('a ledger of another', () => {
  before(function () {
    needServer(this);
  });
  const attacked = useAttacked();
  const folder = useFolder();

  const commands = [
    ['status'],
    ['verify'],
    ['up', '--dry-run'],
    ['up'],
    ['down', '--to', '0'],
    ['skips', 'v021-2-decision-fields'],
    ['backfill', '--rescan', 'v021-2-decision-fields'],
  ];
  const run = (db: AttackedDatabase, role: string, args: readonly string[]) =>
    runCli([...args, '--database-url', db.url(role)]);

  /** Insists that commands refuse the ledger, also where a person has agreed to whoever may make objects. */
  async function expectRefused(
    db: AttackedDatabase,
    says: string,
    table: string,
    which: readonly (readonly string[])[],
  ): Promise<void> {
    for (const args of which) {
      const { message, hint } = expectRefusal(
        await run(db, 'app_owner', [...args, '--yes']),
        'LEDGER_UNTRUSTED',
        1,
      );
      expect(message, args.join(' ')).to.include(says).and.to.include(table);
      expect(hint).to.match(/\S/);
      expect(await db.loot(), args.join(' ')).to.deep.equal([]);
    }
  }

  it('that was planted before there is one is refused, be it a table or a view', () =>
    attacked(async (db) => {
      await db.as('app_owner', OPEN);
      await db.as('low', STEPS);
      const all = [...commands, ['report', '--out', folder.file('report.html')]];
      await expectRefused(db, 'belongs to low', 'umzug_backfill_steps', all);
      await db.as(
        'low',
        `DROP TABLE umzug_backfill_steps; CREATE VIEW umzug_backfill_steps AS SELECT 'zz'::text AS name, 'external'::text AS kind,
          'applied'::text AS status, ''::text AS fingerprint, coalesce(loot.boom('view')::text, '') AS package_version, ''::text AS started_at,
          ''::text AS applied_at, 0::bigint AS duration_ms, 0::bigint AS object_count, 0::bigint AS reverted_cells, 0::bigint AS kept_cells;
        GRANT ALL ON umzug_backfill_steps TO public`,
      );
      await expectRefused(db, 'belongs to low', 'umzug_backfill_steps', all);
    }));

  it('of which one table was planted is refused', () =>
    attacked(async (db) => {
      await db.as('app_owner', OPEN);
      await db.as(
        'low',
        `${CHECKED}; CREATE TABLE umzug_backfill_runs (backfill text, run bigint, kind text CHECK (checked(kind))); GRANT ALL ON umzug_backfill_runs TO public`,
      );
      await expectRefused(db, 'belongs to low', 'umzug_backfill_runs', commands);
    }));

  for (const [says, [table, sql]] of Object.entries(HUNG))
    it(`that ${says} is refused, whoever hung them on it`, () =>
      attacked(async (db) => {
        expect((await run(db, 'app_owner', ['up'])).code).to.equal(0);
        await db.as('app_owner', sql);
        await withClient(db.url('postgres'), (client) =>
          client.query('TRUNCATE loot.taken; ALTER SEQUENCE loot.times RESTART'),
        );
        await expectRefused(db, says, table, [['status'], ['down', '--to', '0']]);
      }));

  it('that has row security is refused without a policy, too', () =>
    attacked(async (db) => {
      expect((await run(db, 'app_owner', ['up'])).code).to.equal(0);
      await db.as('app_owner', 'ALTER TABLE umzug_backfill_steps ENABLE ROW LEVEL SECURITY');
      await expectRefused(db, 'has row security', 'umzug_backfill_steps', [['status']]);
    }));

  it('is refused where another may write it, until a person agrees, with the command that takes that right away', () =>
    attacked(async (db) => {
      expect((await run(db, 'app_owner', ['up'])).code).to.equal(0);
      await db.as('app_owner', 'GRANT INSERT ON umzug_backfill_declarations TO low');
      for (const args of [['status'], ['verify'], ['up', '--dry-run'], ['down', '--to', '0']]) {
        const { message, hint } = expectRefusal(await run(db, 'app_owner', args), 'LEDGER_UNTRUSTED', 1);
        expect(message).to.include('role low').and.to.include('umzug_backfill_declarations');
        const [revoke = ''] = /REVOKE .* FROM "low"/.exec(hint) ?? [];
        expect(revoke).to.include('INSERT');
      }
      expect((await run(db, 'app_owner', ['verify', '--yes'])).code).to.equal(0);
      const { hint } = expectRefusal(await run(db, 'app_owner', ['status']), 'LEDGER_UNTRUSTED', 1);
      await db.as('app_owner', /REVOKE .* FROM "low"/.exec(hint)?.[0] ?? '');
      expect((await run(db, 'app_owner', ['status'])).code).to.equal(0);
    }));

  it('may be read by others, and is by default granted to nobody to write', () =>
    attacked(async (db) => {
      await db.as('app_owner', 'ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON TABLES TO app');
      expect((await run(db, 'app_owner', ['up'])).code).to.equal(0);
      await withClient(db.url('app'), async (client) => {
        expect(await column(client, 'SELECT count(*) FROM umzug_backfill_steps')).to.deep.equal(['2']);
        const error = await client.query('DELETE FROM umzug_backfill_steps').catch((thrown: Error) => thrown);
        expect(error).to.have.property('code', '42501');
      });
      expect((await run(db, 'app_owner', ['verify'])).code).to.equal(0);
      expect((await run(db, 'app_owner', ['down', '--to', '0', '--yes'])).code).to.equal(0);
    }));

  it('of a role that this user is a member of, or of the owner of its tables, is accepted', () =>
    attacked(async (db) => {
      expect((await run(db, 'app_owner', ['up'])).code).to.equal(0);
      expect((await run(db, 'deployer', ['verify'])).code).to.equal(0);
      await db.as('app_owner', 'GRANT SELECT ON ALL TABLES IN SCHEMA public TO app');
      expect((await run(db, 'app', ['verify'])).code).to.equal(0);
      await db.as('postgres', `ALTER DATABASE ${db.name} OWNER TO postgres`);
      expect((await run(db, 'app', ['status'])).code).to.equal(0);
    }));

  it('of which others may write columns, or every table there is, is refused, with the commands that mend it', () =>
    attacked(async (db) => {
      expect((await run(db, 'app_owner', ['up'])).code).to.equal(0);
      await db.as(
        'app_owner',
        'GRANT UPDATE (declaration, fingerprint) ON umzug_backfill_declarations TO low',
      );
      await healed(db, 'app_owner', 'REVOKE UPDATE ON "public".umzug_backfill_declarations FROM "low"');
      if (!(await hasWriteAll(db))) return;
      await db.as('postgres', 'GRANT pg_write_all_data TO group_of_low');
      await healed(db, 'postgres', 'REVOKE pg_write_all_data FROM "group_of_low"');
    }));

  it('has sequences that others may not set either, whatever is granted by default', () =>
    attacked(async (db) => {
      await db.as('app_owner', 'ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON SEQUENCES TO app');
      expect((await run(db, 'app_owner', ['up'])).code).to.equal(0);
      for (const name of ['umzug_backfill_batch_numbers', 'umzug_backfill_commands_number_seq']) {
        await withClient(db.url('app'), async (client) => {
          const error = await client.query(`SELECT setval('${name}', 1)`).catch((thrown: Error) => thrown);
          expect(error).to.have.property('code', '42501');
        });
        await db.as('app_owner', `GRANT ALL ON SEQUENCE ${name} TO low`);
        await healed(db, 'app_owner', `REVOKE UPDATE ON "public".${name} FROM "low"`);
      }
    }));

  it('that others may write altogether is mended by one command', () =>
    attacked(async (db) => {
      expect((await run(db, 'app_owner', ['up'])).code).to.equal(0);
      await db.as(
        'app_owner',
        'GRANT ALL ON ALL TABLES IN SCHEMA public TO low, app; GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO low, app',
      );
      await healed(db, 'app_owner', 'FROM "app", "low"');
    }));

  for (const [maker, args] of [
    ['postgres', ['up', '--yes']],
    ['deployer', ['up']],
  ] as const)
    it(`that ${maker} has made is handed over to the owner of the tables`, () =>
      attacked(async (db) => {
        expect((await run(db, maker, args)).code).to.equal(0);
        for (const role of maker === 'postgres'
          ? ['app_owner', 'deployer']
          : ['app_owner', 'second_deployer']) {
          const { message, hint } = expectRefusal(await run(db, role, ['status']), 'STORE_READONLY', 1);
          expect(message).to.include(`belongs to ${maker}`);
          expect(hint).to.include(`as ${maker}: ALTER TABLE public.`).and.to.include('ALTER SEQUENCE');
        }
        await db.as(maker, 'GRANT SELECT ON ALL TABLES IN SCHEMA public TO app_owner');
        expect((await run(db, 'app_owner', ['status'])).code).to.equal(0);
        const { hint } = expectRefusal(
          await run(db, 'app_owner', ['down', '--to', '0', '--yes']),
          'STORE_READONLY',
          1,
        );
        await db.as(maker, hint.slice(hint.indexOf('ALTER')));
        expect((await run(db, 'app_owner', ['verify'])).code).to.equal(0);
        expect((await run(db, 'app_owner', ['down', '--to', '0', '--yes'])).code).to.equal(0);
      }));

  it('that is a planted sequence is dropped as one, and one of the owner is no plant to a superuser', () =>
    attacked(async (db) => {
      await db.as('app_owner', OPEN);
      await db.as('low', 'CREATE SEQUENCE umzug_backfill_batch_numbers');
      const planted = expectRefusal(await run(db, 'app_owner', ['status', '--yes']), 'LEDGER_UNTRUSTED', 1);
      expect(planted.hint).to.include(
        'as that role: ALTER SEQUENCE public.umzug_backfill_batch_numbers OWNER TO app_owner',
      );
      await db.as(
        'app_owner',
        `REVOKE CREATE ON SCHEMA public FROM low; ${/DROP SEQUENCE .*/.exec(planted.hint)?.[0]}`,
      );
      expect((await run(db, 'app_owner', ['up'])).code).to.equal(0);
      await db.as(
        'postgres',
        `ALTER DATABASE ${db.name} OWNER TO postgres; ALTER SCHEMA public OWNER TO postgres`,
      );
      const { hint } = expectRefusal(await run(db, 'postgres', ['status']), 'LEDGER_UNTRUSTED', 1);
      expect(hint).to.include('Connect as app_owner').and.to.include('--yes').and.not.to.include('DROP');
    }));
});

const hasWriteAll = (db: AttackedDatabase): Promise<boolean> =>
  withClient(
    db.url('postgres'),
    async (client) =>
      (await column(client, `SELECT 1 FROM pg_roles WHERE rolname = 'pg_write_all_data'`)).length > 0,
  );

/** Insists that a look is refused, and not any more once the hint's statements have been run. */
async function healed(db: AttackedDatabase, role: string, statement: string): Promise<void> {
  const look = () => runCli(['status', '--database-url', db.url('app_owner')]);
  const { hint } = expectRefusal(await look(), 'LEDGER_UNTRUSTED', 1);
  expect(hint).to.include(statement);
  await db.as(role, /REVOKE .*(?=; or run)/.exec(hint)?.[0] ?? '');
  expect((await look()).code).to.equal(0);
}
