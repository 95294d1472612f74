import { join } from 'node:path';
import Database from 'better-sqlite3';
import { expect } from 'chai';
import { before, beforeEach, describe, it } from 'mocha';
import { collector, runCli } from './support/cli.js';
import { useNewProject } from './support/new-project.js';
import { needServer, withDatabase } from './support/postgres-server.js';

// What a developer is told of a mistake in a file of theirs: the class of the error, the file and the line, and never its message,
// which may quote a row.

/** Stands in every message that must not be told. */
const SECRET = 'secret-of-a-row';

describe('a file that does not load', () => {
  const project = useNewProject();
  const file = (name: string): string => join(project.path, name);

  const config = (
    text = `export default defineConfig({ database: { path: 'store.db' }, steps: ['steps'] });`,
  ) =>
    project.write('umzug-backfill.config.mjs', `import { defineConfig } from 'umzug-backfill';\n${text}\n`);

  /** Texts of a step file, and what is told of each. */
  const steps: readonly (readonly [title: string, name: string, text: string, told: string])[] = [
    ['a syntax error', 'a.mjs', 'const a = 1;\nconst b = ;\n', 'SyntaxError at STEP:2'],
    ['a syntax error in CommonJS', 'a.cjs', '\n\nconst b = ;\n', 'SyntaxError at STEP:3'],
    ['an export that is not there', 'a.mjs', `import { no } from '../b.mjs';\n`, 'SyntaxError at STEP:1'],
    ['a package that is not there', 'a.mjs', `import 'no-such-package';\n`, 'Error ERR_MODULE_NOT_FOUND'],
    ['an error', 'a.mjs', `// a\n\nthrow new RangeError('${SECRET}');\n`, 'RangeError at STEP:3'],
    [
      'an error whose message looks like a frame',
      'a.mjs',
      `throw new RangeError('a\\n    at ${SECRET} (/${SECRET}/b.js:1:1)');\n`,
      'RangeError at STEP:1',
    ],
    [
      'an error in a helper',
      'a.mjs',
      `import { fails } from '../b.mjs';\nfails();\n`,
      'TypeError at HELPER:2',
    ],
    [
      'an error with the name of this package',
      'a.mjs',
      `throw Object.assign(new RangeError('${SECRET}'), { name: 'BackfillError' });\n`,
      'RangeError at STEP:1',
    ],
    ['no error at all', 'a.mjs', `throw '${SECRET}';\n`, 'string'],
  ];
  for (const [title, name, text, told] of steps) {
    it(`names class, file and line: ${title}`, async () => {
      config();
      project.write(`steps/${name}`, text);
      project.write('b.mjs', `export function fails() {\n  null.a;\n}\n`);
      const { message, hint } = await project.refused('STEP_INVALID', 1, 'status');
      const where = told.replace('STEP', file(`steps/${name}`)).replace('HELPER', file('b.mjs'));
      expect(message).to.equal(`The step file ${file(`steps/${name}`)} cannot be loaded (${where})`);
      expect(message + hint).not.to.include(SECRET);
    });
  }

  it('names them of the config', async () => {
    config(`\nthrow new RangeError('${SECRET}');`);
    const { message } = await project.refused('CONFIG_INVALID', 1, 'status');
    const path = file('umzug-backfill.config.mjs');
    expect(message).to.equal(`The config file ${path} cannot be loaded (RangeError at ${path}:3)`);
  });

  /** Declarations that are refused, by the file that holds them, and the file that is named. */
  const declarations: readonly (readonly [text: string, named: string])[] = [
    [
      `import { defineBackfill } from 'umzug-backfill';\n\nexport default defineBackfill({ tabel: 't' });`,
      'a.mjs:3',
    ],
    [`import { sql } from 'umzug-backfill';\nexport default sql('random()');`, 'a.mjs:2'],
    [
      `import { defineSqlStep } from 'umzug-backfill';\nexport default defineSqlStep({ up: ['VACUUM'] });`,
      'a.mjs:2',
    ],
    [
      `import { defineSchemaStep } from 'umzug-backfill';\nexport default defineSchemaStep({ table: '' });`,
      'a.mjs:2',
    ],
    [`import { requireBackfill } from 'umzug-backfill';\nexport default requireBackfill('');`, 'a.mjs:2'],
    [`export { default } from '../shared.mjs';`, '../shared.mjs:3'],
  ];
  for (const [text, named] of declarations) {
    it(`names the place of a declaration that is refused: ${text.split('\n').at(-1)}`, async () => {
      config();
      project.write('steps/a.mjs', text);
      project.write(
        'shared.mjs',
        `import { firstOf } from 'umzug-backfill';\nexport default (() =>\n  firstOf('', ['a']))();`,
      );
      const { message } = await project.refused('STEP_INVALID', 1, 'status');
      expect(message)
        .to.match(/ \(at [^()]*\)$/)
        .and.to.include(`(at ${join(file('steps'), named)})`);
    });
  }

  it('names the place of a config that is refused', async () => {
    config(`export default defineConfig({\n  steps: [],\n});`);
    const { message } = await project.refused('CONFIG_INVALID', 1, 'status');
    expect(message).to.equal(
      `Expected \`steps\` in defineConfig() to be a list of folders, got \`\` (at ${file('umzug-backfill.config.mjs')}:2)`,
    );
  });

  it('is read where a compiler has made CommonJS of it', async () => {
    const compiled = (of: string): string =>
      `"use strict";\nObject.defineProperty(exports, "__esModule", { value: true });\nconst kit = require("umzug-backfill");\nexports.default = kit.${of};\n`;
    project.write('package.json', '{}');
    project.write(
      'umzug-backfill.config.js',
      compiled(`defineConfig({ database: { path: 'store.db' }, steps: ['steps'] })`),
    );
    project.write('steps/001-plain.js', compiled(`defineSqlStep({ up: ['CREATE TABLE t (a)'] })`));
    project.write(
      'steps/002-own.cjs',
      `module.exports = require('umzug-backfill').defineSqlStep({ up: ['CREATE TABLE u (a)'] });`,
    );
    new Database(file('store.db')).exec('CREATE TABLE s (a)').close();
    await project.run('up', '--no-backup');
    expect((await project.run('executed')).stdout).to.equal('001-plain\n002-own\n');
    project.write('steps/003-none.js', 'exports.__esModule = true; exports.other = 1;');
    const { message } = await project.refused('STEP_INVALID', 1, 'status');
    expect(message).to.equal(
      `The default export of the step file ${file('steps/003-none.js')} is not a step`,
    );
  });
});

