import { cpSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { inspect } from 'node:util';
import { expect } from 'chai';
import { before, describe, it } from 'mocha';
import type { ProcessFunction } from '../../src/index.js';
import type { BackfillTestCode, TestBackfillOptions } from '../../src/testing/index.js';
import { root, runCommand, useFolder } from '../support/cli.js';
import * as kit from '../support/kit.js';

const { defineBackfill, defineSchemaStep, defineSqlStep, firstOf, sql, testBackfill } = kit;

const SECRET = 'secret-contents';

const people = {
  schema: `CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT, first TEXT, last TEXT, size INTEGER, note TEXT DEFAULT '${SECRET}')`,
  rows: Array.from({ length: 12 }, (_, i) => ({ name: i % 5 === 4 ? 'Solo' : `Ada${i + 1} ${SECRET}` })),
};
const splitNames: ProcessFunction<'name', 'first' | 'last'> = (rows, { skip }) =>
  rows.map(({ name }) => {
    const [first = null, ...rest] = String(name).split(' ');
    return rest.length > 0 ? { first, last: rest.join(' ') } : skip('NO_SURNAME');
  });
const split = { table: 'people', key: 'id', reads: ['name'], columns: ['first', 'last'] } as const;
const sized = { table: 'people', key: 'id' } as const;

/** What a test of a backfill fails with; nothing of it may tell what the rows hold. */
async function failing(code: string, options: Partial<TestBackfillOptions>): Promise<string> {
  const error = await testBackfill({ ...people, ...options } as TestBackfillOptions).then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof kit.BackfillTestError)) throw error ?? new Error('Expected a failure');
  expect(error.code, error.message).to.equal(code);
  expect(inspect(error)).not.to.include(SECRET);
  expect(error.hint).to.match(/\S/);
  return error.message;
}

