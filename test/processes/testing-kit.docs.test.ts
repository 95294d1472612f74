import { cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import type { BackfillTestCode } from '../../src/testing/index.js';
import { root, runCommand, useFolder } from '../support/cli.js';

describe('the processes of testBackfill', () => {
  const folder = useFolder();

  it('are started with the loaders of the test alone', async () => {
    mkdirSync(folder.file('node_modules'));
    symlinkSync(root, folder.file('node_modules/umzug-backfill'));
    writeFileSync(folder.file('package.json'), '{ "type": "module" }');
    for (const name of ['hook.mjs', 'a.cjs', 'y.mjs']) writeFileSync(folder.file(name), '');
    writeFileSync(
      folder.file('001-told.js'),
      `import { renameSync, writeFileSync } from 'node:fs';
      import { defineBackfill } from 'umzug-backfill';
      if (process.send) {
        // It may be killed at any moment, and the file is whole all the same.
        writeFileSync('options.' + process.pid, JSON.stringify(process.execArgv));
        renameSync('options.' + process.pid, 'options.json');
      }
      export default defineBackfill({ table: 'people', key: 'id', reads: ['name'], columns: ['size'],
        process: (rows) => rows.map(({ name }) => ({ size: name.length })) });`,
    );
    const script = `import('umzug-backfill/testing').then(({ testBackfill }) => testBackfill({ file: '001-told.js',
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
      NOT_PRESERVED: true,
      SKIP_NOT_RECORDED: true,
      NOT_VERIFIED: true,
      NOT_REVERTED: true,
      NOT_RESUMED: true,
      NOT_CAUGHT_UP: true,
      PROCESS_ENDED: true,
    };
    expect(documented).to.deep.equal(Object.keys(codes));
  });
});
