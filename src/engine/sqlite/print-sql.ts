import { endedSql, identifier, literal } from '../../db/sql.js';
import { BackfillError } from '../../errors.js';
import { LEDGER_TABLES as T } from '../../ledger/tables.js';
import type { Backfill } from '../../steps/define.js';
import { fallbackOf } from '../../steps/values.js';
import { hasHidden, replaceHidden, visible } from '../../visible.js';
import { plainDerivationSql } from './derive.js';

/**
 * The checks as plain SQL for the sqlite3 shell (3.38 or newer), without our functions: texts that only our reader can
 * judge count as unreadable there, and are counted apart. Strings beyond plain ASCII and the text of fractions are judged
 * less strictly, since they depend on the shell's version.
 *
 * @throws {BackfillError} `USAGE` if a name holds a control character or another that cannot be seen: SQL has no escape for it
 */
export function verificationSql(backfill: Backfill): string {
  const { checks, columns, name } = backfill;
  const fallbacks = columns.flatMap(({ name: column, value }, i) => {
    const fallback = fallbackOf(value);
    return fallback !== undefined && checks.areTimestamps ? [{ column, i, fallback }] : [];
  });
  const extra = Object.fromEntries([
    ...(checks.groupBy === undefined ? [] : [['g', `t.${identifier(checks.groupBy)}`]]),
    ...fallbacks.map(({ column, i, fallback }) => [
      `same${i}`,
      `t.${identifier(column)} IS NOT NULL AND t.${identifier(column)} IS t.${identifier(fallback)} COLLATE BINARY`,
    ]),
  ]);
  const each = (sql: (column: string, i: number) => string): string =>
    columns.map((column, i) => sql(column.name, i)).join(',\n  ');
  const label = (text: string): string => identifier(text);
  const sections: (readonly [title: string, sql: string])[] = [
    [
      'Coverage: filled, fillable though NULL, and without a value to derive',
      `SELECT count(*) AS rows_in_scope, total(failure IS NOT NULL) AS unreadable_or_rare,
  ${each((column, i) => `count(c${i}) AS ${label(`${column} filled`)}, total(c${i} IS NULL AND v${i} IS NOT NULL) AS ${label(`${column} fillable`)}`)}
FROM umzug_backfill_rows;`,
    ],
    [
      'Consistency: cells that hold something else than their row derives',
      `SELECT ${each((column, i) => `total(failure IS NULL AND c${i} IS NOT NULL AND c${i} IS NOT v${i} COLLATE BINARY) AS ${label(`${column} differs`)}`)}
FROM umzug_backfill_rows;
SELECT k AS sample_key FROM umzug_backfill_rows
WHERE failure IS NULL AND (${columns.map((_, i) => `c${i} IS NOT NULL AND c${i} IS NOT v${i} COLLATE BINARY`).join(' OR ')}) LIMIT 10;`,
    ],
    ...(checks.groupBy === undefined
      ? []
      : [
          [
            `By ${checks.groupBy}`,
            `SELECT g, count(*) AS total,
  ${each((column, i) => `count(c${i}) AS ${label(column)}, round(100.0 * count(c${i}) / count(*), 2) AS ${label(`${column} percent`)}`)}
FROM umzug_backfill_rows GROUP BY g ORDER BY g;`,
          ] as const,
        ]),
    ...(checks.indexes ?? []).map(
      ({ index, query }) => [`Index use: ${index}`, `EXPLAIN QUERY PLAN ${endedSql(query)};`] as const,
    ),
    ...(checks.areTimestamps
      ? [
          [
            'Timestamps: range, and values that SQLite reads as none',
            `SELECT ${each((column, i) => `datetime(min(${julianDay(i)})) AS ${label(`${column} min`)}, datetime(max(${julianDay(i)})) AS ${label(`${column} max`)}, total(c${i} IS NOT NULL AND ${julianDay(i)} IS NULL) AS ${label(`${column} not ISO-8601`)}`)}
FROM umzug_backfill_rows;`,
          ] as const,
        ]
      : []),
    ...(fallbacks.length === 0
      ? []
      : [
          [
            'Timestamps: values that are those of their fallback',
            `SELECT ${fallbacks.map(({ column, i, fallback }) => `total(same${i} AND ${julianDay(i)} IS NOT NULL) AS ${label(`${column} from ${fallback}`)}`).join(', ')}
FROM umzug_backfill_rows;`,
          ] as const,
        ]),
    ...offsetsSql(backfill),
    [
      'NULLs',
      `SELECT ${columns.map(({ name: column }, i) => `c${i} IS NULL AS ${label(`${column} is NULL`)}`).join(', ')}, count(*) AS rows
FROM umzug_backfill_rows GROUP BY ${columns.map((_, i) => i + 1).join(', ')};`,
    ],
    ...lagSql(backfill),
    [
      'Integrity: runs that do not add up to their batches (no row is well)',
      `SELECT r.run, r.batches, count(b.number) AS recorded FROM ${T.ranges} AS r
LEFT JOIN ${T.batches} AS b ON b.backfill = r.backfill AND b.run = r.run AND b.range_number = r.number
WHERE r.backfill = ${literal(name)} GROUP BY r.run, r.number
HAVING r.batches <> count(b.number) OR r.cells_filled <> total(b.cells_filled);`,
    ],
  ];
  const own = (checks.rules ?? []).map(
    ({ title, query }) => [`Rule: ${title}`, `${endedSql(query)};`] as const,
  );
  const view = `CREATE TEMP VIEW umzug_backfill_rows AS
${plainDerivationSql(backfill, extra)};`;
  const sql = [
    `-- Verification of ${name.replaceAll(/\s+/g, ' ')}. Run it with: sqlite3 -readonly -header -column STORE < FILE
-- Texts that only umzug-backfill itself can judge count as unreadable here, and a few of their values as differing:
-- where these figures are not those of \`umzug-backfill verify\`, it is right.`,
    view,
    // A name may have several lines, a comment has one.
    ...[...sections, ...own].map(([title, sql], i) => {
      const heading = `${i + 1}. ${title.replaceAll(/\s+/g, ' ')}`;
      return `-- ${heading}\nSELECT ${literal(heading)} AS "check";\n${sql}`;
    }),
    'DROP VIEW temp.umzug_backfill_rows;',
  ].join('\n\n');
  return printable(sql, name);
}

