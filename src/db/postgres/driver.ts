import { throwIfAborted } from '../../abort.js';
import type { Dialect } from '../../engine/dialect.js';
import { isAboutRow, isPostgresError, isStoreError } from '../../engine-errors.js';
import { BackfillError } from '../../errors.js';
import { msg } from '../../messages/message.js';
import type { SqlValue } from '../connection.js';
import { type OpenOptions, READ_TIMEOUT_MS, RETRY_TIMEOUT_MS } from '../connector.js';
import { literal } from '../sql.js';
import { type Result, SAFE_PATH } from './client.js';
import type { PostgresSession } from './session.js';
import { asked, namesLedger, OUR_TABLES } from './texts.js';

/** Maximum number of rewritten statements in the cache, and maximum length of each in characters. */
const [MAX_ASKED, LONGEST_ASKED] = [500, 5000];

/** Whether a transaction writes. */
type Kind = 'reading' | 'writing';

/** Identity of a transaction on its connection. */
export interface Turn {
  readonly kind: Kind;
}

/** State that a connection shares with its transactions: the session, and caches. */
export class PostgresDriver {
  readonly session: PostgresSession;
  readonly dialect: Dialect;
  /** Whether other roles may create objects in the search path and own the tables, by `--yes`. */
  readonly trustsOthers: boolean;
  /** The project's tables. */
  readonly tables: readonly string[];
  /** Maximum time that a statement outside a write transaction waits for a lock, in milliseconds. */
  readonly lockTimeoutMs: number;
  /** The open transaction. */
  open: Turn | undefined;
  /** Whether the statements of a SQL step are running: unchanged, with the search path that they set. */
  isStep = false;
  /** Whether the transaction continues if a statement fails because of a row's contents. */
  isAttempt = false;
  /** Whether a statement of the snapshot did not compile. */
  hasNotCompiled = false;
  readonly #askedTexts = new Map<string, string>();
  readonly #known = new Map<string, unknown>();

  constructor(
    session: PostgresSession,
    dialect: Dialect,
    { access, busyTimeoutMs, confirmed = false, tables = [] }: OpenOptions,
  ) {
    this.session = session;
    this.dialect = dialect;
    this.trustsOthers = confirmed;
    this.tables = tables;
    this.lockTimeoutMs = busyTimeoutMs ?? (access === 'read' ? READ_TIMEOUT_MS : RETRY_TIMEOUT_MS);
  }

  /** Caches facts about the schema, which batches need repeatedly, until this connection changes it. */
  async remember<Known>(what: string, ask: () => Promise<Known>): Promise<Known> {
    if (!this.#known.has(what)) this.#known.set(what, await ask());
    return this.#known.get(what) as Known;
  }

  /** Clears the cache of {@link remember}, or one entry. */
  forget(what?: string): void {
    if (what === undefined) this.#known.clear();
    else this.#known.delete(what);
  }

  /**
   * Returns the schema of the ledger: the first in the search path that contains one, else the one in which tables are created.
   */
  async ledgerSchema(): Promise<string> {
    return await this.remember('schema of the ledger', async () => {
      const schemas = this.session.schemas.filter((name) => name !== 'pg_catalog');
      const { rows } = await this.query(
        `SELECT p.name FROM unnest(ARRAY[${schemas.map(literal).join(', ')}]::text[]) WITH ORDINALITY AS p (name, at)
          JOIN pg_namespace AS n ON n.nspname = p.name JOIN pg_class AS c ON c.relnamespace = n.oid
        WHERE c.relname = ${literal(OUR_TABLES[0] ?? '')} ORDER BY p.at LIMIT 1`,
        [],
        undefined,
      );
      return String(rows[0]?.[0] ?? schemas[0] ?? 'public');
    });
  }

  async #asked(sql: string, hasParameters: boolean): Promise<string> {
    if (this.isStep || (!hasParameters && !sql.includes('umzug_backfill_'))) return sql;
    const name = `${hasParameters} ${sql}`;
    let text = this.#askedTexts.get(name);
    if (text === undefined) {
      text = asked(sql, namesLedger(sql) ? await this.ledgerSchema() : '', hasParameters);
      if (this.#askedTexts.size >= MAX_ASKED) this.#askedTexts.clear();
      if (sql.length <= LONGEST_ASKED) this.#askedTexts.set(name, text);
    }
    return text;
  }

  /** Runs one statement with a search path; undefined: only built-in names. */
  async query(sql: string, parameters: readonly SqlValue[], path: string | undefined): Promise<Result> {
    // Checked here because a pass over a table is many short statements. A batch is allowed to continue to its commit.
    if (this.open?.kind === 'reading')
      throwIfAborted(this.session.client.signal, msg('while reading the database'));
    try {
      return await this.session.client.query(
        await this.#asked(sql, parameters.length > 0),
        parameters,
        this.isStep ? undefined : path,
      );
    } catch (error) {
      // A snapshot has written nothing, so a new one lets the caller continue, for example to find the cause.
      const isTold = this.isAttempt && isAboutRow(error);
      if (this.open?.kind === 'reading' && isPostgresError(error) && !isTold) {
        this.hasNotCompiled ||= error.code.startsWith('POSTGRES_42'); // syntax error, missing object or missing privilege
        await this.session.client.script(`ROLLBACK; ${BEGIN.reading}`);
      }
      throw error;
    }
  }

  /** Runs statements without parameters, with a search path. */
  async script(sql: string, path: string | undefined): Promise<void> {
    await this.session.client.script(await this.#asked(sql, false), this.isStep ? undefined : path);
  }

  /** Runs `act` in a transaction. */
  async within<Result>(kind: Kind, act: (turn: Turn) => Promise<Result>, settings = ''): Promise<Result> {
    await this.session.client.script(`${BEGIN[kind]}${settings}`);
    const turn: Turn = { kind };
    this.open = turn;
    try {
      const result = await act(turn);
      // Deferred constraint triggers fire now, and must see the project's path.
      const commit = `SET LOCAL search_path = ${this.session.path}; COMMIT; SET search_path = ${SAFE_PATH}`;
      this.open = undefined;
      await this.session.client.script(kind === 'writing' ? commit : 'COMMIT');
      return result;
    } catch (error) {
      await this.#rollBack();
      throw error;
    } finally {
      this.open = undefined;
    }
  }

  /** Rolls back after a failure, or else closes the session, so that the caller can rethrow the original error. */
  async #rollBack(): Promise<void> {
    const { client } = this.session;
    try {
      if (!client.isLost) await client.script('ROLLBACK');
    } catch (error) {
      if (!isStoreError(error) && !(error instanceof BackfillError)) throw error;
      await client.close();
    }
  }
}

/**
 * Every transaction has one snapshot from its first statement on: if another client changes a row between the statements of a
 * batch, the batch fails and is retried. A write transaction does not specify READ WRITE, so that a server set to read-only, for
 * example because its disk is full, rejects it.
 *
 * @see https://www.postgresql.org/docs/current/transaction-iso.html#XACT-REPEATABLE-READ
 */
export const BEGIN: Readonly<Record<Kind, string>> = {
  writing: 'BEGIN ISOLATION LEVEL REPEATABLE READ',
  reading: 'BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY',
};
