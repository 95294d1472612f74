import { copyFileSync, mkdirSync, readFileSync, symlinkSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { type CliResult, root, runCli, runCommand } from '../support/cli.js';
import { manifest } from '../support/package.js';
import { withGeneratedStore } from '../support/stores.js';
import { throughNpm, wordsOf } from '../support/through-npm.js';

// Every command that the documentation shows is run, in its order, on a v20 store: what it says must be possible.

/** The lines of the shell blocks of a page, without comments. */
function commandsOf(file: string): string[] {
  const blocks = readFileSync(join(root, file), 'utf8').matchAll(/```sh\n(.*?)```/gs);
  return [...blocks].flatMap(([, block = '']) =>
    block
      .split('\n')
      .map((line) => line.replace(/(?:^|\s)#.*$/, '').trim())
      .filter((line) => line !== ''),
  );
}

/** Exit codes other than 0 that a command may end with there. */
const ALLOWED: Readonly<Record<string, readonly number[]>> = {
  'umzug-backfill deploy --check': [0, 3],
  'umzug-backfill status --check': [0, 3],
  'umzug-backfill verify --min-coverage 99': [0, 5],
  "umzug-backfill status --check --db-path '~/.agentos/*.db'": [0, 3],
};

/** The demo is run below, `npm test` is this, and test/processes/package.test.ts packs, installs and uses the tarball. */
const RUN_ELSEWHERE: ReadonlySet<string> = new Set([
  'npm install',
  'npm install && npm pack',
  'npm install pg',
  'npm install ./umzug-backfill-0.1.0.tgz',
  'npx umzug-backfill up',
]);

/** What each page is run on: a store as it is before it, or after `up`. */
const PAGES = [
  { file: 'README.md', isUp: false },
  { file: 'docs/agentos.md', isUp: false },
  { file: 'docs/backups.md', isUp: false },
  { file: 'docs/cli.md', isUp: false },
  { file: 'docs/steps.md', isUp: false },
  { file: 'docs/deploy.md', isUp: false },
  { file: 'docs/operations.md', isUp: true },
  { file: 'docs/verification.md', isUp: true },
  { file: 'docs/troubleshooting.md', isUp: true },
  { file: 'docs/agentos-scripts.md', isUp: false },
  { file: 'docs/lint.md', isUp: false },
  { file: 'docs/scale.md', isUp: false },
] as const;

describe('commands in the documentation', () => {
  for (const { file, isUp } of PAGES) {
    it(`${file}: each can be run`, () =>
      withGeneratedStore({ audits: 60, rareShare: 0 }, async (path) => {
        const folder = join(dirname(path), 'bin');
        mkdirSync(folder);
        symlinkSync(join(root, manifest.bin['umzug-backfill'] ?? ''), join(folder, 'umzug-backfill'));
        const project = join(folder, 'project');
        mkdirSync(join(project, 'node_modules'), { recursive: true });
        symlinkSync(root, join(project, 'node_modules/umzug-backfill'));
        const second = join(dirname(path), 'second.db');
        copyFileSync(path, second);
        const env = { AGENTOS_DB_PATH: path, PATH: `${folder}${delimiter}${process.env.PATH}` };
        const run = (command: string): Promise<CliResult> => {
          const line = command
            .replaceAll('~/.agentos/store.db', path)
            .replaceAll('~/.agentos/second.db', second)
            .replaceAll('~/.agentos/*.db', join(dirname(path), '*.db'))
            .replace('backfill.prom', join(folder, 'backfill.prom'))
            .replace(/--out \S+/, `--out ${join(folder, 'report.html')}`)
            .replace(/--report$/, `--report ${join(folder, 'report.html')}`)
            .replace('restore FILE', `restore "$(ls -d ${path}.backup-* | head -n 1)"`);
          const cwd = /^umzug-backfill (?:init|create)\b/.test(command) ? project : root;
          // A shell has it where there is more than one command, or store, which takes processes; that npm hands over what stands behind -- is tested with npm itself.
          const [, npm, words] =
            /^(?:umzug-backfill|(npm run (?:--silent )?migrate --)) (.*)$/.exec(line) ?? [];
          if (words === undefined || /\|\||&&|;|\*|--db-path .*--db-path/.test(command))
            return runCommand(['sh', '-c', line], { env, cwd });
          return runCli(wordsOf(words), { env: { ...(npm ? throughNpm([]).env : {}), ...env }, cwd });
        };
        if (isUp) await run('umzug-backfill up --no-backup');
        const commands = commandsOf(file);
        expect(commands.length).to.be.above(0);
        for (const shown of commands) {
          if (RUN_ELSEWHERE.has(shown)) continue;
          const command = shown.replace(/^npx (?=umzug-backfill )/, ''); // it is on the PATH here
          expect(command).to.match(/^(?:umzug-backfill|npm run (?:--silent )?migrate --) /);
          // After the last `down` of a page the rest speaks of a store that is filled.
          if (command.startsWith('umzug-backfill skips')) await run('umzug-backfill up --no-backup');
          const { code, stderr } = await run(command);
          expect(ALLOWED[command] ?? [0], `${command}\n${stderr}`).to.include(code);
        }
      }));
  }

  it('the demo ends with a verified store', async () => {
    const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
    const [build, demo] = String(scripts.demo).split(' && '); // what is built here is what the tests run
    expect(build).to.equal('npm run --silent build');
    const { code, stdout, stderr } = await runCommand(['sh', '-c', demo ?? '']);
    expect(code, stderr).to.equal(0);
    expect(stdout)
      .to.match(/Verification of v021-2-decision-fields: (?:pass|warn) /)
      .and.to.match(/Lag after, from the v21 columns: [\d,]+ decisions/);
  });
});
