import type { Project } from '../config.js';
import type { Connection, Store, StoreConnector, Transaction } from '../db/connection.js';
import { absentColumns } from '../engine/schema.js';
import { sqliteConnector } from '../engine/sqlite/dialect.js';
import { isStoreError } from '../engine-errors.js';
import { BackfillError, toBackfillError } from '../errors.js';
import {
  type Drift,
  findDrift,
  type Ledger,
  openLedger,
  refuseDrift,
  requireKnownFormat,
} from '../ledger/ledger.js';
import type { StepRecord } from '../ledger/records.js';
import { msg } from '../messages/message.js';
import { checkRequirements } from '../run/schema.js';
import type { BackfillDefinition } from '../steps/define.js';
import type { RequireStepDefinition, Step } from '../steps/step.js';
import type { MigratorOptions } from './options.js';

/** A store and its ledger, on a connection or in a transaction. */
export interface Session {
  readonly store: Store;
  readonly ledger: Ledger;
}

/** A store and its ledger, on a connection. */
export interface OpenSession extends Session {
  readonly store: Connection;
}

/** The part of a command's options that opens its store. */
type StoreOptions = Omit<MigratorOptions, 'project'> & { readonly project: Pick<Project, 'steps'> };

/** Returns the session in a transaction of its store. */
export const inTransaction = ({ ledger }: Session, tx: Transaction): Session => ({
  store: tx,
  ledger: ledger.in(tx),
});

/** A backfill step. */
export type BackfillStep = Step & BackfillDefinition;

/** A step that requires a backfill. */
export type RequireStep = Step & RequireStepDefinition;

/**
 * Opens the store for writing, checks the project's requirements, runs `act`, and closes the store.
 *
 * @throws {BackfillError} `PACKAGE_TOO_OLD`, `LEDGER_TOO_OLD`, a `VERSION_…` or a `STORE_…` code
 */
export async function withSession<Result>(
  options: MigratorOptions,
  act: (session: OpenSession) => Promise<Result>,
): Promise<Result> {
  return await withStore(options, 'write', async (session) => {
    await checkRequirements(session.store, options.project.config.requires);
    return await act(session);
  });
}

/**
 * Like {@link withSession}, reads only, on one snapshot: a run of another process may be creating columns and indexes, and half of its
 * commit would be taken for a change by the application.
 *
 * @param busyTimeoutMs maximum wait for another writer, in milliseconds. Default 5,000
 */
export async function inSnapshot<Result>(
  options: MigratorOptions,
  act: (session: Session) => Promise<Result> | Result,
  busyTimeoutMs?: number,
): Promise<Result> {
  const read = async (session: OpenSession): Promise<Result> =>
    await session.store.snapshot(async (tx) => {
      await tx.dialect.ledger.check(tx); // on the snapshot that is read
      await checkRequirements(tx, options.project.config.requires);
      return await act(inTransaction(session, tx));
    });
  return await withStore(options, 'read', read, busyTimeoutMs);
}

/**
 * Opens the store, runs `act`, and closes the store. Checks only the format of the ledger.
 *
 * @throws {BackfillError} `PACKAGE_TOO_OLD`, `LEDGER_TOO_OLD`, a `STORE_…` code
 */
export async function withStore<Result>(
  options: StoreOptions,
  access: 'read' | 'write',
  act: (session: OpenSession) => Promise<Result> | Result,
  busyTimeoutMs?: number,
): Promise<Result> {
  const { confirmed, project, now } = options;
  const tables = project.steps.flatMap((step) => ('table' in step ? [step.table] : []));
  const wait = busyTimeoutMs === undefined ? {} : { busyTimeoutMs };
  const store = await (await connectorFor(options)).open({ access, confirmed, tables, ...wait });
  try {
    await store.snapshot(requireKnownFormat); // a `down` may be dropping the ledger
    return await act({ store, ledger: openLedger(store, now) });
  } catch (error) {
    throw isStoreError(error) ? toBackfillError(error) : error;
  } finally {
    await store.close();
  }
}

/** Returns what opens and locks the store. Loads the driver of PostgreSQL only for a store of it. */
export async function connectorFor({
  path,
  postgres,
  connector,
  signal,
}: Pick<StoreOptions, 'path' | 'postgres' | 'connector' | 'signal'>): Promise<StoreConnector> {
  if (connector) return connector;
  if (!postgres) return sqliteConnector(path, { signal });
  const { postgresConnector } = await import('../engine/postgres/dialect.js');
  return postgresConnector(postgres, signal);
}

/** Returns the columns of a backfill that its table does not have. */
export async function missingColumns(store: Store, { table, columns }: BackfillStep): Promise<Set<string>> {
  const names = columns.map(({ name }) => name);
  return await absentColumns(store, table, names);
}

/** Whether the step is a backfill. */
export const isBackfill = (step: Step): step is BackfillStep => step.kind === 'backfill';

/**
 * Returns the project's backfills, or the one with this name.
 *
 * @throws {BackfillError} `BACKFILL_UNKNOWN`
 */
export function backfillsOf(project: Project, name?: string): BackfillStep[] {
  const all = project.steps.filter(isBackfill);
  if (name === undefined) return all;
  const wanted = all.filter((step) => step.name === name);
  if (wanted.length > 0) return wanted;
  throw new BackfillError(
    'BACKFILL_UNKNOWN',
    msg('There is no backfill named {name}', { name }),
    all.length > 0
      ? msg('The project has: {names}', { names: all.map((step) => step.name).join(', ') })
      : msg('The project has none'),
  );
}

/**
 * Returns the backfill that a step requires.
 *
 * @throws {BackfillError} `STEP_INVALID` if the project does not have it, or it comes later
 */
export function requiredBackfill(
  steps: readonly Step[],
  { name, backfill, path }: RequireStep,
): BackfillStep {
  const found = steps.filter(isBackfill).find((step) => step.name === backfill);
  if (found && found.name < name) return found;
  const values = { step: name, backfill };
  throw new BackfillError(
    'STEP_INVALID',
    found
      ? msg('The step {step} requires {backfill}, which sorts after it', values)
      : msg('The step {step} requires the backfill {backfill}, which the project does not have', values),
    msg('Set a backfill in {file} that sorts before it', { file: path }),
  );
}

/**
 * Returns the drift between the project and the ledger.
 *
 * @throws {BackfillError} `STEP_DRIFTED` if there is any and `strict` is set
 */
export function checkDrift({ project, strict }: MigratorOptions, records: readonly StepRecord[]): Drift[] {
  const { steps, isPart } = project;
  const known = isPart ? records.filter(({ name }) => steps.some((step) => step.name === name)) : records;
  const drifts = findDrift(steps, known);
  if (strict) refuseDrift(drifts);
  return drifts;
}
