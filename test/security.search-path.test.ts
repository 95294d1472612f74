import { expect } from 'chai';
import { before, describe, it } from 'mocha';
import { defineBackfill, defineSqlStep, firstOf, sql } from '../src/index.js';
import { expectRefusal, runCli, useFolder } from './support/cli.js';
import {
  type AttackedDatabase,
  OPERATORS_IN_FRONT,
  TRAPS,
  TRAPS_IN_FRONT,
  useAttacked,
} from './support/postgres-attacks.js';
import { errorOf, migratorOn } from './support/postgres-events.js';
import { column, needServer, withClient } from './support/postgres-server.js';

// Another role plants what PostgreSQL finds by its search path, or what its owner may hang on a table: none of it may run as the user of
// this program.

/** Lets `low` make objects where everybody may up to PostgreSQL 14. */
const OPEN = 'GRANT CREATE, USAGE ON SCHEMA public TO low';

/** A table with keys and documents of several types. */
const EVENTS = `CREATE TABLE events (k varchar(20) COLLATE "C" PRIMARY KEY, n smallint UNIQUE, doc varchar, bin jsonb, made timestamptz,
    short varchar(12), one text, two text, three varchar);
  INSERT INTO events SELECT 'k' || g, g, '{"a": "x' || g || '"}', jsonb_build_object('a', g), now(), 's', NULL, NULL, NULL
    FROM generate_series(1, 90) AS g;
  UPDATE events SET doc = '{"a": "half \\ud800"}' WHERE n % 7 = 0`;

const columns = {
  one: firstOf('doc', ['a', 'b'], 'made'),
  two: firstOf('bin', ['a'], 'short'),
  three: sql('short'),
};

