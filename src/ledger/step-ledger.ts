import type { Store } from '../store/port.js';
import { checked, readTexts } from './checked.js';
import type { BackupRecord, CommandRecord, CreatedObject, StepRecord } from './records.js';
import { LEDGER_TABLES as T } from './tables.js';
import { PACKAGE_VERSION } from './version.js';

const STEP_FORMS = {
  name: 'text',
  kind: 'text',
  status: ['applying', 'applied', 'reverting'],
  fingerprint: 'text',
  packageVersion: 'text',
  startedAt: 'text',
  appliedAt: ['text', null],
  durationMs: 'count',
  revertedCells: 'count',
  keptCells: 'count',
} as const;
const BACKUP_FORMS = { steps: 'text', backup: ['text', null] } as const;
const COMMAND_FORMS = { ...BACKUP_FORMS, command: 'text' } as const;

/** The ledger's steps, and what they made. Every write happens inside its caller's transaction. */
export class StepLedger {
  protected readonly store: Store;
  readonly #now: () => Date;

  /**
   * @param store the open store
   * @param now the clock. Default: the system's
   */
  constructor(store: Store, now: () => Date = () => new Date()) {
    this.store = store;
    this.#now = now;
  }

  /** Whether the store has a ledger. Without one, every reading below gives what an empty one would. */
  exists(): boolean {
    return this.store.dialect.hasTable(this.store, T.steps);
  }

  /** The time of an entry: ISO-8601 in UTC. */
  timestamp(): string {
    return this.#now().toISOString();
  }

  // Steps

