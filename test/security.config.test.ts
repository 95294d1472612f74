import { chmodSync, chownSync, existsSync, mkdirSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import Database from 'better-sqlite3';
import { expect } from 'chai';
import { before, beforeEach, describe, it } from 'mocha';
import { createMigrator, migrateOnDeploy, startBackfills } from '../src/index.js';
import { root } from './support/cli.js';
import { useNewProject } from './support/new-project.js';
import { failureOf } from './support/stores.js';
import { GROUP, give, needUsers, OTHER, plant } from './support/users.js';

// Root runs commands in a project that another user owns, or may write: their code must not run.

const CONFIG = 'umzug-backfill.config.mjs';
const STEP = 'steps/001-a.mjs';

describe('a config or step of another user, run by root', () => {
  const project = useNewProject();
  before(function () {
    needUsers(this);
  });

  const at = (name: string): string => join(project.path, name);
  const ran = (): boolean => existsSync(at('config-ran')) || existsSync(at('step-ran'));

  beforeEach(() => {
    const index = pathToFileURL(join(root, 'dist/src/index.js')).href;
    const mark = (name: string): string =>
      `import { writeFileSync } from 'node:fs'; writeFileSync(${JSON.stringify(at(name))}, '');\n`;
    // Each test has its own folder, so that no module is in the cache of another.
    project.write(
      CONFIG,
      `${mark('config-ran')}import { defineConfig } from ${JSON.stringify(index)};
       export default defineConfig({ database: { path: 'store.db' }, steps: ['steps'] });`,
    );
    project.write(
      STEP,
      `${mark('step-ran')}import { defineSqlStep } from ${JSON.stringify(index)};
       export default defineSqlStep({ up: ['CREATE VIEW v AS SELECT a FROM t'], down: ['DROP VIEW v'] });`,
    );
    const db = new Database(at('store.db'));
    db.exec('CREATE TABLE t (a)');
    db.close();
  });

  const commands: readonly (readonly string[])[] = [
    ['up'],
    ['up', '--dry-run'],
    ['deploy', '--check'],
    ['down', '--dry-run'],
    ['status'],
    ['pending'],
    ['executed'],
    ['verify'],
    ['verify', '--print-sql'],
    ['report'],
    ['backfill'],
    ['skips'],
    ['restore', '--dry-run'],
    ['lint'],
    ['lint', '--db-path', 'store.db'],
    ['create', 'order-times'],
    ['create', 'order-times', '--dry-run'],
  ];
  for (const command of commands) {
    it(`does not run the config of another user: ${command.join(' ')}`, async () => {
      give(OTHER, at(CONFIG));
      const { message, hint } = await project.refused('CONFIG_UNTRUSTED', 1, ...command);
      expect(message).to.equal(`Root does not run ${at(CONFIG)}: user id ${OTHER} owns ${at(CONFIG)}`);
      expect(hint).to.include(`sudo -u '#${OTHER}'`).and.to.include('--trust-config');
      expect(ran()).to.equal(false);
    });
  }

  const openings: Readonly<Record<string, readonly [open: () => void, reason: () => string]>> = {
    'a config that everyone may write': [
      () => chmodSync(at(CONFIG), 0o666),
      () => `every user may change ${at(CONFIG)}`,
    ],
    'a config that a group may write': [
      () => {
        chownSync(at(CONFIG), 0, GROUP);
        chmodSync(at(CONFIG), 0o664);
      },
      () => `the group of ${at(CONFIG)} may change it`,
    ],
    'a config in a folder of another user': [
      () => give(OTHER, project.path),
      () => `user id ${OTHER} owns ${project.path}`,
    ],
    'a config in a folder that everyone may write': [
      () => chmodSync(project.path, 0o777),
      () => `every user may change ${project.path}`,
    ],
    "a config behind another user's link": [
      () => {
        renameSync(at(CONFIG), at('real.mjs'));
        plant('real.mjs', at(CONFIG));
      },
      () => `user id ${OTHER} owns ${at(CONFIG)}`,
    ],
    'a step of another user': [() => give(OTHER, at(STEP)), () => `user id ${OTHER} owns ${at(STEP)}`],
    'steps in a folder of another user': [
      () => give(OTHER, at('steps')),
      () => `user id ${OTHER} owns ${at('steps')}`,
    ],
    'steps in a folder that a group may write': [
      () => {
        chownSync(at('steps'), 0, GROUP);
        chmodSync(at('steps'), 0o775);
      },
      () => `the group of ${at('steps')} may change it`,
    ],
    "steps behind another user's link": [
      () => {
        renameSync(at('steps'), at('real'));
        plant('real', at('steps'));
      },
      () => `user id ${OTHER} owns ${at('steps')}`,
    ],
    "a step that a link of root's leads to, past a link in the way": [
      () => {
        // `..` behind a link leads out of the folder that the link points to, which is not where the text seems to lead.
        mkdirSync(at('elsewhere/inner'), { recursive: true });
        renameSync(at(STEP), at('elsewhere/a.mjs'));
        give(OTHER, at('elsewhere/a.mjs'));
        symlinkSync(at('elsewhere/inner'), at('steps/inner'));
        symlinkSync('inner/../a.mjs', at(STEP));
      },
      () => `user id ${OTHER} owns ${at('elsewhere/a.mjs')}`,
    ],
  };
  for (const [title, [expose, reason]] of Object.entries(openings)) {
    it(`is refused with the path and the reason: ${title}`, async () => {
      expose();
      for (const command of [['status'], ['up', '--dry-run']]) {
        const { message } = await project.refused('CONFIG_UNTRUSTED', 1, ...command);
        expect(message).to.match(/^Root does not run \S+: /);
        expect(message.slice(message.indexOf(': ') + 2)).to.equal(reason());
      }
      expect(existsSync(at('step-ran'))).to.equal(false);
    });
  }

  it('is not made in a folder of another user, nor behind their link, by create and init', async () => {
    give(OTHER, at('steps'));
    await project.refused('CONFIG_UNTRUSTED', 1, 'create', 'order-times');
    renameSync(at('steps'), at('real'));
    plant('real', at('steps'));
    await project.refused('CONFIG_UNTRUSTED', 1, 'create', 'order-times');
    await project.refused('OUTPUT_UNTRUSTED', 1, 'create', 'order-times', '--trust-config');
    expect(project.filesIn('real')).to.deep.equal(['001-a.mjs']);
    rmSync(at(CONFIG));
    mkdirSync(at('private'));
    plant('private', at('migrations'));
    plant(at('private/x'), at('umzug-backfill.config.js'));
    await project.refused('OUTPUT_UNTRUSTED', 1, 'init');
    rmSync(at('migrations'));
    project.write('package.json', '{ "type": "module" }');
    await project.refused('OUTPUT_UNTRUSTED', 1, 'init');
    expect(project.filesIn('private')).to.deep.equal([]);
  });

  it('is run where --trust-config says so', async () => {
    give(OTHER, at(CONFIG), at('steps'), at(STEP));
    await project.run('up', '--no-backup', '--trust-config');
    expect(ran()).to.equal(true);
    await project.run('lint', '--trust-config');
    await project.run('create', 'order-times', '--trust-config');
  });

  it('is run without an option if it is root’s, in a sticky folder too', async () => {
    chmodSync(at('..'), 0o1777);
    await project.run('up', '--no-backup');
    await project.run('status', '--check');
  });

  it('is refused to the API, and run where `trustConfig` says so', async () => {
    give(OTHER, at(STEP));
    const given = { folder: project.path, path: at('store.db'), backup: false } as const;
    await failureOf('CONFIG_UNTRUSTED', () => migrateOnDeploy(given));
    await failureOf('CONFIG_UNTRUSTED', () => startBackfills({ ...given, onEvent: () => undefined }).done);
    const database = at('store.db');
    const options = { database, steps: at('steps'), backup: false } as const;
    await failureOf('CONFIG_UNTRUSTED', () => createMigrator(options).up());
    expect(existsSync(at('step-ran'))).to.equal(false);
    const trusting = { trustConfig: true };
    expect((await migrateOnDeploy({ ...given, ...trusting })).applied).to.deep.equal(['001-a']);
    expect((await startBackfills({ ...given, ...trusting }).done).applied).to.deep.equal([]);
    expect(await createMigrator({ ...options, ...trusting }).pending()).to.deep.equal([]);
  });
});
