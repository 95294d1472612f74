import { failpoint } from '../../failpoint.js';
import type { SqlValue, Statements } from '../port.js';
import { literal } from '../sql.js';
import type { Result } from './client.js';
import { PLACEHOLDERS } from './texts.js';

/** Rows that are fetched at once of a result that does not fit in memory. */
const FETCH_ROWS = 2000;

const plain = (value: unknown): unknown => (typeof value === 'bigint' ? Number(value) : value);

const exact = (value: unknown): unknown =>
  value instanceof Uint8Array && !Buffer.isBuffer(value)
    ? Buffer.from(value.buffer, value.byteOffset, value.length)
    : value;

const toObjects = <Row>({ rows, fields }: Result, cell: (value: unknown) => unknown): Row[] =>
  rows.map((row) => Object.fromEntries(fields.map((name, i) => [name, cell(exact(row[i]))])) as Row);

/** What runs statements, by one search path. */
export interface Runner {
  query(sql: string, parameters: readonly SqlValue[]): Promise<Result>;
  script(sql: string): Promise<void>;
  /** Whether a transaction is open. */
  isWithin(): boolean;
  /** Called behind a statement that may have changed the schema. */
  changed(): void;
}

let nextCursor = 0;

/** The statements of a store by one search path. */
export class PostgresStatements implements Statements {
  readonly #runner: Runner;

  constructor(runner: Runner) {
    this.#runner = runner;
  }

  async get<Row>(sql: string, ...parameters: readonly SqlValue[]): Promise<Row | undefined> {
    return toObjects<Row>(await this.#runner.query(sql, parameters), plain)[0];
  }

  async all<Row>(sql: string, ...parameters: readonly SqlValue[]): Promise<Row[]> {
    return toObjects(await this.#runner.query(sql, parameters), plain);
  }

  async allExact<Row>(sql: string, ...parameters: readonly SqlValue[]): Promise<Row[]> {
    return toObjects(await this.#runner.query(sql, parameters), (value) => value);
  }

  async getExact<Row>(sql: string, ...parameters: readonly SqlValue[]): Promise<Row | undefined> {
    return (await this.allExact<Row>(sql, ...parameters))[0];
  }

  async pluck<Value>(sql: string, ...parameters: readonly SqlValue[]): Promise<Value[]> {
    return (await this.#runner.query(sql, parameters)).rows.map((row) => plain(exact(row[0])) as Value);
  }

  async *pages<Row extends readonly unknown[]>(
    sql: string,
    ...parameters: readonly SqlValue[]
  ): AsyncIterableIterator<Row[]> {
    let at = 0;
    const whole = sql.replace(PLACEHOLDERS, (part) => {
      if (part !== '?' || parameters.length === 0) return part;
      const value = parameters[at++];
      return typeof value === 'string' ? literal(value) : String(value);
    });
    const cursor = `umzug_backfill_cursor_${nextCursor++}`;
    await this.#runner.query(`DECLARE ${cursor} NO SCROLL CURSOR FOR ${whole}`, []);
    let isOpen = true;
    try {
      for (;;) {
        isOpen = false; // a failure ends the snapshot, and the cursor with it
        const { rows } = await this.#runner.query(`FETCH ${FETCH_ROWS} FROM ${cursor}`, []);
        isOpen = true;
        if (rows.length > 0) yield rows.map((row) => row.map(exact)) as unknown as Row[];
        if (rows.length < FETCH_ROWS) return;
      }
    } finally {
      if (isOpen && this.#runner.isWithin()) await this.#runner.script(`CLOSE ${cursor}`);
    }
  }

  async run(sql: string, ...parameters: readonly SqlValue[]): Promise<number> {
    const { count } = await this.#runner.query(sql, parameters);
    if (/^\s*(?:alter|create|drop)\b/i.test(sql)) this.#runner.changed();
    failpoint('statement', sql);
    return count;
  }

  async exec(sql: string): Promise<void> {
    await this.#runner.script(sql);
    this.#runner.changed();
    failpoint('statement', sql);
  }
}
