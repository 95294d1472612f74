import { throwIfAborted } from '../../abort.js';
import type { Dialect } from '../../engine/dialect.js';
import { BackfillError } from '../../errors.js';
import { msg } from '../../messages/message.js';
import { isAboutRow, isPostgresError, isStoreError } from '../../store-errors.js';
import type { SqlValue } from '../connection.js';
import { type OpenOptions, RETRY_TIMEOUT_MS } from '../connector.js';
import { literal } from '../sql.js';
import { type Result, SAFE_PATH } from './client.js';
import type { PostgresSession } from './session.js';
import { asked, namesLedger, OUR_TABLES } from './texts.js';

/** How long a look waits for another's lock, by default, in milliseconds. */
const PROBE_TIMEOUT_MS = 5000;

/** At most this many texts of ours are remembered as the server is asked them, none longer than so many characters. */
const [MAX_ASKED, LONGEST_ASKED] = [500, 5000];

/** How a transaction begins, by whether it writes. */
type Kind = 'reading' | 'writing';

/** A transaction's turn on its connection: no other has the same. */
export interface Turn {
  readonly kind: Kind;
}

/** What a connection shares with its transactions: the session, and what is known of it. */
export class PostgresDriver {
  readonly session: PostgresSession;
  readonly dialect: Dialect;
  /** Whether a person has agreed to what the roles of others may do. */
  readonly trustsOthers: boolean;
  /** The project's tables. */
  readonly tables: readonly string[];
  /** How long a statement outside a transaction that writes waits for another's lock, in milliseconds. */
  readonly lockTimeoutMs: number;
  /** Of the transaction that is open. */
  open: Turn | undefined;
  /** Whether the statements of a SQL step run: as they stand, by the path that they set. */
  isStep = false;
  /** Whether a statement may fail on what a row holds, and its transaction goes on. */
  isAttempt = false;
  /** Whether a statement of the snapshot has not compiled. */
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
    this.lockTimeoutMs = busyTimeoutMs ?? (access === 'read' ? PROBE_TIMEOUT_MS : RETRY_TIMEOUT_MS);
  }

  /** What is known of the schema, until this connection changes it: batches ask again and again. */
  async remember<Known>(what: string, ask: () => Promise<Known>): Promise<Known> {
    if (!this.#known.has(what)) this.#known.set(what, await ask());
    return this.#known.get(what) as Known;
  }

  /** Forgets what is known of the schema, or one thing of it. */
  forget(what?: string): void {
    if (what === undefined) this.#known.clear();
    else this.#known.delete(what);
  }

  /** The schema of the ledger: where the search path finds one, of whatever kind, else where it makes a table. */
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

  /** Runs one statement by a search path; by none but the engine's own names where that is undefined. */
  async query(sql: string, parameters: readonly SqlValue[], path: string | undefined): Promise<Result> {
    // A pass over a table is many statements, none of them long. A batch is let go on to its commit.
    if (this.open?.kind === 'reading')
      throwIfAborted(this.session.client.signal, msg('while reading the database'));
    try {
      return await this.session.client.query(
        await this.#asked(sql, parameters.length > 0),
        parameters,
        this.isStep ? undefined : path,
      );
    } catch (error) {
      // Nothing was written in a snapshot: another one lets a look go on that has to tell what went wrong.
      const isTold = this.isAttempt && isAboutRow(error);
      if (this.open?.kind === 'reading' && isPostgresError(error) && !isTold) {
        this.hasNotCompiled ||= error.code.startsWith('POSTGRES_42'); // what it speaks of is not there, or not as it says
        await this.session.client.script(`ROLLBACK; ${BEGIN.reading}`);
      }
      throw error;
    }
  }

  /** Runs statements without parameters by a search path. */
  async script(sql: string, path: string | undefined): Promise<void> {
    await this.session.client.script(await this.#asked(sql, false), this.isStep ? undefined : path);
  }

  /** Acts in a transaction, whose turn it is meanwhile. */
  async within<Result>(kind: Kind, act: (turn: Turn) => Promise<Result>, settings = ''): Promise<Result> {
    await this.session.client.script(`${BEGIN[kind]}${settings}`);
    const turn: Turn = { kind };
    this.open = turn;
    try {
      const result = await act(turn);
      // Constraint triggers that are deferred fire now, and see the project's path.
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

  /** Rolls back after a failure, which stays the one that is told: a session that can't is ended, and its transaction with it. */
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
 * Every transaction has one snapshot from its first statement on: a row that somebody changes between the statements of a batch
 * ends it by an error, and it is tried again. One that writes does not say so: a server that is set to be read only, as when its
 * disk is full, refuses it.
 *
 * @see https://www.postgresql.org/docs/current/transaction-iso.html#XACT-REPEATABLE-READ
 */
export const BEGIN: Readonly<Record<Kind, string>> = {
  writing: 'BEGIN ISOLATION LEVEL REPEATABLE READ',
  reading: 'BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY',
};
