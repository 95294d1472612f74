import { expect } from 'chai';
import { describe, it } from 'mocha';
import { type CliResult, spawnCli } from '../support/cli.js';
import { withGeneratedStore } from '../support/stores.js';

// What a command loads: umzug alone takes as long as all the rest of a short one.

/** Prints, when the process ends, whether it has loaded umzug. */
const PROBE = `import { createRequire } from 'node:module';
process.on('exit', () => {
  const loaded = Object.keys(createRequire('/').cache).some((path) => path.includes('/node_modules/umzug/'));
  process.stderr.write('umzug ' + (loaded ? 'loaded' : 'not loaded'));
});`;

const run = (args: readonly string[]): Promise<CliResult> =>
  spawnCli(args, { env: { NODE_OPTIONS: `--import data:text/javascript,${encodeURIComponent(PROBE)}` } });

async function expectLoaded(isLoaded: boolean, args: readonly string[]): Promise<void> {
  const { code, stderr } = await run(args);
  expect(code, stderr).to.equal(0);
  expect(stderr, args.join(' ')).to.match(isLoaded ? /umzug loaded$/ : /umzug not loaded$/);
}

describe('the command line', () => {
  it('loads umzug to apply or revert steps, and neither to read nor where there is nothing to do', () =>
    withGeneratedStore({ audits: 50 }, async (path) => {
      const at = ['--db-path', path];
      await expectLoaded(false, ['--help']);
      await expectLoaded(false, ['up', '--help']);
      for (const command of ['status', 'pending', 'executed']) await expectLoaded(false, [command, ...at]);
      await expectLoaded(false, ['up', '--dry-run', ...at]);
      await expectLoaded(true, ['up', '--no-backup', ...at]);
      await expectLoaded(false, ['up', '--no-backup', ...at]);
      await expectLoaded(false, ['deploy', ...at]);
      await expectLoaded(false, ['verify', ...at]);
      await expectLoaded(false, ['skips', ...at]);
      await expectLoaded(false, ['down', '--dry-run', ...at]);
      await expectLoaded(true, ['down', '--no-backup', ...at]);
    }));
});
