import type { Dialect } from '../../engine/dialect.js';
import { isAboutRow, isPostgresError } from '../../engine-errors.js';
import { failpoint } from '../../failpoint.js';
import { msg } from '../../messages/message.js';
import {
  internalError,
  requireTurn,
  type SqlValue,
  type Statements,
  type Store,
  type StoreSize,
  type Transaction,
} from '../connection.js';
import { normaliseSql } from '../sql.js';
import { redactedUrl } from './address.js';
import type { Result } from './client.js';
import { isDisconnected } from './connect.js';
import type { PostgresSession } from './session.js';
import type { PostgresDriver, Turn } from './store.js';

/** Rows per FETCH of {@link Statements.pages}. */
const FETCH_ROWS = 2000;

const plain = (value: unknown): unknown => (typeof value === 'bigint' ? Number(value) : value);

const toObjects = <Row>({ rows, fields }: Result, cell = (value: unknown): unknown => value): Row[] =>
  rows.map((row) => Object.fromEntries(fields.map((name, i) => [name, cell(row[i])])) as Row);

let nextCursor = 0;

/** Statements on a connection or in one transaction, with one search path. */
class PathStatements implements Statements {
  readonly driver: PostgresDriver;
  readonly #turn: Turn | undefined;
  readonly #isProject: boolean;

  /** @param isProject whether they see the project's search path, or only built-in names */
  constructor(driver: PostgresDriver, turn: Turn | undefined, isProject: boolean) {
    this.driver = driver;
    this.#turn = turn;
    this.#isProject = isProject;
  }

  protected requireTurn(): void {
    requireTurn(this.driver.open === this.#turn);
  }

  async #query(sql: string, parameters: readonly SqlValue[] = []): Promise<Result> {
    this.requireTurn();
    return await this.driver.query(sql, parameters, this.#path);
  }

  async #script(sql: string): Promise<void> {
    this.requireTurn();
    await this.driver.script(sql, this.#path);
  }

  get #path(): string | undefined {
    return this.#isProject ? this.driver.session.path : undefined;
  }

