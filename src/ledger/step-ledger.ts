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
  /** The range that this process was at work on last, by whatever transaction. */
  protected readonly last: { range: number };

  /**
   * @param store the open store
   * @param now the clock. Default: the system's
   * @param last see {@link StepLedger.last}; of the ledger that this is the same as
   */
  constructor(store: Store, now: () => Date = () => new Date(), last = { range: 0 }) {
    this.store = store;
    this.#now = now;
    this.last = last;
  }

  /** Returns the same ledger in a transaction of its store's. */
  in(tx: Store): this {
    return new (this.constructor as new (...args: ConstructorParameters<typeof StepLedger>) => this)(
      tx,
      this.#now,
      this.last,
    );
  }

  /** Whether the store has a ledger. Without one, every reading below gives what an empty one would. */
  async exists(): Promise<boolean> {
    return await this.store.dialect.hasTable(this.store, T.steps);
  }

  /** The time of an entry: ISO-8601 in UTC. */
  timestamp(): string {
    return this.#now().toISOString();
  }

  // Steps

  /** All steps that were begun, by name in code unit order. */
  async steps(): Promise<StepRecord[]> {
    if (!(await this.exists())) return [];
    return (
      await this.store.all<StepRecord>(
        `SELECT name, kind, status, fingerprint, package_version AS "packageVersion", started_at AS "startedAt",
          applied_at AS "appliedAt", duration_ms AS "durationMs", reverted_cells AS "revertedCells", kept_cells AS "keptCells"
        FROM ${T.steps}`,
      )
    )
      .map((row) => checked<StepRecord>(T.steps, row, STEP_FORMS))
      .sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** One step, or undefined when it was never begun. */
  async step(name: string): Promise<StepRecord | undefined> {
    return (await this.steps()).find((step) => step.name === name);
  }

  /** Notes that a step is being applied, making the ledger where there is none. */
  async beginStep(step: {
    readonly name: string;
    readonly kind: string;
    readonly fingerprint: string;
  }): Promise<void> {
    await this.store.dialect.makeLedger(this.store);
    await this.store.run(
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
    await this.store.run(`DELETE FROM ${T.kept} WHERE backfill = ?`, step.name); // of a `down` that was stopped
  }

  /** Notes that a step is applied. */
  async finishStep(name: string, durationMs: number): Promise<void> {
    await this.store.run(
      `UPDATE ${T.steps} SET status = 'applied', applied_at = ?, duration_ms = duration_ms + ?
      WHERE name = ? AND status = 'applying'`,
      this.timestamp(),
      Math.round(durationMs),
      name,
    );
  }

  /** Notes that a step is being reverted. */
  async beginRevert(name: string): Promise<void> {
    await this.store.run(`UPDATE ${T.steps} SET status = 'reverting' WHERE name = ?`, name);
  }

  /** Adds to a revert's counts. */
  async countReverted(name: string, reverted: number, kept: number): Promise<void> {
    await this.store.run(
      `UPDATE ${T.steps} SET reverted_cells = reverted_cells + ?, kept_cells = kept_cells + ? WHERE name = ?`,
      reverted,
      kept,
      name,
    );
  }

  /** Forgets a step and all that belongs to it; with the last step the ledger itself goes. */
  async forgetStep(name: string): Promise<void> {
    for (const [table, column] of this.tables()) {
      if (!(await this.store.dialect.hasTable(this.store, table))) continue; // an older ledger has not all of them
      await this.store.run(`DELETE FROM ${table} WHERE ${column} = ?`, name);
    }
    if ((await this.steps()).length === 0) await this.store.dialect.dropLedger(this.store);
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
  async lastCommand(): Promise<CommandRecord | undefined> {
    if (!(await this.exists())) return undefined;
    const row = await this.store.get<{
      command: CommandRecord['command'];
      steps: string;
      backup: string | null;
    }>(`SELECT command, steps, backup FROM ${T.commands} ORDER BY number DESC LIMIT 1`);
    return (
      row && {
        ...row,
        steps: readTexts(T.commands, 'steps', checked<typeof row>(T.commands, row, COMMAND_FORMS).steps),
      }
    );
  }

  /** Paths of every backup that was made of this store, as far as the ledger goes back. */
  async backups(): Promise<string[]> {
    if (!(await this.exists())) return [];
    return (
      await this.store.all<{ backup: string }>(
        `SELECT backup FROM ${T.commands} WHERE backup IS NOT NULL ORDER BY number`,
      )
    ).map((row) => checked<typeof row>(T.commands, row, { backup: 'text' }).backup);
  }

  /** Every backup that was made of this store, by its path; without its size and hash if an earlier version made it. */
  async knownBackups(): Promise<ReadonlyMap<string, BackupRecord | undefined>> {
    const known = new Map<string, BackupRecord | undefined>();
    for (const path of await this.backups()) known.set(path, undefined);
    if (!(await this.store.dialect.hasTable(this.store, T.backups))) return known;
    for (const row of await this.store.all<BackupRecord>(`SELECT path, bytes, sha256 FROM ${T.backups}`)) {
      const record = checked<BackupRecord>(T.backups, row, { path: 'text', bytes: 'count', sha256: 'text' });
      known.set(record.path, record);
    }
    return known;
  }

  /** Path of the backup of the `up` that began a step; undefined where it made none. */
  async backupBefore(step: string): Promise<string | undefined> {
    const commands = await this.store.all<{ steps: string; backup: string | null }>(
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
  async beginCommand(
    { command, steps }: Pick<CommandRecord, 'command' | 'steps'>,
    backup: BackupRecord | null,
  ): Promise<void> {
    await this.store.dialect.makeLedger(this.store);
    await this.store.run(
      `INSERT INTO ${T.commands} (command, steps, backup, begun_at) VALUES (?, ?, ?, ?)`,
      command,
      JSON.stringify(steps),
      backup?.path ?? null,
      this.timestamp(),
    );
    if (!backup) return;
    await this.store.run(
      `INSERT INTO ${T.backups} (path, bytes, sha256) VALUES (?, ?, ?)
      ON CONFLICT (path) DO UPDATE SET bytes = excluded.bytes, sha256 = excluded.sha256`,
      backup.path,
      backup.bytes,
      backup.sha256,
    );
  }

  // What schema steps made

  /** What a schema step made. */
  async objects(step: string): Promise<CreatedObject[]> {
    if (!(await this.exists())) return [];
    return (
      await this.store.all<CreatedObject>(
        `SELECT kind, name FROM ${T.objects} WHERE step = ? ORDER BY kind, name`,
        step,
      )
    ).map((row) =>
      checked<CreatedObject>(T.objects, row, { kind: ['column', 'index', 'version'], name: 'text' }),
    );
  }

  /** Notes that a step made an object. */
  async addObject(step: string, { kind, name }: CreatedObject): Promise<void> {
    const sql = `INSERT INTO ${T.objects} (step, kind, name) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`;
    await this.#countObjects(step, await this.store.run(sql, step, kind, name));
  }

  /** Forgets one object of a step. */
  async removeObject(step: string, { kind, name }: CreatedObject): Promise<void> {
    const sql = `DELETE FROM ${T.objects} WHERE step = ? AND kind = ? AND name = ?`;
    await this.#countObjects(step, -(await this.store.run(sql, step, kind, name)));
  }

  async #countObjects(step: string, change: number): Promise<void> {
    await this.store.run(`UPDATE ${T.steps} SET objects = objects + ? WHERE name = ?`, change, step);
  }

  /** What is wrong between the steps and the objects that they made, a sentence each. */
  async objectContradictions(): Promise<string[]> {
    return (
      await this.store.pluck<string>(
        `SELECT s.name FROM ${T.steps} AS s LEFT JOIN ${T.objects} AS o ON o.step = s.name
        GROUP BY s.name HAVING s.objects <> count(o.name)
        UNION SELECT step FROM ${T.objects} WHERE step NOT IN (SELECT name FROM ${T.steps}) ORDER BY 1`,
      )
    ).map((name) => `what ${name} made does not match its row`);
  }
}
