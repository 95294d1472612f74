import { mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { pathToFileURL } from 'node:url';
import { inspect } from 'node:util';
import { expect } from 'chai';
import { before, describe, it } from 'mocha';
import type { ProcessFunction } from '../../src/index.js';
import type { TestBackfillOptions } from '../../src/testing/index.js';
import { root, useFolder } from '../support/cli.js';
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

/** What a test of a backfill fails with; nothing of it may tell what the rows hold, unless what was thrown is shown. */
async function failing(code: string, options: Partial<TestBackfillOptions>): Promise<string> {
  const error = await testBackfill({ ...people, ...options } as TestBackfillOptions).then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof kit.BackfillTestError)) throw error ?? new Error('Expected a failure');
  expect(error.code, error.message).to.equal(code);
  if (code !== 'PROCESS_THREW' || options.showValues === false) expect(inspect(error)).not.to.include(SECRET);
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
    // A folder of its own: other tests leave theirs in the system's meanwhile.
    const [own, system] = [folder.file('own'), process.env.TMPDIR];
    mkdirSync(own);
    process.env.TMPDIR = own;
    expect(tmpdir()).to.equal(own);
    const outcome = await testBackfill({
      ...people,
      backfill: defineBackfill({ ...split, process: splitNames }),
      expected: [
        { id: 1, first: 'Ada1', last: SECRET },
        { id: 5, first: null },
      ],
    }).finally(() => {
      if (system === undefined) delete process.env.TMPDIR;
      else process.env.TMPDIR = system;
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
      concurrentRows: 3,
      valuesKept: 4,
    });
    expect(readdirSync(own)).to.deep.equal([]);
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
      'size of row 1 is ‹not a timestamp, a number› as first derived, and another when derived again',
    );
    const crowd: ProcessFunction = (rows) => rows.map(() => ({ size: rows.length }));
    expect(
      await failing('NOT_DETERMINISTIC', {
        backfill: defineBackfill({ ...sized, reads: [], columns: ['size'], process: crowd }),
      }),
    ).to.match(/^size of row 1 .* for the row alone$/);
    const reasons: ProcessFunction = (rows, { skip }) =>
      rows.map(() => skip(rows.length > 1 ? 'MANY' : 'ALONE'));
    expect(
      await failing('NOT_DETERMINISTIC', {
        backfill: defineBackfill({ ...sized, reads: [], columns: ['size'], process: reasons }),
      }),
    ).to.equal('Row 1 is skipped for MANY at first, and for ALONE for the row alone');
    const filled = sql('(SELECT count(size) FROM people)');
    expect(
      await failing('NOT_DETERMINISTIC', {
        backfill: defineBackfill({ ...sized, columns: { size: filled } }),
      }),
    ).to.match(/^The value of size .* with key 1 changes once the row is filled/);
  });

  it('finds a value that depends on the process, and a process that ends by itself', async () => {
    const step = (size: string): string => `import { defineBackfill } from 'umzug-backfill';
      export default defineBackfill({ table: 'people', key: 'id', reads: [], columns: ['size'],
        process: (rows) => rows.map(() => ({ size: ${size} })) });`;
    expect(await failing('NOT_RESUMED', { file: file('002-pid.js', step('process.pid')) })).to.equal(
      'size of row 1 is ‹not a timestamp, a number› after an uninterrupted `up`, and another after one that was interrupted and resumed',
    );
    const exiting = `process.pid === ${process.pid} ? 1 : process.exit(7)`;
    expect(await failing('PROCESS_ENDED', { file: file('003-exit.js', step(exiting)) })).to.equal(
      'The process for `up` ended by itself, with exit code 7',
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
    ).to.match(/^size of row 1 .* if some were written while it ran$/);
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
    expect(await failing('NOT_PRESERVED', { backfill, schema: touched, allowTriggers: true })).to.equal(
      'note of row 1 is ‹a value› before `up`, and another (from character 1 on) after it',
    );
    const logged = trigger('INSERT INTO log VALUES (1)');
    expect(await failing('NOT_PRESERVED', { backfill, schema: logged, allowTriggers: true })).to.equal(
      'log is not the same before `up` and after it',
    );
    const counted = trigger('UPDATE people SET last = 1 WHERE NEW.size IS NULL');
    expect(await failing('NOT_REVERTED', { backfill, schema: counted, allowTriggers: true })).to.match(
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
    const rows = people.rows.slice(0, 6);
    const threw =
      /^`process` threw on each of the 6 rows in scope \(Error at \S*testing-kit\.test\.[jt]s:\d+/;
    expect(await failing('PROCESS_THREW', { backfill, rows }))
      .to.match(threw)
      .and.match(/: no \S.*\)$/);
    expect(await failing('PROCESS_THREW', { backfill, rows, showValues: false }))
      .to.match(threw)
      .and.match(/:\d+\)$/);
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

  it('names a row that SQLite refuses, and a file that is no backfill', async () => {
    const rows = [{ id: 1 }, { id: 1 }];
    const backfill = defineBackfill({ ...sized, columns: { size: firstOf('name', ['x'], 'name') } });
    const doubled = await testBackfill({ ...people, backfill, rows }).catch((thrown: Error) => thrown);
    expect((doubled as Error).message).to.equal(
      'SQLite rejected a statement in row 2 of `rows` of testBackfill() (SQLITE_CONSTRAINT_PRIMARYKEY): UNIQUE constraint failed: people.id',
    );
    const path = file(
      '004-column.js',
      `import { defineSqlStep } from 'umzug-backfill'; export default defineSqlStep({ up: ['SELECT 1'] });`,
    );
    const other = await testBackfill({ ...people, file: path }).catch((thrown: Error) => thrown);
    expect((other as Error).message).to.equal(`The step file ${path} does not declare a backfill`);
  });
});
