import { cpSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect } from 'chai';
import { before, describe, it } from 'mocha';
import { generateStore } from '../../demo/store-generator.js';
import config from '../../umzug-backfill.config.js';
import { root, useFolder } from '../support/cli.js';
import { installOffline, manifest, packInto, runIn } from '../support/package.js';
import { actualCells, expectedCells } from '../support/reference.js';
import { backfillStep, dumpSchema, dumpTable, schemaStep } from '../support/stores.js';

// examples/agentos as it stands: what an AgentOS user does who has the package's tarball, and no clone.

const example = join(root, 'examples/agentos');

describe('examples/agentos', () => {
  const folder = useFolder();
  let app = '';
  before(async () => {
    app = folder.file('app');
    const tarball = await packInto(folder.path);
    cpSync(example, app, { recursive: true });
    await installOffline(app, tarball);
  });

  it('upgrades a v20 store from the installed tarball, verifies, and takes it back', async () => {
    const store = folder.file('store.db');
    generateStore({ path: store, audits: 2000, rareShare: 0.05 });
    const original = { schema: dumpSchema(store), audits: dumpTable(store) };
    const expected = expectedCells(store);
    const run = (...args: readonly string[]) =>
      runIn(app, ['npx', '--no', 'umzug-backfill', ...args], { AGENTOS_DB_PATH: store });

    await run('up', '--dry-run');
    expect({ schema: dumpSchema(store), audits: dumpTable(store) }).to.deep.equal(original);
    expect((await run('up')).stdout).to.match(/Verification of v021-2-decision-fields: (?:pass|warn)/);
    expect(actualCells(store)).to.deep.equal(expected);
    await run('verify');
    await run('status', '--check');
    await run('down');
    await run('down');
    expect({ schema: dumpSchema(store), audits: dumpTable(store) }).to.deep.equal(original);
  });

  it('has the config and the steps of this repository', async () => {
    const load = async (file: string): Promise<object> =>
      ((await import(pathToFileURL(join(app, file)).href)) as { default: object }).default;
    expect(await load('umzug-backfill.config.js')).to.deep.equal(config);
    const steps = [schemaStep, backfillStep];
    for (const { name, path, ...definition } of steps)
      expect(await load(path.replace('.ts', '.js')), name).to.deep.equal(definition);
    const files = ['migrations', 'backfills'].flatMap((name) => readdirSync(join(example, name)));
    expect(files).to.deep.equal(steps.map(({ name }) => `${name}.js`));
  });

  it('asks for this version', () => {
    const { dependencies } = JSON.parse(readFileSync(join(example, 'package.json'), 'utf8'));
    expect(dependencies).to.deep.equal({ 'umzug-backfill': `^${manifest.version}` });
  });
});
