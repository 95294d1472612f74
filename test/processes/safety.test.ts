import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { expect } from 'chai';
import { before, describe, it } from 'mocha';
import { root, spawnCli, useFolder } from '../support/cli.js';
import { copiesOf } from '../support/copies.js';
import { killedAt } from '../support/failpoints.js';
import { makeForm, straceTrouble } from '../support/forms.js';
import { openedByProcess } from '../support/opens.js';

// What a run makes beside a store is for nobody who may not read the store, at no instant.

const OWNER = 65_534;
/** A group of the store's, and one that its owner is not in. */
const [GROUP, STRANGE_GROUP] = [65_533, 65_532];

/** Who may do what with a file. */
interface Access {
  readonly name: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}

/** With a umask that forbids nothing: what is kept from others is kept by the program. */
const OPEN_UMASK = ['sh', '-c', 'umask 000; exec "$@"', 'sh'];
const asOwner = ['setpriv', `--reuid=${OWNER}`, `--regid=${OWNER}`, `--groups=${GROUP}`];

/** Who runs the commands, whose the store is, and what its copies must be like. */
const situations = [
  {
    title: 'its owner, of a store of 0600',
    prefix: asOwner,
    gid: OWNER,
    mode: 0o600,
    copies: [OWNER, 0o600],
  },
  {
    title: 'its owner, of a store of 0640 and a group',
    prefix: asOwner,
    gid: GROUP,
    mode: 0o640,
    copies: [GROUP, 0o640],
  },
  {
    title: 'its owner, of a store of 0640 and a group of others',
    prefix: asOwner,
    gid: STRANGE_GROUP,
    mode: 0o640,
    copies: [OWNER, 0o600],
  },
  { title: 'root, of a store of 0600', prefix: [], gid: OWNER, mode: 0o600, copies: [OWNER, 0o600] },
  {
    // Root becomes the owner, whom the system's list does not count among the group.
    title: 'root, of a store of 0660 and a group of others',
    prefix: [],
    gid: GROUP,
    mode: 0o660,
    copies: [OWNER, 0o600],
  },
] as const;
type Situation = (typeof situations)[number];

const hook = join(root, 'test/support/modes-hook.mjs');
const SMALL = ['--batch-size', '20'];

/** A path without what differs each time. */
const withoutWords = (path: string): string =>
  path
    .replaceAll(/\d{8}T\d{6}Z(?:-\d+)?/g, 'TIME')
    .replace(/\.partial-\w{6}/, '.partial-WORD')
    .replace(/(?<=[./])[0-9a-f]{12,24}(?![0-9a-f])/, 'WORD');

