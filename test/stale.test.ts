import { mkdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { expect } from 'chai';
import { beforeEach, describe, it } from 'mocha';
import { staleSteps } from '../src/steps/stale.js';
import { root, runCli, useFolder } from './support/cli.js';

describe('staleSteps', () => {
  const folder = useFolder();
  const write = (name: string, second: number): void => {
    mkdirSync(dirname(folder.file(name)), { recursive: true });
    writeFileSync(folder.file(name), '');
    utimesSync(folder.file(name), second, second);
  };
  const found = (): string[] => staleSteps(folder.file('dist/umzug-backfill.config.js'), ['steps']);

  beforeEach(() => {
    for (const name of ['steps', 'dist']) rmSync(folder.file(name), { recursive: true, force: true });
    write('steps/001-a.ts', 100);
    write('dist/steps/001-a.js', 200);
    write('dist/steps/001-a.d.ts', 50);
    write('steps/types.d.ts', 300);
  });

  it('says nothing where the compiled steps are what the sources say', () => {
    expect(found()).to.deep.equal([]);
  });

  it('names what is not compiled, what is newer than what runs, and what has no source any more', () => {
    write('steps/002-new.ts', 100);
    write('steps/001-a.ts', 300);
    write('dist/steps/000-renamed.js', 200);
    expect(found()).to.have.members([
      'steps/002-new.ts is not compiled, and is left out',
      'steps/001-a.ts is newer than dist/steps/001-a.js, which runs',
      'dist/steps/000-renamed.js has no source any more, and still runs',
    ]);
  });

  it('says nothing where no sources lie beside, as in what is deployed', () => {
    rmSync(folder.file('steps'), { recursive: true });
    expect(found()).to.deep.equal([]);
    expect(staleSteps(folder.file('umzug-backfill.config.js'), ['dist/steps'])).to.deep.equal([]);
  });

  it('is told in the log of a command', async () => {
    write('dist/steps/001-a.js', 50);
    writeFileSync(folder.file('package.json'), '{ "type": "module" }');
    mkdirSync(folder.file('node_modules'));
    writeFileSync(
      folder.file('dist/umzug-backfill.config.js'),
      `import { defineConfig } from '${root}dist/src/index.js';
      export default defineConfig({ database: { path: 'none.db' }, steps: ['steps'] });`,
    );
    writeFileSync(
      folder.file('dist/steps/001-a.js'),
      `import { defineSqlStep } from '${root}dist/src/index.js'; export default defineSqlStep({ up: ['SELECT 1'] });`,
    );
    utimesSync(folder.file('dist/steps/001-a.js'), 50, 50);
    const { stderr } = await runCli(['status'], { cwd: folder.path });
    expect(stderr).to.include('steps/001-a.ts is newer than dist/steps/001-a.js, which runs');
  });
});
