import { endedSql, identifier, literal } from '../../db/sql.js';
import { BackfillError } from '../../errors.js';
import { LEDGER_TABLES as T } from '../../ledger/tables.js';
import { msg } from '../../messages/message.js';
import type { Backfill } from '../../steps/define.js';
import { fallbackOf } from '../../steps/values.js';
import { hasHidden, replaceHidden, visible } from '../../visible.js';
import { plainDerivationSql } from './derive.js';

/**
 * Returns the checks as plain SQL for the sqlite3 shell (3.38 or newer), without our functions. Texts that only our reader can read
 * count as unreadable, and are counted separately. Strings beyond plain ASCII and the text of fractions are checked less strictly,
 * because they depend on the shell's version.
 *
 * @throws {BackfillError} `USAGE` if a name contains a control or other invisible character: SQL has no escape for it
 */
export function verificationSql(backfill: Backfill): string {
  const { checks, columns, name } = backfill;
  const { groupBy, indexes = [], timestamps = false, lag, rules = [] } = checks;
  const fallbacks = columns.flatMap(({ name: column, value }, i) => {
    const fallback = fallbackOf(value);
    return fallback !== undefined && timestamps ? [{ column, i, fallback }] : [];
  });
  const each = (sql: (column: string, i: number) => string, separator = ',\n  '): string =>
    columns.map((column, i) => sql(column.name, i)).join(separator);
  const differs = (i: number): string => `c${i} IS NOT NULL AND c${i} IS NOT v${i} COLLATE BINARY`;
  const sections: string[] = [];
  // A name may have several lines, a comment has one.
  const add = (title: string, sql: string): void => {
    const heading = `${sections.length + 1}. ${title.replaceAll(/\s+/g, ' ')}`;
    sections.push(`-- ${heading}\nSELECT ${literal(heading)} AS "check";\n${sql};`);
  };

  add(
    'Coverage: filled, fillable though NULL, and without a value to derive',
    `SELECT count(*) AS rows_in_scope, total(failure IS NOT NULL) AS unreadable_or_rare,
  ${each((column, i) => `count(c${i}) AS ${identifier(`${column} filled`)}, total(c${i} IS NULL AND v${i} IS NOT NULL) AS ${identifier(`${column} fillable`)}`)}
FROM umzug_backfill_rows`,
  );
  add(
    'Consistency: cells that hold something else than their row derives',
    `SELECT ${each((column, i) => `total(failure IS NULL AND ${differs(i)}) AS ${identifier(`${column} differs`)}`)}
FROM umzug_backfill_rows;
SELECT k AS sample_key FROM umzug_backfill_rows
WHERE failure IS NULL AND (${each((_, i) => differs(i), ' OR ')}) LIMIT 10`,
  );
  if (groupBy !== undefined)
    add(
      `By ${groupBy}`,
      `SELECT g, count(*) AS total,
  ${each((column, i) => `count(c${i}) AS ${identifier(column)}, round(100.0 * count(c${i}) / count(*), 2) AS ${identifier(`${column} percent`)}`)}
FROM umzug_backfill_rows GROUP BY g ORDER BY g`,
    );
  for (const { index, query } of indexes) add(`Index use: ${index}`, `EXPLAIN QUERY PLAN ${endedSql(query)}`);
  if (timestamps)
    add(
      'Timestamps: range, and values that SQLite reads as none',
      `SELECT ${each((column, i) => `datetime(min(${julianDay(i)})) AS ${identifier(`${column} min`)}, datetime(max(${julianDay(i)})) AS ${identifier(`${column} max`)}, total(c${i} IS NOT NULL AND ${julianDay(i)} IS NULL) AS ${identifier(`${column} not ISO-8601`)}`)}
FROM umzug_backfill_rows`,
    );
  if (fallbacks.length > 0)
    add(
      'Timestamps: values that are those of their fallback',
      `SELECT ${fallbacks.map(({ column, i, fallback }) => `total(same${i} AND ${julianDay(i)} IS NOT NULL) AS ${identifier(`${column} from ${fallback}`)}`).join(', ')}
FROM umzug_backfill_rows`,
    );
  const at = (end: string | undefined): number => columns.findIndex((column) => column.name === end);
  const [from, to] = [at(lag?.from), at(lag?.to)];
  if (lag)
    add(
      `Timestamps: rows with an offset in one of ${lag.from} and ${lag.to}, and none in the other`,
      `SELECT total(${hasOffset(from)} <> ${hasOffset(to)}) AS mixed
FROM umzug_backfill_rows WHERE ${julianDay(from)} IS NOT NULL AND ${julianDay(to)} IS NOT NULL`,
    );
  add(
    'NULLs',
    `SELECT ${each((column, i) => `c${i} IS NULL AS ${identifier(`${column} is NULL`)}`, ', ')}, count(*) AS rows
FROM umzug_backfill_rows GROUP BY ${each((_, i) => `${i + 1}`, ', ')}`,
  );
  if (lag)
    add(
      `Lag: seconds from ${lag.from} to ${lag.to}`,
      `WITH lags AS (
  SELECT k, round((${julianDay(to)} - ${julianDay(from)}) * 86400, 3) AS seconds FROM umzug_backfill_rows
), ranked AS (
  SELECT seconds, row_number() OVER (ORDER BY seconds) AS rank, count(*) OVER () AS n FROM lags WHERE seconds IS NOT NULL
)
SELECT n AS count, min(seconds) FILTER (WHERE rank >= 0.5 * n) AS p50, min(seconds) FILTER (WHERE rank >= 0.95 * n) AS p95,
  min(seconds) FILTER (WHERE rank >= 0.99 * n) AS p99, max(seconds) AS max FROM ranked`,
    );
  add(
    'Integrity: runs that do not add up to their batches (no row is well)',
    `SELECT r.run, r.batches, count(b.number) AS recorded FROM ${T.ranges} AS r
LEFT JOIN ${T.batches} AS b ON b.backfill = r.backfill AND b.run = r.run AND b.range_number = r.number
WHERE r.backfill = ${literal(name)} GROUP BY r.run, r.number
HAVING r.batches <> count(b.number) OR r.cells_filled <> total(b.cells_filled)`,
  );
  for (const { title, query } of rules) add(`Rule: ${title}`, endedSql(query));

  const same = ({ column, i, fallback }: (typeof fallbacks)[number]): [string, string] => {
    const [cell, other] = [`t.${identifier(column)}`, `t.${identifier(fallback)}`];
    return [`same${i}`, `${cell} IS NOT NULL AND ${cell} IS ${other} COLLATE BINARY`];
  };
  const extra = {
    ...(groupBy === undefined ? {} : { g: `t.${identifier(groupBy)}` }),
    ...Object.fromEntries(fallbacks.map(same)),
  };
  const sql = `-- Verification of ${name.replaceAll(/\s+/g, ' ')}. Run it with: sqlite3 -readonly -header -column STORE < FILE
-- Texts that only umzug-backfill itself can judge count as unreadable here, and a few of their values as differing:
-- where these figures are not those of \`umzug-backfill verify\`, it is right.

CREATE TEMP VIEW umzug_backfill_rows AS
${plainDerivationSql(backfill, extra)};

${sections.join('\n\n')}

DROP VIEW temp.umzug_backfill_rows;`;
  return printable(sql, name);
}

