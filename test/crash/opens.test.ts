import { mkdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { before, describe, it } from 'mocha';
import { bin, startScript, useFolder } from '../support/cli.js';
import { copyOf } from '../support/copies.js';
import { isLong } from '../support/crash.js';
import { type Form, makeForm, straceTrouble } from '../support/forms.js';
import { on } from '../support/on-store.js';
import { filesOf, openedByFs, openedByProcess } from '../support/opens.js';

// Any open and close of a file drops every lock that SQLite holds on it in this process. So no file of a live store is
// ever opened but by SQLite.

/** Commits a little now and then in a journal mode of its own, until it is killed; says `ready` after the first time. */
const LIVELY = `
  const Database = require('better-sqlite3');
  const db = new Database(process.argv[1], { timeout: 60000 });
  db.pragma('journal_mode = ' + process.argv[2]);
  const write = () => db.exec("UPDATE tasks SET title = title || '.' WHERE rowid = 1");
  write();
  console.log('ready');
  setInterval(write, 25);`;

const SMALL = ['--batch-size', '20'];

/** Everything that opens a store, in an order in which each has something to do. */
const commands: readonly (readonly string[])[] = [
  ['status'],
  ['up', '--dry-run'],
  ['up', ...SMALL],
  ['verify'],
  ['backfill', '--rescan', ...SMALL],
  ['down', ...SMALL],
  ['restore'],
  ['skips'],
];

/** Commands that make a copy, of which a part is opened by `fs`: to have it on the disk. */
const copying = new Set(['up', 'down', 'restore', 'backfill']);
const isPartial = (path: string): boolean => /\.partial-\w{6}\/[0-9a-f]+$/.test(path);
const makesCopy = ([name = '', option]: readonly string[]): boolean =>
  copying.has(name) && option !== '--dry-run';

describe('the files of a live store', () => {
  const folder = useFolder();
  let count = 0;

  /** A store that another process has open and writes to. */
  async function withLiveStore(
    journalMode: Form['journalMode'],
    act: (store: string, scratch: string) => Promise<void>,
  ): Promise<void> {
    count += 1;
    const own = folder.file(`store-${count}`);
    mkdirSync(own);
    const store = join(own, 'store.db');
    makeForm(store, { journalMode });
    const { end: release } = await startScript(LIVELY, store, journalMode);
    try {
      if (journalMode === 'persist') expect(statSync(`${store}-journal`).size).to.be.greaterThan(0);
      await act(store, folder.file('scratch'));
    } finally {
      await release();
    }
  }

  // In the other modes the kernel is asked, below, who sees this too: UMZUG_BACKFILL_CRASH=long asks both in each.
  const isSeenBelow = straceTrouble() === undefined && !isLong;
  for (const journalMode of isSeenBelow ? (['delete'] as const) : (['wal', 'delete', 'persist'] as const)) {
    it(`are never opened by fs (${journalMode})`, () =>
      withLiveStore(journalMode, async (store, scratch) => {
        for (const command of commands) {
          const opened = await openedByFs([bin, ...command, '--db-path', store], scratch);
          expect(
            opened.filter((path) => filesOf(store).includes(path)),
            command.join(' '),
          ).to.deep.equal([]);
          expect(opened.some(isPartial), `${command.join(' ')} makes a copy`).to.equal(makesCopy(command));
        }
      }));
  }

  it('are not opened when a damaged store is replaced, either', async () => {
    const store = folder.file('damaged.db');
    makeForm(store, { journalMode: 'wal' });
    await on(store).run(['up']);
    writeFileSync(store, 'no database any more');
    const restore = ['restore', copyOf(store), '--db-path', store];
    const opened = await openedByFs([bin, ...restore], folder.file('scratch'));
    expect(opened.filter((path) => filesOf(store).includes(path))).to.deep.equal([]);
    expect(opened.some(isPartial)).to.equal(true);
  });

  it('would be seen if they were, whatever of fs opened them', async () => {
    const script = folder.file('script.mjs');
    const [from, to] = [folder.file('from'), folder.file('to')];
    writeFileSync(from, 'text');
    const opens = [
      'fs.closeSync(fs.openSync(from))',
      'readFileSync(from)',
      'fs.createReadStream(from).resume()',
      'await (await open(from)).close()',
      "await promises.readFile(new URL('file://' + from))",
      'await new Promise((done) => fs.readFile(Buffer.from(from), done))',
      'fs.copyFileSync(from, to)',
      'await copyFile(to, from)',
      'fs.truncateSync(from)',
      "appendFileSync(from, '')",
    ];
    for (const statement of opens) {
      writeFileSync(
        script,
        `import fs, { appendFileSync, promises, readFileSync } from 'node:fs';
        import { copyFile, open } from 'node:fs/promises';
        const [from, to] = ${JSON.stringify([from, to])};
        ${statement};`,
      );
      expect(await openedByFs([script], folder.file('scratch')), statement).to.include(from);
    }
  });

  describe('as the kernel sees it', () => {
    before(function () {
      const trouble = straceTrouble();
      if (trouble === undefined) return;
      console.log(`    skipped: ${trouble}`);
      this.skip();
    });

    // SQLite follows no link where it opens a file, and nothing else in Node asks for that.
    for (const journalMode of ['wal', 'persist'] as const) {
      it(`are only opened by SQLite (${journalMode})`, () =>
        withLiveStore(journalMode, async (store, scratch) => {
          for (const command of commands) {
            const opened = await openedByProcess([...command, '--db-path', store], scratch);
            const isBySqlite = ({ flags }: { flags: string }) => flags.includes('O_NOFOLLOW');
            const ofStore = opened.filter(({ path }) => filesOf(store).includes(path));
            expect(ofStore.filter(isBySqlite)).not.to.deep.equal([]);
            expect(
              ofStore.filter((open) => !isBySqlite(open)),
              command.join(' '),
            ).to.deep.equal([]);
            const partial = opened.filter(({ path }) => isPartial(path));
            expect(partial.some((open) => !isBySqlite(open))).to.equal(makesCopy(command));
          }
        }));
    }
  });
});