/** A store of either engine that holds what `sql` makes, and the arguments that name it. */
type WithStore = (sql: string, act: (...named: string[]) => Promise<void>) => Promise<void>;

for (const engine of ['SQLite', 'PostgreSQL'] as const) {
  describe(`a step that fails, on ${engine}`, () => {
    const project = useNewProject();
    const file = (name: string): string => join(project.path, 'steps', name);
    before(function () {
      if (engine === 'PostgreSQL') needServer(this);
    });

    const withStore: WithStore = async (sql, act) => {
      if (engine === 'PostgreSQL')
        return await withDatabase(async ({ url, client }) => {
          await client.query(sql);
          await act('--database-url', url);
        });
      new Database(join(project.path, 'store.db')).exec(sql).close();
      return await act('--db-path', 'store.db', '--no-backup');
    };
    const withPeople = (act: (...named: string[]) => Promise<void>): Promise<void> =>
      withStore(
        `CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT, first TEXT);
        INSERT INTO people (id, name) VALUES ${Array.from({ length: 40 }, (_, i) => `(${i + 1}, '${SECRET}-${i + 1}')`).join(', ')}`,
        act,
      );

    beforeEach(() =>
      project.write(
        'umzug-backfill.config.mjs',
        `import { defineConfig } from 'umzug-backfill';
        export default defineConfig({ database: { path: 'store.db' }, steps: ['steps'] });`,
      ),
    );
    /** A backfill by a function of this text, whose first line is the fifth of its file. */
    const process = (text: string): void =>
      project.write(
        'steps/001-first.mjs',
        `import { defineBackfill } from 'umzug-backfill';
export default defineBackfill({
  table: 'people', key: 'id', reads: ['name'], columns: ['first'],
  process: (rows) => rows.map((row) => {
${text}
  }),
});
`,
      );
    /** As a person at a terminal sees it. */
    const atTerminal = async (...args: string[]) => {
      const stderr = Object.assign(collector(), { isTTY: true });
      const result = await runCli(args, { cwd: project.path, stderr, env: { CI: '' } });
      return { ...result, stderr: stderr.text };
    };

    it('says what `process` threw on some rows, each place once, and in a dry run', () =>
      withPeople(async (...named) => {
        process(`if (Number(row.id) % 20 === 3) null.a;
if (Number(row.id) === 30) throw new RangeError(row.name);
return { first: 'x' };`);
        const texts = ['TypeError', 'RangeError'].map(
          (kind, i) => `\`process\` of 001-first threw: ${kind} at ${file('001-first.mjs')}:${5 + i}`,
        );
        const dry = await project.run('up', '--dry-run', ...named.slice(0, 2));
        expect(dry.stdout.split('\n').slice(0, 2)).to.deep.equal(texts.map((text) => `warning: ${text}.`));
        const { code, stdout, stderr } = await project.cli('up', '--batch-size', '100', ...named);
        expect(code, stderr).to.equal(0);
        const warned = stderr
          .trim()
          .split('\n')
          .map((line) => JSON.parse(line))
          .filter(({ text }) => text?.startsWith('`process`'));
        expect(warned.map(({ level, text }) => [level, text])).to.deep.equal(texts.map((text) => [40, text]));
        expect(stdout + stderr + dry.stdout).not.to.include(SECRET);
      }));

    it('says what it threw where that stops the run, and its message only at a terminal that asks for it', () =>
      withPeople(async (...named) => {
        process(`throw new RangeError(row.name);`);
        const { message, hint } = await project.refused('PROCESS_FAILED', 1, 'up', ...named);
        expect(message).to.match(/^`process` of 001-first threw on \d+ rows \(RangeError at [^ ]*:5\)$/);
        expect(message).to.include(`(RangeError at ${file('001-first.mjs')}:5)`);
        expect(hint).not.to.include(SECRET);

        const shown = await atTerminal('up', '--show-values', '--json', ...named);
        expect(shown.stderr).to.include(`\nRangeError: ${SECRET}-1\n`);
        expect(shown.stdout).to.include('PROCESS_FAILED').and.not.to.include(SECRET);
        const plain = await atTerminal('up', ...named);
        expect(plain.stderr).not.to.include(SECRET);
        const debug = await project.cli('up', '--log-level', 'debug', ...named);
        expect(debug.stderr)
          .to.match(/^BackfillError PROCESS_FAILED\n(?: {4}at \S+:\d+\n)+caused by RangeError\n/m)
          .and.include(`    at ${file('001-first.mjs')}:5\n`)
          .and.not.include(SECRET);

        for (const [env, isTTY, why] of [
          [{ CI: 'true' }, true, 'CI is set'],
          [{}, false, 'the log does not go to a terminal'],
        ] as const) {
          const stderr = Object.assign(collector(), { isTTY });
          const result = await runCli(['up', '--show-values', ...named], { cwd: project.path, stderr, env });
          expect(result.code).to.equal(2);
          expect(stderr.text)
            .to.include(`USAGE: --show-values may show contents of rows, and ${why}.\n`)
            .and.not.include(SECRET);
        }
      }));

    it('shows messages in warnings at a terminal that asks for it', () =>
      withPeople(async (...named) => {
        process(`if (row.id == 7) throw new RangeError(row.name);\nreturn { first: 'x' };`);
        const { code, stdout, stderr } = await atTerminal('up', '--show-values', ...named);
        expect(code, stderr).to.equal(0);
        expect(stderr).to.include(`RangeError at ${file('001-first.mjs')}:5: ${SECRET}-7`);
        expect(stdout).not.to.include(SECRET);
      }));

    /** Steps that the store refuses, and what is told. */
    const steps: readonly (readonly [title: string, step: string, code: string, told: string])[] = [
      [
        'a statement',
        `defineSqlStep({ up: ['INSERT INTO none VALUES (1)'] })`,
        'STATEMENT_REJECTED',
        'rejected a statement',
      ],
      [
        'a table',
        `defineSchemaStep({ table: 'none', columns: { a: 'TEXT' } })`,
        'TABLE_MISSING',
        'no table none',
      ],
      [
        'a table of a backfill',
        `defineBackfill({ table: 'none', key: 'id', columns: { a: sql('b') } })`,
        'TABLE_MISSING',
        'no table none',
      ],
      [
        'a column',
        `defineBackfill({ table: 'people', key: 'id', columns: { a: sql('name') } })`,
        'COLUMN_MISSING',
        'no column a',
      ],
      [
        'a key',
        `defineBackfill({ table: 'people', key: 'name', columns: { first: sql('name') } })`,
        'KEY_UNSUITABLE',
        'name',
      ],
      [
        'a scope',
        `defineBackfill({ table: 'people', key: 'id', scope: 'none', columns: { first: sql('name') } })`,
        'STEP_INVALID',
        'The scope of 001-first',
      ],
      [
        'an expression that fails on a row',
        `defineBackfill({ table: 'people', key: 'id', columns: { first: sql({ sqlite: "json_extract(name, '$.a')", postgres: "name::json ->> 'a'" }) } })`,
        'STEP_INVALID',
        'fails on the row with key 1 ',
      ],
      [
        'what `process` returns',
        `defineBackfill({ table: 'people', key: 'id', reads: [], columns: ['first'], process: () => 7 })`,
        'STEP_INVALID',
        '`process` of 001-first did not return',
      ],
    ];
    for (const [title, step, code, told] of steps) {
      it(`names the file of a step that is refused for ${title}`, () =>
        withPeople(async (...named) => {
          project.write(
            'steps/001-first.mjs',
            `import * as kit from 'umzug-backfill';\nconst { defineBackfill, defineSchemaStep, defineSqlStep, sql } = kit;\nexport default ${step};\n`,
          );
          const { message, hint } = await project.refused(code, 1, 'up', ...named);
          expect(message).to.include(told);
          expect(`${message} ${hint}`).to.include(file('001-first.mjs')).and.not.include(SECRET);
          if (title !== 'a statement' && title !== 'what `process` returns') {
            const dry = await project.refused(code, 1, 'up', '--dry-run', ...named.slice(0, 2));
            expect(`${dry.message} ${dry.hint}`).to.include(file('001-first.mjs'));
          }
        }));
    }

    it('keeps what the database says of a row to itself, with its code and stack for a debugger', () =>
      withPeople(async (...named) => {
        const fails = engine === 'SQLite' ? `SELECT RAISE(ABORT, '${SECRET}')` : `RAISE '${SECRET}'`;
        project.write(
          'steps/001-first.mjs',
          `import { defineSqlStep } from 'umzug-backfill';\nexport default defineSqlStep({ up: [${
            engine === 'SQLite'
              ? `"CREATE TRIGGER told BEFORE UPDATE ON people BEGIN ${fails}; END"`
              : `"CREATE FUNCTION told() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN ${fails}; END$$", "CREATE TRIGGER told BEFORE UPDATE ON people FOR EACH ROW EXECUTE FUNCTION told()"`
          }, "UPDATE people SET first = 'x' WHERE id = 1"] });\n`,
        );
        const debug = await project.cli('up', '--log-level', 'debug', ...named);
        const kind = engine === 'SQLite' ? 'SqliteError SQLITE_CONSTRAINT_TRIGGER' : 'POSTGRES_P0001';
        expect(debug.stdout + debug.stderr)
          .to.match(/^STATEMENT_REJECTED: /m)
          .and.match(new RegExp(`^caused by .*${kind}\\n(?: {4}at \\S+:\\d+\\n)+`, 'm'))
          .and.not.include(SECRET);
        expect((await atTerminal('up', '--show-values', ...named)).stderr).to.include(SECRET);
      }));
  });
}
