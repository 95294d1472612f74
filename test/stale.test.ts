import { mkdirSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { expect } from 'chai';
import { before, beforeEach, describe, it } from 'mocha';
import { root, runCli, useFolder } from './support/cli.js';

const STEP = `import { defineSqlStep } from 'umzug-backfill';
export default defineSqlStep({ up: ['SELECT 1'] });`;
const config = (steps: string): string => `import { defineConfig } from 'umzug-backfill';
export default defineConfig({ database: { path: 'none.db' }, steps: ['${steps}'] });`;

describe('the log of a command, of compiled steps', () => {
  const folder = useFolder();
  const write = (name: string, second: number, text = STEP): void => {
    mkdirSync(dirname(folder.file(name)), { recursive: true });
    writeFileSync(folder.file(name), text);
    utimesSync(folder.file(name), second, second);
  };
  /** What a command warns of. There is no store: it ends behind that. */
  const warnings = async (): Promise<string[]> => {
    const { stderr } = await runCli(['status'], { cwd: folder.path });
    expect(stderr).to.include('STORE_MISSING');
    const lines = stderr.split('\n').filter((line) => line.startsWith('{'));
    return lines.map((line) => {
      const { event, text } = JSON.parse(line);
      expect(event).to.equal('warning');
      return text;
    });
  };

  before(() => {
    writeFileSync(folder.file('package.json'), '{ "type": "module" }');
    mkdirSync(folder.file('node_modules'));
    symlinkSync(root, folder.file('node_modules/umzug-backfill'));
  });

  beforeEach(() => {
    for (const name of ['steps', 'dist']) rmSync(folder.file(name), { recursive: true, force: true });
    write('dist/umzug-backfill.config.js', 50, config('steps'));
    write('steps/001-a.ts', 100);
    write('dist/steps/001-a.js', 200);
    write('dist/steps/001-a.d.ts', 50);
    write('steps/types.d.ts', 300);
  });

  it('says nothing where they are what the sources say', async () => {
    expect(await warnings()).to.deep.equal([]);
  });

  it('names what is not compiled, what is newer than what runs, and what has no source any more', async () => {
    write('steps/002-new.ts', 100);
    write('steps/001-a.ts', 300);
    write('dist/steps/000-renamed.js', 200);
    expect(await warnings()).to.have.members([
      'steps/002-new.ts is not compiled, and does not run',
      'steps/001-a.ts is newer than dist/steps/001-a.js, which runs',
      'dist/steps/000-renamed.js no longer has a source, and still runs',
    ]);
  });

  it('says nothing where no sources lie beside, as in what is deployed', async () => {
    write('steps/001-a.ts', 300);
    rmSync(folder.file('dist/umzug-backfill.config.js'));
    write('umzug-backfill.config.js', 50, config('dist/steps'));
    expect(await warnings()).to.deep.equal([]);
    rmSync(folder.file('umzug-backfill.config.js'));
    write('dist/umzug-backfill.config.js', 50, config('steps'));
    rmSync(folder.file('steps/001-a.ts'));
    expect(await warnings(), 'only what declares types').to.deep.equal([]);
    rmSync(folder.file('steps'), { recursive: true });
    expect(await warnings()).to.deep.equal([]);
  });
});