describe('testBackfill', () => {
  const folder = useFolder();
  /** Writes a step file, in a project that has this package. */
  const file = (name: string, text: string): string => {
    writeFileSync(folder.file(name), text);
    return folder.file(name);
  };
  before(() => {
    mkdirSync(folder.file('node_modules'));
    symlinkSync(root, folder.file('node_modules/umzug-backfill'));
    writeFileSync(folder.file('package.json'), '{ "type": "module" }');
  });

  it('says what it has tested, and leaves nothing behind', async () => {
    const left = (): string[] =>
      readdirSync(tmpdir()).filter((name) => name.startsWith('umzug-backfill-test-'));
    const before = left();
    const outcome = await testBackfill({
      ...people,
      backfill: defineBackfill({ ...split, process: splitNames }),
      expected: [
        { id: 1, first: 'Ada1', last: SECRET },
        { id: 5, first: null },
      ],
    });
    expect(outcome).to.deep.equal({
      backfill: 'backfill',
      rowsInScope: 12,
      cellsFilled: 20,
      skips: [5n, 10n].map((key) => ({ key, target: '*', reason: 'NO_SURNAME' })),
      batches: 4,
      interruptions: 16, // in and behind each batch, up and down
      interruptedBy: 'exception',
      expectedCells: 3,
      rowsWrittenMeanwhile: 3,
      valuesKept: 4,
    });
    expect(left()).to.deep.equal(before);
  });

  it('kills real processes where the step is a file, given as a path or as a URL', async () => {
    const text = `import { defineBackfill } from 'umzug-backfill';
      export default defineBackfill({ table: 'people', key: 'id', reads: ['name'], columns: ['size'],
        process: (rows) => rows.map(({ name }) => ({ size: name.length })) });`;
    const path = file('001-size.js', text);
    for (const given of [path, pathToFileURL(path), pathToFileURL(path).href]) {
      const { backfill, interruptions, interruptedBy, batches } = await testBackfill({
        ...people,
        file: given,
        batchRows: 6,
      });
      expect({ backfill, interruptedBy, batches }).to.deep.equal({
        ...{ backfill: '001-size', interruptedBy: 'SIGKILL', batches: 2 },
      });
      expect(interruptions).to.be.within(8, 10); // a \`down\` may be killed once more, as it forgets its step
    }
  });

  it('hands a definition without functions to the processes that it kills', async () => {
    const { interruptedBy } = await testBackfill({
      ...people,
      backfill: defineBackfill({ ...sized, columns: { size: sql('length(name)') } }),
      batchRows: 12,
    });
    expect(interruptedBy).to.equal('SIGKILL');
  });

  it('takes steps for the schema, text keys, tables without rowid, and keys that only grow', async () => {
    const steps = [
      defineSchemaStep({ table: 'docs', columns: { at: 'TEXT' }, indexes: { docs_at: { columns: ['at'] } } }),
      defineSqlStep({ up: ['ALTER TABLE docs ADD COLUMN made TEXT'] }),
    ];
    const process: ProcessFunction = (rows) => rows.map(({ id }) => ({ made: `of ${id}` }));
    for (const [key, ids] of [
      ['id TEXT PRIMARY KEY', ['b', 'ä', 'a', '🙂', 'a b', 'c']],
      ['id TEXT PRIMARY KEY) WITHOUT ROWID; --', ['b', 'a', 'c', 'd']],
      ['id INTEGER PRIMARY KEY AUTOINCREMENT', [5, 2, 9007199254740993n, -4]],
    ] as const) {
      const table = key.includes('--')
        ? 'CREATE TABLE docs (id TEXT PRIMARY KEY, body TEXT) WITHOUT ROWID'
        : `CREATE TABLE docs (${key}, body TEXT)`;
      const outcome = await testBackfill({
        schema: [table, ...steps, 'CREATE TABLE other (x); INSERT INTO other VALUES (1)'],
        backfill: defineBackfill({ table: 'docs', key: 'id', reads: ['body'], columns: ['made'], process }),
        rows: ids.map((id) => ({ id, body: '{}' })),
        expected: ids.map((id) => ({ id, made: `of ${id}` })),
      });
      expect(outcome.cellsFilled).to.equal(ids.length);
    }
  });

  it('finds a value that depends on when it is asked for, and on the rows beside it', async () => {
    let asked = 0;
    const counting: ProcessFunction = (rows) =>
      rows.map(() => {
        asked += 1;
        return { size: asked };
      });
    const message = await failing('NOT_DETERMINISTIC', {
      backfill: defineBackfill({ ...sized, reads: [], columns: ['size'], process: counting }),
    });
    expect(message).to.equal(
      'size of row 1 is ‹not a timestamp, a number› as first derived, and another when it is asked again',
    );
    const crowd: ProcessFunction = (rows) => rows.map(() => ({ size: rows.length }));
    expect(
      await failing('NOT_DETERMINISTIC', {
        backfill: defineBackfill({ ...sized, reads: [], columns: ['size'], process: crowd }),
      }),
    ).to.match(/^size of row 1 .* of the row among others$/);
    const reasons: ProcessFunction = (rows, { skip }) =>
      rows.map(() => skip(rows.length > 1 ? 'MANY' : 'ALONE'));
    expect(
      await failing('NOT_DETERMINISTIC', {
        backfill: defineBackfill({ ...sized, reads: [], columns: ['size'], process: reasons }),
      }),
    ).to.equal('Row 1 is left alone for ALONE as first asked, and for MANY of the row among others');
    const filled = sql('(SELECT count(size) FROM people)');
    expect(
      await failing('NOT_DETERMINISTIC', {
        backfill: defineBackfill({ ...sized, columns: { size: filled } }),
      }),
    ).to.match(/^size of row 1 .* once the table is filled$/);
  });

  it('finds a value that depends on the process, and a process that ends by itself', async () => {
    const step = (size: string): string => `import { defineBackfill } from 'umzug-backfill';
      export default defineBackfill({ table: 'people', key: 'id', reads: [], columns: ['size'],
        process: (rows) => rows.map(() => ({ size: ${size} })) });`;
    expect(await failing('NOT_RESUMED', { file: file('002-pid.js', step('process.pid')) })).to.equal(
      'size of row 1 is ‹not a timestamp, a number› after an uninterrupted `up`, and another after one that was interrupted and resumed',
    );
    const exiting = `process.send ? process.exit(7) : 1`;
    expect(await failing('PROCESS_ENDED', { file: file('003-exit.js', step(exiting)) })).to.equal(
      'The process that was to run `up` ended by itself, with exit code 7',
    );
  });

  it('finds what is not as expected, and where a text begins to differ', async () => {
    const backfill = defineBackfill({ ...split, process: splitNames });
    expect(await failing('NOT_EXPECTED', { backfill, expected: [{ id: 2, first: 'Adam' }] })).to.equal(
      'first of row 2 is ‹not a timestamp, 4 characters› by `expected`, and another (from character 4 on) after `up`',
    );
    expect(await failing('NOT_EXPECTED', { backfill, expected: [{ id: 5, last: 'x' }] })).to.match(
      /^last of row 5 is .* by `expected`, and NULL after `up`$/,
    );
  });

  it('finds rows that rows written later change', async () => {
    const others = sql('(SELECT count(*) FROM people)');
    expect(
      await failing('NOT_CAUGHT_UP', { backfill: defineBackfill({ ...sized, columns: { size: others } }) }),
    ).to.match(/^size of row 1 .* where some were written while it ran$/);
  });

  it('finds rows that leave the scope as others are filled', async () => {
    const scope = '(SELECT count(size) FROM people) < 5';
    expect(
      await failing('SKIP_NOT_RECORDED', {
        backfill: defineBackfill({ ...sized, scope, columns: { size: sql('length(name)') } }),
      }),
    ).to.equal('size of row 7 is NULL after `up`, and no reason is recorded');
  });

  it('finds triggers that change what is not the backfill’s', async () => {
    const backfill = defineBackfill({ ...sized, columns: { size: sql('length(name)') } });
    const trigger = (act: string): string[] => [
      people.schema,
      `CREATE TABLE log (x); CREATE TRIGGER touch AFTER UPDATE OF size ON people BEGIN ${act}; END`,
    ];
    const touched = trigger(`UPDATE people SET note = NEW.size WHERE id = NEW.id`);
    expect(await failing('NOT_KEPT', { backfill, schema: touched, allowsTriggers: true })).to.equal(
      'note of row 1 is ‹a value› before `up`, and another (from character 1 on) after it',
    );
    const logged = trigger('INSERT INTO log VALUES (1)');
    expect(await failing('NOT_KEPT', { backfill, schema: logged, allowsTriggers: true })).to.equal(
      'log is not the same before `up` and after it',
    );
    const counted = trigger('UPDATE people SET last = 1 WHERE NEW.size IS NULL');
    expect(await failing('NOT_TAKEN_BACK', { backfill, schema: counted, allowsTriggers: true })).to.match(
      /^last of row 1 is NULL in the seed, and ‹a value› after `down`$/,
    );
  });

  it('finds a function that throws on each row, be they few', async () => {
    const backfill = defineBackfill({
      ...split,
      process: ([row]) => {
        throw new Error(`no ${row?.name}`);
      },
    });
    expect(await failing('PROCESS_THREW', { backfill, rows: people.rows.slice(0, 6) })).to.equal(
      '`process` threw on each of the 6 rows in scope',
    );
  });

  it('finds a check that fails', async () => {
    const query = 'SELECT id FROM people WHERE last IS NULL';
    const backfill = defineBackfill({
      ...sized,
      columns: { size: sql('length(name)') },
      checks: { indexes: [{ index: 'people_last', query }] },
    });
    expect(await failing('NOT_VERIFIED', { backfill })).to.match(
      /^The check .* fails after `up`: .*people_last/,
    );
  });

  it('refuses what can not be run as `up` does', async () => {
    for (const [code, backfill] of [
      ['STEP_INVALID', defineBackfill({ ...sized, columns: { size: sql('nowhere') } })],
      ['COLUMN_MISSING', defineBackfill({ ...sized, columns: { sise: sql('1') } })],
      ['KEY_UNSUITABLE', defineBackfill({ ...sized, key: 'name', columns: { size: sql('1') } })],
      ['TABLE_MISSING', defineBackfill({ ...sized, table: 'none', columns: { size: sql('1') } })],
      ['USAGE', defineBackfill({ ...sized, scope: 'id > 99', columns: { size: sql('1') } })],
    ] as const) {
      const error = await testBackfill({ ...people, backfill }).catch((thrown: unknown) => thrown);
      expect(error).to.be.instanceOf(kit.BackfillError).and.to.have.property('code', code);
    }
  });

  const backfill = defineBackfill({ ...sized, columns: { size: firstOf('name', ['x'], 'name') } });
  for (const [told, options] of [
    ['Unknown option `row` in testBackfill()', { backfill, row: [] }],
    ['testBackfill() takes either `file` or `backfill`', {}],
    ['testBackfill() takes either `file` or `backfill`', { backfill, file: 'x.js' }],
    ['Expected `backfill` in testBackfill() to be made by defineBackfill()', { backfill: {} }],
    ['Expected `file` in testBackfill() to be a non-empty string', { file: 7 }],
    ['Expected `rows` in testBackfill() to be a list of rows', { backfill, rows: 'x' }],
    ['Expected `rows` in testBackfill() to be a list of rows, one at least', { backfill, rows: [] }],
    ['Expected `rows[0].name` in testBackfill() to be a string', { backfill, rows: [{ name: true }] }],
    ['Expected `schema` in testBackfill() to be SQL, or steps', { backfill, schema: [''] }],
    ['Expected `schema` in testBackfill() to be SQL, or steps', { backfill, schema: [backfill] }],
    ['Expected `batchRows` in testBackfill() to be a positive integer', { backfill, batchRows: 0 }],
    ['Expected `allowsTriggers` in testBackfill() to be true or false', { backfill, allowsTriggers: 1 }],
    [
      'Unknown option `frist` in `expected` of testBackfill()',
      { backfill, expected: [{ id: 1, frist: 'x' }] },
    ],
    [
      'Expected `expected` in testBackfill() to be rows that have their key, id',
      { backfill, expected: [{ size: 1 }] },
    ],
    ['`expected` of testBackfill() has a row 99, which `rows` has not', { backfill, expected: [{ id: 99 }] }],
    [
      '`schema` of testBackfill() puts rows into people',
      { backfill, schema: `${people.schema}; INSERT INTO people (id) VALUES (50)` },
    ],
  ] as const) {
    it(`refuses: ${told}`, async () => {
      const given = { ...people, ...options } as unknown as TestBackfillOptions;
      const error = await testBackfill(given).catch((thrown: unknown) => thrown);
      expect(error).to.be.instanceOf(kit.BackfillError);
      expect((error as Error).message.startsWith(told), (error as Error).message).to.equal(true);
      expect((error as Error).message).not.to.include(SECRET);
    });
  }

  it('names a row that SQLite refuses, and a file that is no backfill', async () => {
    const rows = [{ id: 1 }, { id: 1 }];
    const doubled = await testBackfill({ ...people, backfill, rows }).catch((thrown: Error) => thrown);
    expect((doubled as Error).message).to.equal(
      'SQLite refused a statement in row 2 of `rows` of testBackfill() (SQLITE_CONSTRAINT_PRIMARYKEY)',
    );
    const path = file(
      '004-column.js',
      `import { defineSqlStep } from 'umzug-backfill'; export default defineSqlStep({ up: ['SELECT 1'] });`,
    );
    const other = await testBackfill({ ...people, file: path }).catch((thrown: Error) => thrown);
    expect((other as Error).message).to.equal(`The step file ${path} holds no backfill`);
  });

  it('starts its processes with the loaders of the test alone', async () => {
    for (const name of ['hook.mjs', 'a.cjs', 'y.mjs']) file(name, '');
    file(
      '005-told.js',
      `import { writeFileSync } from 'node:fs';
      import { defineBackfill } from 'umzug-backfill';
      if (process.send) writeFileSync(new URL('options.json', import.meta.url), JSON.stringify(process.execArgv));
      export default defineBackfill({ table: 'people', key: 'id', reads: ['name'], columns: ['size'],
        process: (rows) => rows.map(({ name }) => ({ size: name.length })) });`,
    );
    const script = `import('umzug-backfill/testing').then(({ testBackfill }) => testBackfill({ file: '005-told.js',
      schema: 'CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT, size INTEGER)', rows: [{ name: 'Ada' }] }))`;
    // Not every Node has it.
    const types = ['--experimental-strip-types'].filter((flag) =>
      process.allowedNodeEnvironmentFlags.has(flag),
    );
    const loaders = ['--import', './hook.mjs', '-r', './a.cjs', ...types, '--loader=./y.mjs'];
    const given = [...loaders.slice(0, 2), '--inspect=0', ...loaders.slice(2), '--no-warnings', '-e', script];
    const { code, stderr } = await runCommand([process.execPath, ...given], { cwd: folder.path });
    expect(code, stderr).to.equal(0);
    expect(JSON.parse(readFileSync(folder.file('options.json'), 'utf8'))).to.deep.equal(loaders);
  });
});

