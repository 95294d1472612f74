import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { root } from '../support/cli.js';
import { followPage, isAsShown } from '../support/sessions.js';
import { withFolder } from '../support/stores.js';
import { hasTerminal } from '../support/terminal.js';

// `npm run screens` writes anew what the commands of these pages print; else the pages are held to it.

const isWritten = process.env.UMZUG_BACKFILL_SCREENS === 'write';

/** Whether the shell of SQLite is here, with which the pages read a store. Says so where it is not. */
function hasShell(): boolean {
  const has = spawnSync('sqlite3', ['--version']).status === 0;
  if (!has) console.log('      skipped: sqlite3 is not installed');
  return has;
}

describe('sessions in the documentation', () => {
  for (const page of ['README.md', 'docs/adopt.md', 'docs/mistakes.md'])
    it(`${page}: each command prints what the page shows`, async function () {
      if (!hasTerminal() || !hasShell()) this.skip();
      await withFolder(async (folder) => {
        const { shown, written } = await followPage(page, folder);
        expect(shown).not.to.have.length(0);
        const other = shown.filter((each) => !isAsShown(each));
        if (isWritten && other.length > 0) writeFileSync(join(root, page), written);
        for (const { command, expected, printed } of isWritten ? [] : other)
          expect(printed, command).to.deep.equal(expected);
      });
    });
});
