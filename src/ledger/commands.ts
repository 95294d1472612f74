import type { Store } from '../db/connection.js';
import { reader, readTexts } from './checked.js';
import type { BackupRecord, CommandRecord, Place } from './records.js';
import { LEDGER_TABLES as T } from './tables.js';

/** A command that was begun. */
export interface CommandTime extends Pick<CommandRecord, 'command' | 'steps'> {
  readonly number: number;
  readonly begunAt: string;
}

const COMMANDS = reader<Omit<CommandRecord & CommandTime, 'steps'> & { readonly steps: string }>(T.commands, {
  number: 'count',
  command: ['up', 'down', 'rescan', 'backfill'],
  steps: 'text',
  backup: ['text', null],
  begunAt: 'text',
});
const BACKUPS = reader<BackupRecord>(T.backups, { path: 'text', bytes: 'count', sha256: 'text' });

const stepsOf = ({ steps }: { readonly steps: string }): string[] => readTexts(T.commands, 'steps', steps);

/** The ledger's commands, and the backups that were made before them. */
export function commandsIn({ store, exists, timestamp }: Place) {
  return {
    /** The last command that was begun, or undefined: the ledger goes with its last step. */
    async lastCommand(): Promise<CommandRecord | undefined> {
      const row = (await exists()) ? await COMMANDS.first(store, 'ORDER BY number DESC LIMIT 1') : undefined;
      return row && { ...row, steps: stepsOf(row) };
    },

    /**
     * Every backup that was made of this store, as far as the ledger goes back, by its path; without its size and hash if an earlier version
     * made it.
     */
    async knownBackups(): Promise<ReadonlyMap<string, BackupRecord | undefined>> {
      const known = new Map<string, BackupRecord | undefined>();
      if (!(await exists())) return known;
      for (const { backup } of await COMMANDS.all(store, 'WHERE backup IS NOT NULL ORDER BY number'))
        if (backup !== null) known.set(backup, undefined);
      if (!(await store.dialect.hasTable(store, T.backups))) return known; // a ledger of an earlier version
      for (const record of await BACKUPS.all(store, '')) known.set(record.path, record);
      return known;
    },

    /** Path of the backup of the `up` that began a step; undefined where it made none. */
    async backupBefore(step: string): Promise<string | undefined> {
      const commands = await COMMANDS.all(
        store,
        `WHERE command = 'up' AND begun_at <= (SELECT started_at FROM ${T.steps} WHERE name = ?) ORDER BY number DESC`,
        step,
      );
      return commands.find((row) => stepsOf(row).includes(step))?.backup ?? undefined;
    },

    /** Notes that a command begins, and the backup made before it. Makes the ledger where there is none. */
    async beginCommand(
      { command, steps }: Pick<CommandRecord, 'command' | 'steps'>,
      backup: BackupRecord | null,
    ): Promise<void> {
      await store.dialect.ledger.make(store);
      await store.run(
        `INSERT INTO ${T.commands} (command, steps, backup, begun_at) VALUES (?, ?, ?, ?)`,
        command,
        JSON.stringify(steps),
        backup?.path ?? null,
        timestamp(),
      );
      if (!backup) return;
      await store.run(
        `INSERT INTO ${T.backups} (path, bytes, sha256) VALUES (?, ?, ?)
        ON CONFLICT (path) DO UPDATE SET bytes = excluded.bytes, sha256 = excluded.sha256`,
        backup.path,
        backup.bytes,
        backup.sha256,
      );
    },
  };
}

/** The last so many commands that changed a store with a ledger, first to last. */
export const commandTimes = async (store: Store, limit: number): Promise<CommandTime[]> =>
  (await COMMANDS.all(store, 'ORDER BY number DESC LIMIT ?', limit))
    .map((row) => ({ ...row, steps: stepsOf(row) }))
    .reverse();