describe('docs/testing.md', () => {
  const folder = useFolder();

  it('shows a test that passes, of the steps of examples/app', async () => {
    const page = readFileSync(join(root, 'docs/testing.md'), 'utf8');
    const [, test = ''] = /```js\n(.*?)```/s.exec(page) ?? [];
    cpSync(join(root, 'examples/app'), folder.file('app'), { recursive: true });
    for (const name of ['node_modules', 'test']) mkdirSync(folder.file(`app/${name}`));
    symlinkSync(root, folder.file('app/node_modules/umzug-backfill'));
    writeFileSync(folder.file('app/test/002-fill-order-times.test.js'), test);
    const options = { cwd: folder.file('app') };
    const { code, stdout, stderr } = await runCommand([process.execPath, '--test'], options);
    expect(code, stdout + stderr).to.equal(0);
    expect(stdout).to.match(/pass 1\b/);
  });

  it('says what to do about each code', () => {
    const page = readFileSync(join(root, 'docs/testing.md'), 'utf8');
    const documented = [...page.matchAll(/^\| `([A-Z_]+)` \|/gm)].map(([, code]) => code);
    // The compiler wants each of them here.
    const codes: Readonly<Record<BackfillTestCode, true>> = {
      NOT_DETERMINISTIC: true,
      PROCESS_THREW: true,
      NOT_EXPECTED: true,
      NOT_KEPT: true,
      SKIP_NOT_RECORDED: true,
      NOT_VERIFIED: true,
      NOT_TAKEN_BACK: true,
      NOT_RESUMED: true,
      NOT_CAUGHT_UP: true,
      PROCESS_ENDED: true,
    };
    expect(documented).to.deep.equal(Object.keys(codes));
  });
});