describe('what others plant in the search path', () => {
  before(function () {
    needServer(this);
  });
  const attacked = useAttacked();
  const folder = useFolder();

  const looks = [['status'], ['verify'], ['up', '--dry-run'], ['down', '--to', '0', '--dry-run']];
  const changes = [['backfill', '--rescan', 'v021-2-decision-fields'], ['down', '--to', '0'], ['up']];
  const report = () => ['report', '--out', folder.file('report.html')];

  const run = (db: AttackedDatabase, role: string, args: readonly string[]) =>
    runCli([...args, '--database-url', db.url(role)]);

  it('is refused before any command reads a row, and named with the command that mends it', () =>
    attacked(async (db) => {
      expect((await run(db, 'app_owner', ['up'])).code).to.equal(0);
      await db.as('app_owner', OPEN);
      await db.as('low', TRAPS);
      for (const args of [...looks, report(), ...changes]) {
        const { message, hint } = expectRefusal(await run(db, 'app_owner', args), 'SEARCH_PATH_UNSAFE', 1);
        expect(message).to.include('role low').and.to.include('schema public');
        expect(hint).to.include('REVOKE CREATE ON SCHEMA "public" FROM "low"').and.to.include('--yes');
        expect(await db.loot(), args.join(' ')).to.deep.equal([]);
      }
    }));

  it('runs for no command though a person agrees to it, as none of our names is looked up there', () =>
    attacked(async (db) => {
      await db.as('app_owner', OPEN);
      await db.as('low', TRAPS);
      for (const args of [['status'], ['up', '--dry-run'], ['up'], ...looks, report(), ...changes]) {
        const { code, stdout, stderr } = await run(db, 'app_owner', [...args, '--yes']);
        expect(code, `${args.join(' ')}\n${stdout}${stderr}`).to.equal(0);
        expect(await db.loot(), args.join(' ')).to.deep.equal([]);
      }
    }));

  it('runs for no key and no document of another type either', () =>
    attacked(async (db) => {
      await db.as('app_owner', `${OPEN}; ${EVENTS}`);
      await db.as('low', TRAPS);
      for (const key of ['k', 'n']) {
        const migrator = migratorOn(
          db.url('app_owner'),
          { '001-told': defineBackfill({ table: 'events', key, columns }) },
          { confirmed: true },
        );
        await migrator.up();
        expect((await migrator.verify()).map(({ verdict }) => verdict)).to.deep.equal(['pass']);
        await migrator.down({ to: 0 });
        expect(await db.loot(), key).to.deep.equal([]);
      }
    }));

  it('runs for no row that is refused, emptied, written again or by a trigger, and for none on which an expression fails', () =>
    attacked(async (db) => {
      await db.as(
        'app_owner',
        `${OPEN}; ${EVENTS};
        CREATE FUNCTION public.stamped() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
          UPDATE public.events SET made = pg_catalog.now() WHERE n OPERATOR(pg_catalog.=) OLD.n; RETURN NULL; END $$;
        CREATE TRIGGER stamped AFTER UPDATE OF one ON events FOR EACH ROW EXECUTE FUNCTION public.stamped();
        ALTER TABLE events ADD CHECK (k <> 'k13' OR one IS NULL)`,
      );
      await db.as('low', TRAPS);
      const on = (step: ReturnType<typeof defineBackfill>) =>
        migratorOn(db.url('app_owner'), { '001-told': step }, { confirmed: true, allowTriggers: true });
      const table = { table: 'events', key: 'k' };
      const migrator = on(defineBackfill({ ...table, columns }));
      const failed = (error: unknown) => expect(error).to.have.property('code', 'VERIFICATION_FAILED');
      await migrator.up().catch(failed); // the trigger changes what values derive from
      expect(await db.loot(), 'first').to.deep.equal([]);
      await db.as(
        'app_owner',
        `UPDATE events SET one = NULL, two = 'changed' WHERE k OPERATOR(pg_catalog.~) '5$'; UPDATE events SET made = pg_catalog.now(), doc = '{}'`,
      );
      for (const act of ['verify', 'up', 'down'] as const) {
        if (act === 'down') await migrator.down({ to: 0 });
        else await migrator[act]().catch(failed);
        expect(await db.loot(), act).to.deep.equal([]);
      }
      const one = sql('CASE WHEN n OPERATOR(pg_catalog.=) 17 THEN pg_catalog.int4div(1, 0)::text END');
      expect((await errorOf(on(defineBackfill({ ...table, columns: { one } })).up())).code).to.equal(
        'STEP_INVALID',
      );
      expect(await db.loot(), 'a failing expression').to.deep.equal([]);
    }));

  /** The database's URL for its owner, whose path has PostgreSQL's own behind what others may plant. */
  const behind = (db: AttackedDatabase) => `${db.url('app_owner')}?options=-csearch_path%3Dpublic,pg_catalog`;

  it('runs for no command though it stands before PostgreSQL’s own in the path', () =>
    attacked(async (db) => {
      await db.as(
        'app_owner',
        `${OPEN}; ALTER TABLE task_audits ADD source_event_ts text, ADD supervisor_processed_at text`,
      );
      await db.as('low', TRAPS_IN_FRONT);
      for (const args of [['status'], ['up', '--dry-run'], ['up'], ...looks, report(), ...changes]) {
        const { code, stdout, stderr } = await runCli([...args, '--yes', '--database-url', behind(db)]);
        expect(code, `${args.join(' ')}\n${stdout}${stderr}`).to.equal(0);
        expect(await db.loot(), args.join(' ')).to.deep.equal([]);
      }
    }));

  it('runs for no type of a column though it stands before PostgreSQL’s own in the path', () =>
    attacked(async (db) => {
      // Each with what it is filled with, and what it holds then.
      const types: readonly (readonly [type: string, value: string, held?: string])[] = [
        ['text', 'a'],
        ['varchar(3)', 'abc'],
        ['char(3)', 'ab'],
        ['"char"', 'a'],
        ['bytea', '\\x00ff'],
        ['boolean', 'true'],
        ['smallint', '7'],
        ['integer', '7'],
        ['bigint', '7'],
        ['real', '1.5'],
        ['float8', '1.5'],
        ['numeric(5,2)', '1.234', '1.23'],
        ['bit(3)', '101'],
        ['bit varying(5)', '101'],
        ['uuid', '00000000-0000-4000-8000-000000000000'],
        ['json', '{"a": 1}'],
        ['jsonb', '{"a": 1}'],
        ['date', '2026-01-02'],
        ['time(1)', '01:02:03.46', '01:02:03.5'],
        ['timestamp', '2026-01-02 03:04:05'],
        ['timestamptz(1)', '2026-01-02 03:04:05.46+00', '2026-01-02 03:04:05.5+00'],
        ['interval day to second(1)', '1 day 00:00:01.46', '1 day 00:00:01.5'],
        ['inet', '10.0.0.1', '10.0.0.1/32'],
        ['int4range', '[1,3)'],
        ['text[]', '{a,b}'],
        ['varchar(3)[]', '{a,b}'],
        ['helpers.mood', 'glad'],
        ['helpers."long. word"', 'abcd'],
        ['helpers."long. word"[]', '{abcd}'],
      ];
      const name = (i: number): string => `c${i}`;
      await db.as(
        'app_owner',
        `${OPEN}; CREATE SCHEMA helpers; CREATE TYPE helpers.mood AS ENUM ('glad');
        CREATE DOMAIN helpers."long. word" AS text CHECK (length(VALUE) > 3);
        CREATE TABLE events (k text COLLATE "C" PRIMARY KEY, u uuid UNIQUE DEFAULT gen_random_uuid(), n int UNIQUE, doc text,
          ${types.map(([type], i) => `${name(i)} ${type}, d${i} ${type} DEFAULT '${types[i]?.[1]}'`).join(', ')});
        INSERT INTO events (k, n, doc) SELECT 'k' || g, g, json_build_object(${types.map(([, value], i) => `'${name(i)}', '${value}'`).join(', ')})
          FROM generate_series(1, 20) AS g;
        UPDATE events SET doc = replace(doc, '{"c0"', '{"odd": NaN, "c0"') WHERE n = 3`,
      );
      await db.as('low', TRAPS_IN_FRONT);
      await db.as('low', OPERATORS_IN_FRONT);
      const ways: readonly (readonly [
        key: string,
        of: (i: number) => ReturnType<typeof sql> | ReturnType<typeof firstOf>,
      ])[] = [
        ['k', (i) => firstOf('doc', [name(i)])],
        ['u', (i) => sql(`d${i}`)],
        ['n', (i) => sql(`d${i}::pg_catalog.text`)],
      ];
      for (const [key, of] of ways) {
        const step = (from: number, to: number) =>
          defineBackfill({
            table: 'events',
            key,
            columns: Object.fromEntries(types.map((_, i) => [name(i), of(i)] as const).slice(from, to)),
          });
        const migrator = migratorOn(
          behind(db),
          { '001-told': step(0, 15), '002-told': step(15, types.length) },
          { confirmed: true },
        );
        await migrator.status();
        await migrator.up();
        expect((await migrator.verify()).map(({ verdict }) => verdict)).to.deep.equal(['pass', 'pass']);
        await withClient(db.url('app_owner'), async (client) => {
          for (const [i, [type, value, held = value]] of types.entries())
            expect(
              await column(client, `SELECT DISTINCT ${name(i)}::text FROM events`),
              `${key}, ${type}`,
            ).to.deep.equal([held]);
        });
        await migrator.down({ to: 0 });
        expect(await db.loot(), key).to.deep.equal([]);
        await withClient(db.url('app_owner'), async (client) => {
          const left = types.map((_, i) => `${name(i)} IS NOT NULL`).join(' OR ');
          expect(await column(client, `SELECT count(*) FROM events WHERE ${left}`)).to.deep.equal(['0']);
        });
      }
    }));

  it('is no view in place of a table', () =>
    attacked(async (db) => {
      await db.as('app_owner', 'CREATE SCHEMA first; GRANT CREATE, USAGE ON SCHEMA first TO low');
      await db.as(
        'low',
        `CREATE VIEW first.task_audits AS SELECT 1::bigint AS audit_id, 'SUPERVISOR_X'::text AS event_type, loot.boom('view')::text AS payload, ''::text AS created_at;
        CREATE VIEW first.schema_version AS SELECT '0.20.0'::text || coalesce(loot.boom('view')::text, '') AS version`,
      );
      const url = `${db.url('app_owner')}?options=-csearch_path%3Dfirst,public`;
      for (const args of [['status'], ['up', '--dry-run'], ['up'], ['verify']]) {
        expectRefusal(await runCli([...args, '--database-url', url]), 'SEARCH_PATH_UNSAFE', 1);
        expectRefusal(
          await runCli([...args, '--yes', '--database-url', url]),
          /^(?:VERSION|TABLE)_MISSING$/,
          1,
        );
      }
      expect(await db.loot()).to.deep.equal([]);
    }));

  for (const [what, statements, grantee] of [
    ['everybody may make objects in', 'GRANT CREATE ON SCHEMA public TO public', 'PUBLIC'],
    [
      'a group that a role is a member of may make objects in',
      'GRANT CREATE ON SCHEMA public TO group_of_low',
      '"group_of_low"',
    ],
  ] as const)
    it(`is told of a schema that ${what}`, () =>
      attacked(async (db) => {
        await db.as('app_owner', statements);
        const { hint } = expectRefusal(await run(db, 'app_owner', ['status']), 'SEARCH_PATH_UNSAFE', 1);
        expect(hint).to.include(`REVOKE CREATE ON SCHEMA "public" FROM ${grantee}`);
      }));

  it('is told of a schema of another owner, with whose commands everything goes on', () =>
    attacked(async (db) => {
      await db.as(
        'postgres',
        'ALTER SCHEMA public OWNER TO postgres; GRANT CREATE ON SCHEMA public TO public',
      );
      const { hint } = expectRefusal(await run(db, 'app_owner', ['status']), 'SEARCH_PATH_UNSAFE', 1);
      expect(hint).to.include('as postgres: REVOKE CREATE');
      await db.as('postgres', /REVOKE .*(?=; or run)/.exec(hint)?.[0] ?? '');
      expect((await run(db, 'app_owner', ['up'])).code).to.equal(0);
    }));

  it('is told of a schema with the name of this user that another has made', () =>
    attacked(async (db) => {
      await db.as(
        'app_owner',
        `GRANT CREATE ON DATABASE ${db.name} TO low; GRANT USAGE ON SCHEMA public TO app`,
      );
      await db.as('low', 'CREATE SCHEMA app; GRANT USAGE ON SCHEMA app TO app');
      const { message } = expectRefusal(await run(db, 'app', ['status']), 'SEARCH_PATH_UNSAFE', 1);
      expect(message).to.include('role low').and.to.include('schema app');
    }));

  it('is nothing that the owners of database and schema, members of their roles, and superusers may do', () =>
    attacked(async (db) => {
      for (const role of ['app_owner', 'deployer']) {
        expect((await run(db, role, ['up'])).code).to.equal(0);
        expect((await run(db, role, ['verify'])).code).to.equal(0);
        expect((await run(db, role, ['down', '--to', '0', '--yes'])).code).to.equal(0);
      }
    }));
});

