import Database from 'better-sqlite3';
import { expect } from 'chai';
import { beforeEach, describe, it } from 'mocha';
import { BackfillError } from '../src/index.js';
import { lint } from '../src/lint/index.js';
import { renderReport } from '../src/report/index.js';
import { useNewProject } from './support/new-project.js';

/** The error that a call is refused with. */
const refusal = (call: Promise<unknown>): Promise<unknown> =>
  call.then(
    () => expect.fail('was not refused'),
    (error: unknown) => error,
  );

describe('the entries beside the API', () => {
  const project = useNewProject();
  const folder = (): string => project.path;

  beforeEach(() => {
    project.write(
      'umzug-backfill.config.mjs',
      `import { defineConfig } from 'umzug-backfill';
      export default defineConfig({ database: { path: '${project.path}/shop.db' }, steps: ['steps'] });`,
    );
    project.write(
      'steps/001-paid-at.mjs',
      `import { defineBackfill, firstOf } from 'umzug-backfill';
      export default defineBackfill({ table: 'orders', key: 'id', columns: { paid_at: firstOf('details', ['ts']) } });`,
    );
    new Database(`${project.path}/shop.db`)
      .exec(`
        CREATE TABLE orders (id INTEGER PRIMARY KEY, details TEXT, paid_at TEXT);
        INSERT INTO orders (details) VALUES ('{"ts":"2026-01-20T10:00:00Z"}')`)
      .close();
  });

  it('umzug-backfill/lint finds what the command finds', async () => {
    expect(await lint({ folder: folder() })).to.deep.equal({ steps: ['001-paid-at'], findings: [] });
    project.write(
      'steps/002-drop.mjs',
      `import { defineSqlStep } from 'umzug-backfill';
      export default defineSqlStep({ up: ['DROP TABLE orders'] });`,
    );
    const found = await lint({ folder: folder() });
    const { stdout } = await project.cli('lint', '--json');
    expect(found.findings.length).to.be.above(0);
    expect(JSON.parse(stdout).findings).to.deep.equal(found.findings);
    expect((await lint({ folder: folder(), only: ['001-paid-at'] })).findings).to.deep.equal([]);
  });

  it('umzug-backfill/report returns the page that the command writes', async () => {
    const { text, backfills, error } = await renderReport({ folder: folder() });
    expect(text).to.match(/^<!doctype html>/);
    expect(backfills).to.deep.equal([{ name: '001-paid-at', verdict: 'none' }]);
    expect(error).to.equal(undefined);
    expect((await project.cli('up', '--no-backup')).code).to.equal(0);
    const filled = await renderReport({ folder: folder(), path: `${folder()}/shop.db`, lang: 'zh' });
    expect(filled.text).to.include('<svg ').and.include('lang="zh');
    expect(filled.backfills).to.deep.equal([{ name: '001-paid-at', verdict: 'pass' }]);
  });

  it('refuse options that they do not know', async () => {
    for (const call of [lint({ fodler: '.' } as object), renderReport({ language: 'zh' } as object)]) {
      const error = await refusal(call);
      expect(error).to.be.instanceOf(BackfillError).and.include({ code: 'USAGE' });
    }
  });
});
