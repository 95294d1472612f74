import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect } from 'chai';
import { before, describe, it } from 'mocha';
import { expectRefusal, root, spawnCli, useFolder } from '../support/cli.js';
import { argsOn, holdBack, MANY, start, useCopies, V21 } from '../support/postgres-runs.js';
import { column, needServer } from '../support/postgres-server.js';
import { give, needUsers, OTHER } from '../support/users.js';

// Processes of --workers load the config again: they trust it as the command was told to.

describe('the config of another user on PostgreSQL, run by root', () => {
  const folder = useFolder();
  const onV21 = useCopies({ ...MANY, ...V21 });
  before(function () {
    needServer(this);
    needUsers(this);
    chmodSync(folder.path, 0o755);
    const project = JSON.stringify(pathToFileURL(join(root, 'dist/umzug-backfill.config.js')).href);
    writeFileSync(
      folder.file('umzug-backfill.config.mjs'),
      `import config from ${project};
       const steps = config.steps.map((name) => ${JSON.stringify(join(root, 'dist/'))} + name);
       export default { ...config, steps };`,
    );
    give(OTHER, folder.file('umzug-backfill.config.mjs'));
  });

  it('is run by workers as well where --trust-config says so, and refused where it does not', () =>
    onV21(async (copy) => {
      const refused = await spawnCli(argsOn(copy.url, 'up', '--workers', '3'), { cwd: folder.path });
      expectRefusal(refused, 'CONFIG_UNTRUSTED', 1);
      const release = await holdBack(copy);
      const { result } = start(argsOn(copy.url, 'up', '--workers', '3', '--trust-config'), {
        cwd: folder.path,
      });
      await release(3); // all three have come to fill
      const { code, stdout, stderr } = await result;
      expect(code, stdout + stderr).to.equal(0);
      expect(await column(copy.client, 'SELECT verdict FROM umzug_backfill_verifications')).to.deep.equal([
        'warn',
      ]);
    }));
});