describe('what a run makes beside a store', () => {
  const folder = useFolder();
  let count = 0;

  before(function () {
    const trouble =
      process.getuid?.() !== 0
        ? 'only root can give a store away'
        : spawnSync('setpriv', ['--version']).error && 'there is no setpriv to be another user';
    if (!trouble) return;
    console.log(`    skipped: ${trouble}`);
    this.skip();
  });

  /** A store in a folder of its owner's. */
  function storeOf({ gid, mode }: Pick<Situation, 'gid' | 'mode'>, journalMode: 'wal' | 'delete'): string {
    count += 1;
    chmodSync(folder.path, 0o755);
    const own = folder.file(`store-${count}`);
    mkdirSync(own);
    chownSync(own, OWNER, OWNER);
    const store = join(own, 'store.db');
    makeForm(store, { journalMode });
    chownSync(store, OWNER, gid);
    chmodSync(store, mode);
    return store;
  }

  const accessesOf = (store: string): Access[] =>
    readdirSync(dirname(store), { encoding: 'utf8', recursive: true }).map((name) => {
      const { mode, uid, gid } = statSync(join(dirname(store), name));
      return { name, mode: mode & 0o777, uid, gid };
    });

  const newestBackup = (store: string): string => copiesOf(store).sort().at(-1) ?? '';

  /** Runs a command, and returns what stood beside the store at each of its failpoints. */
  async function watched(store: string, command: readonly string[], prefix: readonly string[]) {
    const record = folder.file('record');
    writeFileSync(record, '');
    chmodSync(record, 0o666);
    const result = await spawnCli([...command, '--db-path', store], {
      prefix: [...OPEN_UMASK, ...prefix],
      env: {
        NODE_OPTIONS: `--import ${hook}`,
        UMZUG_BACKFILL_MODES: JSON.stringify({ folder: dirname(store), record }),
      },
    });
    expect(result.code, `${command.join(' ')}\n${result.stdout}${result.stderr}`).to.equal(0);
    const lines = readFileSync(record, 'utf8').trim().split('\n').filter(Boolean);
    return lines.map(
      (line) => JSON.parse(line) as { readonly point: string; readonly files: readonly Access[] },
    );
  }

  /** Insists that nobody may do with any file what he may not do with the store. */
  function expectNoWider(files: readonly Access[], { gid, mode }: Situation, when: string): void {
    const modes = new Map(files.map((file) => [file.name, file.mode]));
    for (const file of files) {
      const told = `${file.name} is ${file.mode.toString(8)} of ${file.uid}:${file.gid}, ${when}`;
      // SQLite makes these with the mode of the file that they belong to; only root could give them its group, too.
      const main = file.name.replace(/-(?:wal|shm|journal)$/, '');
      const isAsMain = main !== file.name && modes.get(main) === file.mode;
      const isFolder = /\.partial-\w{6}$/.test(file.name);
      const allowed = isFolder ? 0o700 : isAsMain || file.gid === gid ? mode : mode & 0o606;
      expect(file.mode & ~allowed, told).to.equal(0);
      expect(file.uid, told).to.equal(OWNER);
    }
  }

  for (const situation of situations) {
    for (const journalMode of ['wal', 'delete'] as const) {
      it(`is for nobody else, at no point of any command by ${situation.title} (${journalMode})`, async () => {
        const store = storeOf(situation, journalMode);
        const seen = new Set<string>();
        const watch = async (...command: readonly string[]): Promise<void> => {
          for (const { point, files } of await watched(store, command, situation.prefix)) {
            expectNoWider(files, situation, `in ${command[0]} at ${point}`);
            for (const { name } of files) seen.add(withoutWords(name));
          }
        };
        await watch('up', ...SMALL);
        await watch('backfill', '--rescan', ...SMALL);
        await watch('down', ...SMALL);
        await watch('restore');
        damage(store);
        await watch('restore', newestBackup(store));
        const sidecars = journalMode === 'wal' ? ['-wal', '-shm'] : ['-journal'];
        expect([...seen]).to.include.members(
          [
            '.lock',
            '.backup.partial-WORD',
            '.backup.partial-WORD/WORD',
            '.backup-TIME',
            '.before-restore.partial-WORD/WORD',
            '.restore.partial-WORD/WORD',
            '.before-restore-TIME',
            ...sidecars,
          ].map((suffix) => `store.db${suffix}`),
        );
        const [gid, mode] = situation.copies;
        for (const file of accessesOf(store)) {
          if (file.name === 'store.db') continue;
          const { name, ...access } = file;
          expect(access, name).to.deep.equal({ uid: OWNER, gid, mode });
        }
      });
    }
  }

  const rootsOwn = situations[3];

  it('is for nobody else after a kill, and is put right by the next run', async () => {
    const store = storeOf(rootsOwn, 'wal');
    const command = ['up', ...SMALL, '--db-path', store];
    const points = [
      { at: 'lock', detail: 'signed' },
      ...['made', 'begun', 'copied', 'checked', 'synced', 'renamed'].map((detail) => ({
        at: 'copy',
        detail,
      })),
      { at: 'statement', detail: 'UPDATE "task_audits"', nth: 2 },
    ];
    for (const point of points) {
      await killedAt(command, point, { prefix: OPEN_UMASK });
      expectNoWider(accessesOf(store), rootsOwn, `after a kill at ${JSON.stringify(point)}`);
    }
    expect((await spawnCli(command, { prefix: OPEN_UMASK })).code).to.equal(0);
    const left = accessesOf(store);
    expect(left.filter(({ uid, mode }) => uid !== OWNER || mode !== 0o600)).to.deep.equal([]);
    expect(left.filter(({ name }) => name.includes('partial'))).to.deep.equal([]);
  });

  it('is made so that it is for nobody else from its first instant', async function () {
    const trouble = straceTrouble();
    if (trouble !== undefined) {
      console.log(`    skipped: ${trouble}`);
      this.skip();
    }
    const store = storeOf(rootsOwn, 'delete');
    const made: string[] = [];
    for (const command of [['up', ...SMALL], ['down'], ['restore']]) {
      const record = folder.file('record');
      const opened = await openedByProcess([...command, '--db-path', store], record, OPEN_UMASK);
      const creating = opened.filter(
        ({ path, mode }) => mode !== undefined && path !== store && path.startsWith(store),
      );
      // The first counts: a mode is without effect where the file stands there already.
      for (const [path, { mode }] of new Map(creating.reverse().map((open) => [open.path, open]))) {
        expect(mode, `${path} in ${command[0]}`).to.equal(0o600);
        made.push(withoutWords(path.slice(dirname(store).length + 1)));
      }
    }
    expect(made).to.include.members(
      [...['.lock.WORD', '.backup.partial-WORD/WORD', '.backup.partial-WORD/WORD-journal'], '-journal'].map(
        (suffix) => `store.db${suffix}`,
      ),
    );
  });
});

function damage(store: string): void {
  for (const suffix of ['-wal', '-shm', '-journal']) rmSync(store + suffix, { force: true });
  writeFileSync(store, 'no database any more');
}