  /** All steps that were begun, by name in code unit order. */
  steps(): StepRecord[] {
    if (!this.exists()) return [];
    return this.store
      .all<StepRecord>(
        `SELECT name, kind, status, fingerprint, package_version AS "packageVersion", started_at AS "startedAt",
          applied_at AS "appliedAt", duration_ms AS "durationMs", reverted_cells AS "revertedCells", kept_cells AS "keptCells"
        FROM ${T.steps}`,
      )
      .map((row) => checked<StepRecord>(T.steps, row, STEP_FORMS))
      .sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** One step, or undefined when it was never begun. */
  step(name: string): StepRecord | undefined {
    return this.steps().find((step) => step.name === name);
  }

  /** Notes that a step is being applied, making the ledger where there is none. */
  beginStep(step: { readonly name: string; readonly kind: string; readonly fingerprint: string }): void {
    this.store.dialect.makeLedger(this.store);
    this.store.run(
      `INSERT INTO ${T.steps} (name, kind, status, fingerprint, package_version, started_at, objects)
      VALUES (?, ?, 'applying', ?, ?, ?, (SELECT count(*) FROM ${T.objects} WHERE step = ?))
      ON CONFLICT (name) DO UPDATE SET status = 'applying', fingerprint = excluded.fingerprint, kept_cells = 0,
        reverted_cells = 0`,
      step.name,
      step.kind,
      step.fingerprint,
      PACKAGE_VERSION,
      this.timestamp(),
      step.name,
    );
    this.store.run(`DELETE FROM ${T.kept} WHERE backfill = ?`, step.name); // of a `down` that was stopped
  }

  /** Notes that a step is applied. */
  finishStep(name: string, durationMs: number): void {
    this.store.run(
      `UPDATE ${T.steps} SET status = 'applied', applied_at = ?, duration_ms = duration_ms + ?
      WHERE name = ? AND status = 'applying'`,
      this.timestamp(),
      Math.round(durationMs),
      name,
    );
  }

  /** Notes that a step is being reverted. */
  beginRevert(name: string): void {
    this.store.run(`UPDATE ${T.steps} SET status = 'reverting' WHERE name = ?`, name);
  }

  /** Adds to a revert's counts. */
  countReverted(name: string, reverted: number, kept: number): void {
    this.store.run(
      `UPDATE ${T.steps} SET reverted_cells = reverted_cells + ?, kept_cells = kept_cells + ? WHERE name = ?`,
      reverted,
      kept,
      name,
    );
  }

  /** Forgets a step and all that belongs to it; with the last step the ledger itself goes. */
  forgetStep(name: string): void {
    for (const [table, column] of this.tables()) {
      if (!this.store.dialect.hasTable(this.store, table)) continue; // an older ledger has not all of them
      this.store.run(`DELETE FROM ${table} WHERE ${column} = ?`, name);
    }
    if (this.steps().length === 0) this.store.dialect.dropLedger(this.store);
  }

  /** Tables with rows of a step, each with the column of its name. */
  protected tables(): readonly (readonly [table: string, column: string])[] {
    return [
      [T.tables, 'backfill'],
      [T.verifications, 'backfill'],
      [T.skips, 'backfill'],
      [T.cells, 'backfill'],
      [T.batches, 'backfill'],
      [T.runs, 'backfill'],
      [T.declarations, 'backfill'],
      [T.kept, 'backfill'],
      [T.objects, 'step'],
      [T.steps, 'name'],
    ];
  }

  // Commands

  /** The last command that was begun, or undefined: the ledger goes with its last step. */
  lastCommand(): CommandRecord | undefined {
    if (!this.exists()) return undefined;
    const row = this.store.get<{ command: CommandRecord['command']; steps: string; backup: string | null }>(
      `SELECT command, steps, backup FROM ${T.commands} ORDER BY number DESC LIMIT 1`,
    );
    return (
      row && {
        ...row,
        steps: readTexts(T.commands, 'steps', checked<typeof row>(T.commands, row, COMMAND_FORMS).steps),
      }
    );
  }

  /** Paths of every backup that was made of this store, as far as the ledger goes back. */
  backups(): string[] {
    if (!this.exists()) return [];
    return this.store
      .all<{ backup: string }>(`SELECT backup FROM ${T.commands} WHERE backup IS NOT NULL ORDER BY number`)
      .map((row) => checked<typeof row>(T.commands, row, { backup: 'text' }).backup);
  }

  /** Every backup that was made of this store, by its path; without its size and hash if an earlier version made it. */
  knownBackups(): ReadonlyMap<string, BackupRecord | undefined> {
    const known = new Map<string, BackupRecord | undefined>();
    for (const path of this.backups()) known.set(path, undefined);
    if (!this.store.dialect.hasTable(this.store, T.backups)) return known;
    for (const row of this.store.all<BackupRecord>(`SELECT path, bytes, sha256 FROM ${T.backups}`)) {
      const record = checked<BackupRecord>(T.backups, row, { path: 'text', bytes: 'count', sha256: 'text' });
      known.set(record.path, record);
    }
    return known;
  }

  /** Path of the backup of the `up` that began a step; undefined where it made none. */
  backupBefore(step: string): string | undefined {
    const commands = this.store.all<{ steps: string; backup: string | null }>(
      `SELECT steps, backup FROM ${T.commands}
      WHERE command = 'up' AND begun_at <= (SELECT started_at FROM ${T.steps} WHERE name = ?) ORDER BY number DESC`,
      step,
    );
    const command = commands.find((row) =>
      readTexts(T.commands, 'steps', checked<typeof row>(T.commands, row, BACKUP_FORMS).steps).includes(step),
    );
    return command?.backup ?? undefined;
  }

  /** Notes that a command begins, and the backup made before it. Makes the ledger where there is none. */
  beginCommand(
    { command, steps }: Pick<CommandRecord, 'command' | 'steps'>,
    backup: BackupRecord | null,
  ): void {
    this.store.dialect.makeLedger(this.store);
    this.store.run(
      `INSERT INTO ${T.commands} (command, steps, backup, begun_at) VALUES (?, ?, ?, ?)`,
      command,
      JSON.stringify(steps),
      backup?.path ?? null,
      this.timestamp(),
    );
    if (!backup) return;
    this.store.run(
      `INSERT INTO ${T.backups} (path, bytes, sha256) VALUES (?, ?, ?)
      ON CONFLICT (path) DO UPDATE SET bytes = excluded.bytes, sha256 = excluded.sha256`,
      backup.path,
      backup.bytes,
      backup.sha256,
    );
  }

  // What schema steps made

  /** What a schema step made. */
  objects(step: string): CreatedObject[] {
    if (!this.exists()) return [];
    return this.store
      .all<CreatedObject>(`SELECT kind, name FROM ${T.objects} WHERE step = ? ORDER BY kind, name`, step)
      .map((row) =>
        checked<CreatedObject>(T.objects, row, { kind: ['column', 'index', 'version'], name: 'text' }),
      );
  }

  /** Notes that a step made an object. */
  addObject(step: string, { kind, name }: CreatedObject): void {
    const sql = `INSERT INTO ${T.objects} (step, kind, name) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`;
    this.#countObjects(step, this.store.run(sql, step, kind, name));
  }

  /** Forgets one object of a step. */
  removeObject(step: string, { kind, name }: CreatedObject): void {
    const sql = `DELETE FROM ${T.objects} WHERE step = ? AND kind = ? AND name = ?`;
    this.#countObjects(step, -this.store.run(sql, step, kind, name));
  }

  #countObjects(step: string, change: number): void {
    this.store.run(`UPDATE ${T.steps} SET objects = objects + ? WHERE name = ?`, change, step);
  }

  /** What is wrong between the steps and the objects that they made, a sentence each. */
  objectContradictions(): string[] {
    return this.store
      .pluck<string>(
        `SELECT s.name FROM ${T.steps} AS s LEFT JOIN ${T.objects} AS o ON o.step = s.name
        GROUP BY s.name HAVING s.objects <> count(o.name)
        UNION SELECT step FROM ${T.objects} WHERE step NOT IN (SELECT name FROM ${T.steps}) ORDER BY 1`,
      )
      .map((name) => `what ${name} made does not match its row`);
  }
}