  async get<Row>(sql: string, ...parameters: readonly SqlValue[]): Promise<Row | undefined> {
    return toObjects<Row>(await this.#query(sql, parameters), plain)[0];
  }

  async all<Row>(sql: string, ...parameters: readonly SqlValue[]): Promise<Row[]> {
    return toObjects(await this.#query(sql, parameters), plain);
  }

  async allExact<Row>(sql: string, ...parameters: readonly SqlValue[]): Promise<Row[]> {
    return toObjects(await this.#query(sql, parameters));
  }

  async getExact<Row>(sql: string, ...parameters: readonly SqlValue[]): Promise<Row | undefined> {
    return (await this.allExact<Row>(sql, ...parameters))[0];
  }

  async pluck<Value>(sql: string, ...parameters: readonly SqlValue[]): Promise<Value[]> {
    return (await this.#query(sql, parameters)).rows.map((row) => plain(row[0]) as Value);
  }

  async *pages<Row extends readonly unknown[]>(
    sql: string,
    ...parameters: readonly SqlValue[]
  ): AsyncIterableIterator<Row[]> {
    const cursor = `umzug_backfill_cursor_${nextCursor++}`;
    await this.#query(`DECLARE ${cursor} NO SCROLL CURSOR FOR ${sql}`, parameters);
    let isOpen = true;
    try {
      for (;;) {
        isOpen = false; // a failure ends the snapshot, and with it the cursor
        this.requireTurn();
        const { rows } = await this.driver.queryAtOnce(`FETCH ${FETCH_ROWS} FROM ${cursor}`, this.#path);
        isOpen = true;
        if (rows.length > 0) yield rows as unknown as Row[];
        if (rows.length < FETCH_ROWS) return;
      }
    } finally {
      if (isOpen && this.driver.open) await this.#script(`CLOSE ${cursor}`);
    }
  }

  async run(sql: string, ...parameters: readonly SqlValue[]): Promise<number> {
    const { count } = await this.#query(sql, parameters);
    if (/^\s*(?:alter|create|drop)\b/i.test(sql)) this.driver.forget();
    failpoint('statement', sql);
    return count;
  }

  async exec(sql: string): Promise<void> {
    await this.#script(sql);
    this.driver.forget();
    failpoint('statement', sql);
  }
}

/** Statements on the connection of a PostgreSQL store, or in one transaction. */
export abstract class PostgresStatements extends PathStatements implements Store {
  readonly files = undefined;
  readonly project: Statements;

  constructor(driver: PostgresDriver, turn?: Turn) {
    super(driver, turn, false);
    this.project = new PathStatements(driver, turn, true);
  }

  /** Does nothing: the event loop has turned with the server's last answer. */
  async turn(): Promise<void> {}

  abstract snapshot<Result>(act: (tx: Transaction) => Promise<Result>): Promise<Result>;

  get dialect(): Dialect {
    return this.driver.dialect;
  }

  /** The session, for code that is specific to PostgreSQL. */
  get session(): PostgresSession {
    return this.driver.session;
  }

  get name(): string {
    return redactedUrl(this.session.client.address);
  }

  async size(): Promise<StoreSize> {
    const row = await this.get<{ bytes: number }>('SELECT pg_database_size(current_database()) AS bytes');
    return { bytes: row?.bytes ?? 0, freeBytes: 0, pageBytes: 0 };
  }

  async isReadOnlyQuery(sql: string): Promise<boolean> {
    return (
      /^(?:select|with|values|table)\b/.test(normaliseSql(sql)) &&
      (await this.compileError(sql)) === undefined
    );
  }

  /** Sets a savepoint, if a transaction is open. Returns what ends it, undoing the later changes or not. */
  async #savepoint(): Promise<(isUndone: boolean) => Promise<void>> {
    this.requireTurn();
    const { client } = this.session;
    if (!this.driver.open) return async () => undefined;
    await client.script('SAVEPOINT umzug_backfill');
    return async (isUndone) =>
      await client.script(
        `${isUndone ? 'ROLLBACK TO SAVEPOINT umzug_backfill; ' : ''}RELEASE SAVEPOINT umzug_backfill`,
      );
  }

  async attempt(act: () => Promise<void>): Promise<boolean> {
    const { driver } = this;
    const end = await this.#savepoint();
    const wasAttempt = driver.isAttempt; // attempts may be nested
    driver.isAttempt = driver.open !== undefined;
    try {
      await act();
      await end(false);
      return true;
    } catch (error) {
      if (!isAboutRow(error)) throw error;
      await end(true);
      return false;
    } finally {
      driver.isAttempt = wasAttempt;
    }
  }

  async compileError(sql: string): Promise<Error | undefined> {
    const { client, path } = this.session;
    const end = await this.#savepoint();
    try {
      // The extended protocol allows only one statement.
      await client.query(`PREPARE umzug_backfill_check AS ${sql}`, [], path);
      const parameters = /\$\d/.test(sql) ? (await client.query(PARAMETERS)).rows[0]?.[0] : 0n;
      await client.script('DEALLOCATE umzug_backfill_check');
      return parameters === 0n ? undefined : new RangeError('The statement has a parameter');
    } catch (error) {
      // A lock timeout, or a server that is gone or short of memory or stack, says nothing about the statement.
      if (!isPostgresError(error) || this.dialect.retryReason(error) || isDisconnected(error)) throw error;
      if (/^POSTGRES_(?:5[378]|54001|XX)/.test(error.code)) throw error;
      this.driver.hasNotCompiled = true;
      return error;
    } finally {
      await end(true); // compiling an UPDATE locks its table; the rollback releases that
    }
  }
}

/** Selects the number of parameters of the prepared statement. */
const PARAMETERS = `SELECT cardinality(parameter_types) FROM pg_prepared_statements WHERE name = 'umzug_backfill_check'`;

/** Narrows a store to one of PostgreSQL. */
export function requirePostgres(store: Store): PostgresStatements {
  if (store instanceof PostgresStatements) return store;
  throw internalError(msg('PostgreSQL received a store of another engine'));
}
