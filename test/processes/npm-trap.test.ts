import { copyFileSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { before, describe, it } from 'mocha';
import { generateStore } from '../../demo/store-generator.js';
import {
  bin,
  type CliResult,
  expectRefusal,
  root,
  runCli,
  runCommand,
  snapshotFiles,
  useFolder,
} from '../support/cli.js';
import { rows } from '../support/npm-rows.js';
import { schemaStep } from '../support/stores.js';
import { type HandedOver, throughNpm, wordsOf } from '../support/through-npm.js';

// What npm keeps of a command line is its own affair: the npm that is installed is asked about each kind of option, and the rest is
// run in this process, with the arguments and the environment that it would have handed over.

/** Each kind of what may be typed. */
const KINDS: readonly (readonly [kind: string, ...typed: string[]])[] = [
  [
    'options that npm does not know',
    'up --step 1 --check',
    'up --step=1 --report --batch-size 50',
    '--step 1 up',
  ],
  ['options that npm has as well', 'up --dry-run --json --yes', 'up --dry-run=true'],
  [
    'an option that npm turns off',
    'up --no-backup',
    'up --backup=false',
    'down --no-yes',
    'down --yes=false',
  ],
  ['an option that npm completes', 'up --to x', 'up --to=x', 'up --dry'],
  ['an option that npm reads letter by letter', 'status --lang zh', 'status --lang=zh', 'create more --sql'],
  ['options that are misspelt', 'up --dry-rum --db=x --dbpath=y'],
];

describe('npm run migrate', () => {
  const folder = useFolder();
  let copies = 0;

  before(async () => {
    generateStore({ path: folder.file('v20.db'), audits: 300, rareShare: 0.2 });
    copyFileSync(folder.file('v20.db'), folder.file('v21.db'));
    const { code, stderr } = await runCli(['up', '--db-path', folder.file('v21.db')]);
    expect(code, stderr).to.equal(0);
  });

  /** A copy of a store; its name takes quotes in a shell. */
  function copy(isUp = false): string {
    copies += 1;
    const path = folder.file(`it's copy ${copies}.db`);
    copyFileSync(folder.file(isUp ? 'v21.db' : 'v20.db'), path);
    return path;
  }

  /** Keeps npm from asking for a newer one of itself. */
  const quiet = { npm_config_update_notifier: 'false' };
  const npm = (words: readonly string[], env: NodeJS.ProcessEnv): Promise<CliResult> =>
    runCommand(['npm', 'run', 'migrate', ...words], { env: { ...quiet, ...env } });
  /** As if it had been typed behind `npm run migrate`. */
  const typed = (words: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<CliResult> => {
    const { argv, env: ofNpm } = throughNpm(words);
    return runCli(argv, { env: { ...ofNpm, ...env } });
  };

  for (const [kind, ...calls] of KINDS) {
    it(`hands over ${kind} as the tests below have it`, async () => {
      const project = folder.file(`shown-${kind}`);
      mkdirSync(project);
      writeFileSync(join(project, 'package.json'), JSON.stringify({ scripts: { migrate: 'node show.js' } }));
      writeFileSync(
        join(project, 'show.js'),
        `const env = Object.entries(process.env).filter(([name]) => name.startsWith('npm_'));
        console.log(JSON.stringify({ argv: process.argv.slice(2), env: Object.fromEntries(env) }));`,
      );
      const options = { cwd: project, env: quiet };
      for (const call of calls) {
        const words = call.split(' ');
        const { stdout, stderr } = await runCommand(['npm', 'run', 'migrate', ...words], options);
        const expected = throughNpm(words);
        const { argv, env } = JSON.parse(stdout.slice(stdout.indexOf('{"argv"'))) as HandedOver;
        const found = Object.keys(expected.env).map((name) => [name, env[name]]);
        expect({ argv, env: Object.fromEntries(found) }, `${call}: ${stderr}`).to.deep.equal({
          ...expected,
          env: { ...expected.env, npm_command: env.npm_command }, // `run`, or `run-script` before npm 11
        });
        expect(env.npm_command).to.match(/^run(?:-script)?$/);
      }
    });
  }

  it('refuses what npm kept, and gives the command that works', async () => {
    const env = { AGENTOS_DB_PATH: copy() };
    const { hint } = expectRefusal(
      await npm(['up', '--dry-run', '--batch-size', '50'], env),
      'NPM_KEPT_OPTION',
      2,
    );
    const command = /: (npm run migrate -- .*)$/.exec(hint)?.[1] ?? '';
    expect(command).to.match(/^npm run migrate -- up (?=.*--dry-run)(?=.*--batch-size 50)/);
    const result = await runCommand(['sh', '-c', command], { env: { ...quiet, ...env } });
    expect(result.code, result.stderr).to.equal(0);
    expect(result.stdout).to.include('nothing was written');
  });

  for (const [title, { forms, isUp, expects }] of Object.entries(rows)) {
    it(`refuses what npm kept of ${title}, and gives the command that works`, async () => {
      for (const form of forms) {
        const [store, given] = [copy(isUp), copy()];
        const [before, givenBefore] = [snapshotFiles(store), snapshotFiles(given)];
        const env = { AGENTOS_DB_PATH: store };
        const refused = await typed(
          form.map((word) => word.replace('GIVEN', given)),
          env,
        );
        const error = expectRefusal(refused, 'NPM_KEPT_OPTION', 2);
        expect([snapshotFiles(store), snapshotFiles(given)]).to.deep.equal([before, givenBefore]);
        const [, command] = /: npm run migrate -- (.*)$/.exec(error.hint) ?? [];
        expect(command, error.hint).to.be.a('string');
        const { env: ofNpm } = throughNpm([]);
        const result = await runCli(wordsOf(command as string), { env: { ...ofNpm, ...env } });
        expects({ result, store, given, before });
      }
    });
  }

  it('lets options behind -- through', async () => {
    const store = copy();
    const before = snapshotFiles(store);
    const words = ['--', 'up', '--dry-run', '--json', '--to', schemaStep.name, '--batch-size=7', '--yes'];
    const result = await npm([...words, '--db-path', store], { npm_config_all: 'true' }); // no option of ours
    expect(result.code, result.stderr).to.equal(0);
    expect(result.stdout).to.include('"dryRun": true');
    expect(snapshotFiles(store)).to.deep.equal(before);
  });

  it('refuses a value that npm left behind without its option', async () => {
    const store = copy();
    const before = snapshotFiles(store);
    expectRefusal(await typed(['up', '7'], { AGENTOS_DB_PATH: store }), 'USAGE', 2);
    expect(snapshotFiles(store)).to.deep.equal(before);
  });

  // npm keeps what it does not know as well, so that a slip would run for real, and on another store than was meant.
  it('refuses an option that is misspelt, which npm keeps as well', async () => {
    const slips = ['--dryrun', '--dry-rum', '--dry', '--db=GIVEN', '--dbpath=GIVEN', '--batchsize=7'];
    const touched: string[] = [];
    for (const slip of slips) {
      const [store, given] = [copy(), copy()];
      const before = snapshotFiles(store);
      const result = await typed(['up', slip.replace('GIVEN', given)], { AGENTOS_DB_PATH: store });
      if (result.code !== 2 || snapshotFiles(store).main !== before.main) touched.push(slip);
    }
    expect(touched, 'ran for real').to.deep.equal([]);
  });

  it('names consent that npm kept, and does not advise it', async () => {
    const store = copy();
    for (const consent of ['--yes', '--allow-triggers']) {
      const refused = await typed(['up', consent, '--dry-run'], { AGENTOS_DB_PATH: store });
      expect(expectRefusal(refused, 'NPM_KEPT_OPTION', 2).hint).to.equal(
        `Pass -- before the arguments, and ${consent} after them if you mean it: npm run migrate -- up --dry-run`,
      );
    }
  });

  it('does not make a yes of a no', async () => {
    const store = copy(true);
    for (const no of ['--no-yes', '--yes=false']) {
      const result = await typed(['down', no], { AGENTOS_DB_PATH: store });
      expect(`${result.stdout}${result.stderr}`).not.to.include('-- down --yes');
    }
  });

  describe('a script that holds a command of its own', () => {
    const run = (script: string, ...words: readonly string[]): Promise<CliResult> => {
      const project = folder.file(`project-${script}`);
      mkdirSync(join(project, 'node_modules/.bin'), { recursive: true });
      symlinkSync(root, join(project, 'node_modules/umzug-backfill'));
      symlinkSync(bin, join(project, 'node_modules/.bin/umzug-backfill'));
      for (const name of ['umzug-backfill.config.js', 'migrations', 'backfills'])
        symlinkSync(join(root, 'dist', name), join(project, name));
      const scripts = {
        up: 'umzug-backfill up --log-level warn',
        prestart: 'umzug-backfill deploy',
        start: '',
      };
      writeFileSync(join(project, 'package.json'), JSON.stringify({ name: 'shop', scripts }));
      return runCommand(['npm', 'run', '--silent', script, ...words], {
        cwd: project,
        env: { ...quiet, AGENTOS_DB_PATH: store },
      });
    };
    let store = '';
    before(() => {
      store = copy();
    });

    it('is not repeated in the corrected command', async () => {
      const { hint } = expectRefusal(await run('up', '--dry-run'), 'NPM_KEPT_OPTION', 2);
      expect(hint).to.match(/: npm run up -- --dry-run$/);
    });

    it('is not what a hint runs another command by', async () => {
      const { stdout, stderr, code } = await run('prestart');
      expect(code, stderr).to.equal(0);
      expect(stdout).to.match(/^Backup: .*To restore it: npx umzug-backfill restore --db-path '/m);
    });
  });

  it('corrects a call through npm exec as such', async () => {
    const project = folder.file('project');
    mkdirSync(join(project, 'node_modules/.bin'), { recursive: true });
    symlinkSync(root, join(project, 'node_modules/umzug-backfill'));
    symlinkSync(bin, join(project, 'node_modules/.bin/umzug-backfill'));
    const words = ['exec', 'umzug-backfill', 'up', '--dry-run'];
    const refused = await runCommand(['npm', ...words], { cwd: project, env: quiet });
    const { hint } = expectRefusal(refused, 'NPM_KEPT_OPTION', 2);
    expect(hint).to.match(/: (npm exec -- umzug-backfill|npx umzug-backfill) up --dry-run$/);
  });
});
