import { mkdirSync, readFileSync, symlinkSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { bin, root, runCommand } from './support/cli.js';
import { withGeneratedStore } from './support/stores.js';

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
};

/** What each page is run on: a store as it is before it, or after `up`. */
const PAGES = [
  { file: 'docs/deploy.md', isUp: false },
  { file: 'docs/operations.md', isUp: true },
  { file: 'docs/verification.md', isUp: true },
  { file: 'docs/troubleshooting.md', isUp: true },
  { file: 'docs/agentos-scripts.md', isUp: false },
] as const;

describe('commands in the documentation', () => {
  for (const { file, isUp } of PAGES) {
    it(`${file}: each can be run`, () =>
      withGeneratedStore({ audits: 60, rareShare: 0 }, async (path) => {
        const folder = join(dirname(path), 'bin');
        mkdirSync(folder);
        symlinkSync(bin, join(folder, 'umzug-backfill'));
        const env = { AGENTOS_DB_PATH: path, PATH: `${folder}${delimiter}${process.env.PATH}` };
        const run = (command: string) =>
          runCommand(
            [
              'sh',
              '-c',
              command
                .replaceAll('~/.agentos/store.db', path)
                .replace('backfill.prom', join(folder, 'backfill.prom'))
                .replace('report.html', join(folder, 'report.html')),
            ],
            { env },
          );
        if (isUp) await run('umzug-backfill up --no-backup');
        const commands = commandsOf(file);
        expect(commands.length).to.be.above(0);
        for (const command of commands) {
          expect(command).to.match(/^umzug-backfill /);
          // After the last `down` of a page the rest speaks of a store that is filled.
          if (command.startsWith('umzug-backfill skips')) await run('umzug-backfill up --no-backup');
          const { code, stderr } = await run(command);
          expect(ALLOWED[command] ?? [0], `${command}\n${stderr}`).to.include(code);
        }
      }));
  }
});