describe('the search path that the project’s own SQL sees', () => {
  before(function () {
    needServer(this);
  });
  const attacked = useAttacked();

  it('is the user’s: for scopes and expressions, for triggers, at once and at the commit, for DDL and for SQL steps', () =>
    attacked(async (db) => {
      await db.as(
        'app_owner',
        `CREATE SCHEMA helpers;
        CREATE FUNCTION helpers.shout(value text) RETURNS text LANGUAGE sql IMMUTABLE RETURN upper(value);
        CREATE TABLE helpers.seen (how text);
        CREATE TABLE events (id bigint PRIMARY KEY, body text, loud text);
        INSERT INTO events SELECT g, 'body ' || g FROM generate_series(1, 50) AS g;
        CREATE FUNCTION helpers.fired() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO seen VALUES (TG_NAME || shout('!')); RETURN NULL; END $$;
        CREATE TRIGGER at_once AFTER UPDATE ON events FOR EACH STATEMENT EXECUTE FUNCTION helpers.fired();
        CREATE CONSTRAINT TRIGGER at_commit AFTER UPDATE ON events DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION helpers.fired();`,
      );
      await db.as(
        'postgres',
        `CREATE FUNCTION helpers.on_ddl() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO seen VALUES ('ddl'); END $$;
        GRANT ALL ON helpers.seen TO app_owner;
        CREATE EVENT TRIGGER on_ddl ON ddl_command_end EXECUTE FUNCTION helpers.on_ddl()`,
      );
      const url = `${db.url('app_owner')}?options=-csearch_path%3Dpublic,helpers`;
      const migrator = migratorOn(
        url,
        {
          '001-made': defineSqlStep({
            up: [`CREATE TABLE made AS SELECT shout('made') AS word`],
            down: ['DROP TABLE made'],
          }),
          '002-loud': defineBackfill({
            table: 'events',
            key: 'id',
            scope: `shout(body) <> 'BODY 7'`,
            columns: { loud: sql('shout(body)') },
          }),
        },
        { allowTriggers: true },
      );
      await migrator.up();
      expect((await migrator.verify()).map(({ verdict }) => verdict)).to.deep.equal(['pass']);
      await withClient(db.url('app_owner'), async (client) => {
        expect(await column(client, 'SELECT word FROM made')).to.deep.equal(['MADE']);
        expect(await column(client, 'SELECT count(*) FROM events WHERE loud = upper(body)')).to.deep.equal([
          '49',
        ]);
        expect(await column(client, 'SELECT DISTINCT how FROM helpers.seen ORDER BY 1')).to.deep.equal([
          'at_commit!',
          'at_once!',
          'ddl',
        ]);
      });
      await migrator.down({ to: 0 });
    }));
});

