import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { expect } from 'chai';
import { before, describe, it } from 'mocha';
import { root, runCommand, useFolder } from '../support/cli.js';
import {
  emptyProject,
  INSTALL_LIMITS,
  manifest,
  megabytesOf,
  packInto,
  QUIET,
  runIn,
  useBackfill,
} from '../support/package.js';

// `npm run test:nodes`: the tarball from the registry's packages, on each Node that `engines` names, oldest and newest. Long,
// and it needs the network: better-sqlite3 is compiled for each, with the headers that come with that Node.

/** `^22.14.0 || ^24.0.0` as `22.12.0`, `22`, `24.0.0`, `24`. */
const versions = manifest.engines.node.split('||').flatMap((range) => {
  const oldest = range.trim().replace('^', '');
  return [oldest, oldest.split('.')[0] ?? ''];
});

describe('the package, installed and used', function () {
  this.timeout(0);
  const folder = useFolder();
  const nodes = join(root, 'node_modules/.cache/nodes');
  const cache = { npm_config_cache: join(nodes, 'npm') };
  let tarball = '';

  before(async () => {
    mkdirSync(nodes, { recursive: true });
    tarball = await packInto(folder.path);
  });

  /**
   * The folder of a Node, with `bin` and `include`.
   *
   * @returns undefined when it can't be had; the reason is printed
   */
  async function nodeFolder(version: string): Promise<string | undefined> {
    const kept = join(nodes, version);
    const name = `node-${process.platform}-${process.arch}`;
    const path = join(kept, 'node_modules', name);
    if (existsSync(join(path, 'bin/node'))) return path;
    mkdirSync(kept, { recursive: true });
    const install = ['npm', 'install', ...QUIET, '--prefix', kept, `${name}@${version}`];
    const { code, stderr } = await runCommand(install, { cwd: kept, env: cache });
    if (code === 0 && existsSync(join(path, 'bin/node'))) return path;
    console.log(`      skipped: ${name}@${version} can not be had. ${stderr.split('\n', 2).join(' ')}`);
    return undefined;
  }

  for (const version of versions) {
    it(`on Node ${version}`, async function () {
      const node = await nodeFolder(version);
      if (node === undefined) return this.skip();
      const env = {
        ...cache,
        npm_config_nodedir: node,
        PATH: `${join(node, 'bin')}${delimiter}${process.env.PATH}`,
      };
      const app = folder.file(`node-${version}`);
      emptyProject(app);
      await runIn(app, ['npm', 'install', ...QUIET, '--engine-strict', tarball], env);
      const { stdout } = await runIn(app, ['node', '--print', 'process.versions.node'], env);
      expect(`${stdout.trim()}.`).to.match(new RegExp(`^${version.replaceAll('.', '\\.')}\\.`));
      const installed = join(app, 'node_modules');
      const lock = JSON.parse(readFileSync(join(installed, '.package-lock.json'), 'utf8'));
      const [packages, megabytes] = [Object.keys(lock.packages).length, megabytesOf(installed)];
      const sqlite: string = lock.packages['node_modules/better-sqlite3'].version;
      console.log(
        `      Node ${stdout.trim()}, better-sqlite3 ${sqlite}, ${packages} packages, ${megabytes.toFixed(1)} MB`,
      );
      if (!sqlite.startsWith('12.')) {
        expect(packages, 'packages').to.be.at.most(INSTALL_LIMITS.packages);
        expect(megabytes, 'megabytes').to.be.at.most(INSTALL_LIMITS.megabytes);
      }
      await useBackfill(app, env);
    });
  }
});