/** julianday() would read a bare number as a Julian day. */
const julianDay = (i: number): string => `CASE WHEN c${i} LIKE '____-__-__%' THEN julianday(c${i}) END`;

/** The sign of an offset follows a `T` or a space. */
const hasOffset = (i: number): string => `(substr(c${i}, 12) GLOB '*[-+Z]*')`;

const PIECES =
  /(?<text>'(?:[^']|'')*')|(?<name>"(?:[^"]|"")*"|`(?:[^`]|``)*`|\[[^\]]*\])|(?<comment>--[^\n]*|\/\*[\s\S]*?\*\/)|[^'"`[/-]+|./gs;

/** Returns equivalent SQL without hidden characters other than line breaks: those in texts become calls of char(). */
function printable(sql: string, backfill: string): string {
  if (!hasHidden(sql.replaceAll('\n', ''))) return sql;
  return sql.replace(PIECES, (piece, ...found) => {
    const { text, name, comment } = found.at(-1) as Partial<Record<'text' | 'name' | 'comment', string>>;
    const lines = piece.split('\n');
    if (!lines.some(hasHidden)) return piece;
    if (comment !== undefined) return lines.map(visible).join('\n');
    if (text !== undefined) {
      const codes = (run: string): string => Array.from(run, (sign) => sign.codePointAt(0)).join();
      return `(${replaceHidden(text, (run) => `'||char(${codes(run)})||'`)})`;
    }
    const spaced = name === undefined ? lines.map((line) => line.replace(/[\t\f\r]/g, ' ')) : lines;
    if (!spaced.some(hasHidden)) return spaced.join('\n');
    throw new BackfillError(
      'USAGE',
      msg('The SQL of {name} cannot be printed: a name in it contains an invisible character', {
        name: backfill,
      }),
      msg('Run it without --print-sql: umzug-backfill verify'),
    );
  });
}