const PIECES =
  /(?<text>'(?:[^']|'')*')|(?<name>"(?:[^"]|"")*"|`(?:[^`]|``)*`|\[[^\]]*\])|(?<comment>--[^\n]*|\/\*[\s\S]*?\*\/)|[^'"`[/-]+|./gs;

/** SQL that means the same and has no hidden characters but line breaks: those of a text become calls of char(). */
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
      `The SQL of ${backfill} can not be printed: a name in it holds a character that can not be seen`,
      'Run it without: umzug-backfill verify',
    );
  });
}

/** julianday() would read a bare number as a Julian day. */
const julianDay = (i: number): string => `CASE WHEN c${i} LIKE '____-__-__%' THEN julianday(c${i}) END`;

/** A `T`, or a space, stands before the sign of an offset. */
const hasOffset = (i: number): string => `(substr(c${i}, 12) GLOB '*[-+Z]*')`;

function offsetsSql({ checks, columns }: Backfill): (readonly [string, string])[] {
  if (!checks.lag) return [];
  const [from, to] = [checks.lag.from, checks.lag.to].map((name) =>
    columns.findIndex((column) => column.name === name),
  ) as [number, number];
  return [
    [
      `Timestamps: rows with an offset in one of ${checks.lag.from} and ${checks.lag.to}, and none in the other`,
      `SELECT total(${hasOffset(from)} <> ${hasOffset(to)}) AS mixed
FROM umzug_backfill_rows WHERE ${julianDay(from)} IS NOT NULL AND ${julianDay(to)} IS NOT NULL;`,
    ],
  ];
}

function lagSql({ checks, columns }: Backfill): (readonly [string, string])[] {
  if (!checks.lag) return [];
  const at = (name: string): string => julianDay(columns.findIndex((column) => column.name === name));
  return [
    [
      `Lag: seconds from ${checks.lag.from} to ${checks.lag.to}`,
      `WITH lags AS (
  SELECT k, round((${at(checks.lag.to)} - ${at(checks.lag.from)}) * 86400, 3) AS seconds FROM umzug_backfill_rows
), ranked AS (
  SELECT seconds, row_number() OVER (ORDER BY seconds) AS rank, count(*) OVER () AS n FROM lags WHERE seconds IS NOT NULL
)
SELECT n AS count, min(seconds) FILTER (WHERE rank >= 0.5 * n) AS p50, min(seconds) FILTER (WHERE rank >= 0.95 * n) AS p95,
  min(seconds) FILTER (WHERE rank >= 0.99 * n) AS p99, max(seconds) AS max FROM ranked;`,
    ],
  ];
}