describe('a superuser', () => {
  before(function () {
    needServer(this);
  });
  const attacked = useAttacked();

  const plant = (db: AttackedDatabase) =>
    db.as(
      'app_owner',
      `CREATE FUNCTION public.fired() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RESET ROLE; PERFORM loot.boom('trigger'); RETURN new; END $$;
      CREATE TRIGGER fired BEFORE UPDATE ON task_audits FOR EACH ROW EXECUTE FUNCTION public.fired();
      CREATE FUNCTION public.planned(text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM loot.boom('index'); RETURN $1; END $$;
      CREATE INDEX ON task_audits ((planned('x')));
      CREATE TABLE IF NOT EXISTS loot_of_owner (n int)`,
    );

  it('is refused on the tables of another, also where it takes that role by SET ROLE, whatever the command', () =>
    attacked(async (db) => {
      await plant(db);
      const before = await db.loot(); // the owner's own, of making the index
      for (const url of [db.url('postgres'), `${db.url('postgres')}?options=-crole%3Dapp_owner`])
        for (const args of [
          ['status'],
          ['verify'],
          ['up', '--dry-run'],
          ['up'],
          ['up', '--allow-triggers'],
          ['down', '--to', '0'],
        ]) {
          const result = await runCli([...args, '--database-url', url]);
          if (args[0] === 'down') continue; // there is nothing to take back
          const { message, hint } = expectRefusal(result, 'SUPERUSER_REFUSED', 1);
          expect(message).to.include('belongs to app_owner');
          expect(hint).to.include('Connect as app_owner').and.to.include('--yes');
        }
      expect(await db.loot()).to.deep.equal(before);
    }));

  /** What the step's own ILIKE finds in the schema, for a column of this type. */
  const ilike = (schema: string) =>
    `CREATE FUNCTION ${schema}.ilk(a varchar, b text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN PERFORM loot.boom('ilike'); RETURN true; END $$;
    CREATE OPERATOR ${schema}.~~* (leftarg = varchar, rightarg = text, function = ${schema}.ilk)`;
  const OWN = `ALTER TABLE task_audits ALTER event_type TYPE varchar(99); ALTER TABLE task_audits OWNER TO postgres;
    ALTER TABLE schema_version OWNER TO postgres`;

  for (const [whose, schema, statements] of [
    ['the database', 'public', ''],
    [
      'the schema',
      's',
      `; ALTER DATABASE $ OWNER TO postgres; CREATE SCHEMA s AUTHORIZATION app_owner; ALTER TABLE task_audits SET SCHEMA s;
      ALTER TABLE schema_version SET SCHEMA s`,
    ],
  ] as const)
    it(`runs nothing that the owner of ${whose} has planted in the path, until a person agrees`, () =>
      attacked(async (db) => {
        await db.as('postgres', OWN + statements.replace('$', db.name));
        await db.as('app_owner', ilike(schema));
        const url = `${db.url('postgres')}?options=-csearch_path%3D${schema}`;
        for (const args of [['status'], ['up', '--dry-run'], ['up']]) {
          const result = await runCli([...args, '--database-url', url]);
          const { message, hint } = expectRefusal(result, 'SUPERUSER_REFUSED', 1);
          expect(message).to.include(`schema ${schema}`).and.to.include('belongs to app_owner');
          expect(hint).to.include('Connect as app_owner').and.to.include('--yes');
        }
        expect(await db.loot()).to.deep.equal([]);
      }));

  for (const [what, attach] of [
    ['partition', 'PARTITION OF halves DEFAULT'],
    ['heir', '() INHERITS (halves)'],
  ] as const)
    it(`is refused on a table of its own of which another owns the ${what}`, () =>
      attacked(async (db) => {
        await db.as(
          'postgres',
          `ALTER DATABASE ${db.name} OWNER TO postgres; ALTER SCHEMA public OWNER TO postgres; CREATE SCHEMA lows AUTHORIZATION low;
          CREATE TABLE halves (id bigint PRIMARY KEY, body text, copy text) ${what === 'partition' ? 'PARTITION BY RANGE (id)' : ''};
          CREATE TABLE lows.half ${attach}; ALTER TABLE lows.half OWNER TO low;
          INSERT INTO lows.half SELECT g, 'body' FROM generate_series(1, 50) AS g`,
        );
        await db.as(
          'low',
          `CREATE FUNCTION lows.planned(text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM loot.boom('index'); RETURN $1; END $$;
          CREATE INDEX ON lows.half (lows.planned(body))`,
        );
        const step = defineBackfill({ table: 'halves', key: 'id', columns: { copy: sql('body') } });
        const error = await errorOf(migratorOn(db.url('postgres'), { '001-halves': step }).up());
        expect(error.code).to.equal('SUPERUSER_REFUSED');
        expect(error.message).to.include('half belongs to low');
        expect(await db.loot()).to.deep.equal([]);
      }));

  for (const role of ['dba', 'filer'])
    it(`is also who may become one: ${role}`, () =>
      attacked(async (db) => {
        await plant(db);
        const before = await db.loot();
        await db.as(
          'postgres',
          `ALTER DATABASE ${db.name} OWNER TO postgres; ALTER SCHEMA public OWNER TO postgres; GRANT ALL ON SCHEMA public TO ${role};
          GRANT ALL ON ALL TABLES IN SCHEMA public TO ${role}; GRANT app_owner TO ${role}`,
        );
        try {
          for (const args of [['status'], ['up', '--dry-run'], ['up', '--allow-triggers']]) {
            const result = await runCli([...args, '--database-url', db.url(role)]);
            expect(expectRefusal(result, 'SUPERUSER_REFUSED', 1).message).to.include('belongs to app_owner');
          }
        } finally {
          await db.as('postgres', `REVOKE app_owner FROM ${role}`);
        }
        expect(await db.loot()).to.deep.equal(before);
      }));

  it('goes on where a person agrees, and on tables of its own', () =>
    attacked(async (db) => {
      expect((await runCli(['up', '--yes', '--database-url', db.url('postgres')])).code).to.equal(0);
      expect((await runCli(['verify', '--yes', '--database-url', db.url('postgres')])).code).to.equal(0);
      expect(
        (await runCli(['down', '--to', '0', '--yes', '--database-url', db.url('postgres')])).code,
      ).to.equal(0);
      await db.as(
        'postgres',
        `ALTER TABLE task_audits OWNER TO postgres; ALTER TABLE schema_version OWNER TO postgres;
        ALTER DATABASE ${db.name} OWNER TO postgres; ALTER SCHEMA public OWNER TO postgres`,
      );
      expect((await runCli(['up', '--database-url', db.url('postgres')])).code).to.equal(0);
    }));

  it('takes no ledger of another, whose SQL it would run', () =>
    attacked(async (db) => {
      expect((await runCli(['up', '--database-url', db.url('app_owner')])).code).to.equal(0);
      await db.as(
        'postgres',
        `ALTER TABLE task_audits OWNER TO postgres; ALTER TABLE schema_version OWNER TO postgres;
        ALTER DATABASE ${db.name} OWNER TO postgres; ALTER SCHEMA public OWNER TO postgres`,
      );
      const error = await errorOf(migratorOn(db.url('postgres'), {}).status());
      expect(error.code).to.equal('LEDGER_UNTRUSTED');
      expect(error.message).to.include('belongs to app_owner');
    }));
});
