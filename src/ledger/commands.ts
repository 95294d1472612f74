import type { Store } from '../store/port.js';
import { checked, readTexts } from './checked.js';
import type { BackupRecord, ChangingCommand, CommandRecord, Place } from './records.js';
import { LEDGER_TABLES as T } from './tables.js';

const BACKUP_FORMS = { steps: 'text', backup: ['text', null] } as const;
const COMMAND_FORMS = { ...BACKUP_FORMS, command: 'text' } as const;

/** The ledger's commands, and the backups that were made before them. */
export function commandsIn({ store, exists, timestamp }: Place) {
  return {
    /** The last command that was begun, or undefined: the ledger goes with its last step. */
    async lastCommand(): Promise<CommandRecord | undefined> {
      if (!(await exists())) return undefined;
      const row = await store.get<Omit<CommandRecord, 'steps'> & { readonly steps: string }>(
        `SELECT command, steps, backup FROM ${T.commands} ORDER BY number DESC LIMIT 1`,
      );
      if (!row) return undefined;
      const { steps } = checked<typeof row>(T.commands, row, COMMAND_FORMS);
      return { ...row, steps: readTexts(T.commands, 'steps', steps) };
    },

    /** Every backup that was made of this store, as far as the ledger goes back, by its path; without its size and hash if an earlier version made it. */
    async knownBackups(): Promise<ReadonlyMap<string, BackupRecord | undefined>> {
      const known = new Map<string, BackupRecord | undefined>();
      if (!(await exists())) return known;
      for (const row of await store.all<{ backup: string }>(
        `SELECT backup FROM ${T.commands} WHERE backup IS NOT NULL ORDER BY number`,
      ))
        known.set(checked<typeof row>(T.commands, row, { backup: 'text' }).backup, undefined);
      if (!(await store.dialect.hasTable(store, T.backups))) return known;
      for (const row of await store.all<BackupRecord>(`SELECT path, bytes, sha256 FROM ${T.backups}`)) {
        const record = checked<BackupRecord>(T.backups, row, {
          path: 'text',
          bytes: 'count',
          sha256: 'text',
        });
        known.set(record.path, record);
      }
      return known;
    },

    /** Path of the backup of the `up` that began a step; undefined where it made none. */
    async backupBefore(step: string): Promise<string | undefined> {
      const commands = await store.all<{ steps: string; backup: string | null }>(
        `SELECT steps, backup FROM ${T.commands}
        WHERE command = 'up' AND begun_at <= (SELECT started_at FROM ${T.steps} WHERE name = ?) ORDER BY number DESC`,
        step,
      );
      const command = commands.find((row) =>
        readTexts(T.commands, 'steps', checked<typeof row>(T.commands, row, BACKUP_FORMS).steps).includes(
          step,
        ),
      );
      return command?.backup ?? undefined;
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

/** A command that was begun. */
export interface CommandTime {
  readonly number: number;
  readonly command: ChangingCommand;
  readonly steps: readonly string[];
  readonly begunAt: string;
}

const TIME_FORMS = { number: 'count', command: 'text', steps: 'text', begunAt: 'text' } as const;

/** The last so many commands that changed a store with a ledger, first to last. */
export async function commandTimes(store: Store, limit: number): Promise<CommandTime[]> {
  return (
    await store.all<Omit<CommandTime, 'steps'> & { readonly steps: string }>(
      `SELECT number, command, steps, begun_at AS "begunAt" FROM ${T.commands} ORDER BY number DESC LIMIT ?`,
      limit,
    )
  )
    .map((row) => checked<typeof row>(T.commands, row, TIME_FORMS))
    .map((row) => ({ ...row, steps: readTexts(T.commands, 'steps', row.steps) }))
    .reverse();
}
