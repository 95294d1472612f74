import { LEDGER_TABLES } from '../../ledger/tables.js';
import { identifier } from '../sql.js';

// Our SQL, as it stands in the source, becomes what the server is asked.

/** Of SQL: text in quotes, and comments, in which a question mark is none of ours. */
export const PLACEHOLDERS = /'(?:[^']|'')*'|"(?:[^"]|"")*"|--[^\n]*|\/\*[\s\S]*?\*\/|\?/g;

/** The ledger's transactions that wrote the rows of each batch, with the table that they wrote into. */
export const XIDS_TABLE = 'umzug_backfill_xids';

/** The sequence that gives each batch its number. */
export const BATCH_NUMBERS = 'umzug_backfill_batch_numbers';

/** The tables of the ledger. */
export const OUR_TABLES: readonly string[] = [...Object.values(LEDGER_TABLES), XIDS_TABLE];

const OURS = new Set([...OUR_TABLES, BATCH_NUMBERS]);

const TOKENS = new RegExp(`${PLACEHOLDERS.source}|(?<![\\w$.])umzug_backfill_[a-z_]+`, 'g');

/** Whether SQL names a table of the ledger. */
export const namesLedger = (sql: string): boolean =>
  sql.includes('umzug_backfill_') && [...sql.matchAll(TOKENS)].some(([part]) => OURS.has(part));

/**
 * SQL with PostgreSQL's placeholders, and the ledger's tables in their schema: found by a search path, each could be another's.
 *
 * @param schema of the ledger; needed only where {@link namesLedger} says so
 * @param hasParameters whether a question mark is a placeholder
 */
export function asked(sql: string, schema: string, hasParameters: boolean): string {
  let n = 0;
  return sql.replace(TOKENS, (part) => {
    if (part === '?' && hasParameters) {
      n += 1;
      return `$${n}`;
    }
    return OURS.has(part) ? `${identifier(schema)}.${part}` : part;
  });
}

/** SQL for an operator of PostgreSQL's own. */
export const operator = (sign: string): string => `OPERATOR(pg_catalog.${sign})`;

/** SQL for the name of a function of PostgreSQL's own. */
export const builtIn = (name: string): string => `pg_catalog.${name}`;

/** Types that PostgreSQL's grammar knows: whatever is behind them, they are not looked up. Others are, unless a schema is named. */
const IS_FOUND =
  /^(?:(?:bigint|bit|boolean|character|double precision|integer|interval|numeric|real|smallint|time|timestamp)\b|(?:"(?:[^"]|"")*"|[^".]*)\.)/;

/** SQL for a type, whatever the search path, of the text that `format_type()` gives in ours. */
export const typeSql = (type: string): string => (IS_FOUND.test(type) ? type : `pg_catalog.${type}`);

/** Some of them, by what they are called. */
export const [EQ, NE, LT, LE, GT, GE] = ['=', '<>', '<', '<=', '>', '>='].map(operator) as [
  string,
  string,
  string,
  string,
  string,
  string,
];
