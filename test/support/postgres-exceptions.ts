import { expect } from 'chai';
import type pg from 'pg';
import type { PgForm } from './postgres-stores.js';
import {
  type Cells,
  deriveRow,
  type JsonValue,
  readAudits,
  readJson,
  type StoredValue,
  storedValue,
  targets,
} from './reference.js';
import { asAgentOs, query } from './stores.js';

/**
 * Where PostgreSQL's stores have another answer than a SQLite store with the same rows, one function for each. Everything else is the
 * same to the byte.
 */

/** `created_at` as a time: it is written as ISO-8601 with microseconds, in UTC where the type knows the instant; infinity is no value. */
export async function timesAreIso(twin: string, client: pg.ClientBase, { createdAt }: PgForm): Promise<void> {
  if (createdAt === undefined || createdAt === 'text') return;
  const { rows } = await client.query<{ key: string; micros: string | null }>(
    `SELECT audit_id::text AS key, CASE WHEN isfinite(created_at)
      THEN (extract(epoch FROM created_at) * 1000000)::int8::text END AS micros
    FROM task_audits WHERE created_at IS NOT NULL`,
  );
  const iso = (micros: string | null): string | null => {
    if (micros === null) return null;
    const [seconds, rest] = [BigInt(micros) / 1_000_000n, BigInt(micros) % 1_000_000n];
    const whole = new Date(Number(seconds) * 1_000).toISOString().slice(0, 19);
    return `${whole}.${String(rest).padStart(6, '0')}${createdAt === 'timestamptz' ? 'Z' : ''}`;
  };
  rewrite(twin, 'created_at', new Map(rows.map(({ key, micros }) => [key, iso(micros)])));
}

/**
 * A jsonb column has read its documents when they were written: of a name given twice it has the last, and no depth is too deep. Only
 * rows with either are touched.
 */
export async function jsonbHasRead(twin: string, client: pg.ClientBase, { payload }: PgForm): Promise<void> {
  if (payload !== 'jsonb') return;
  const twice = twiceNamed(twin);
  const suspects = [...readAudits(twin)].filter(
    ({ key, payload: text }) => twice.has(key) || isTooDeep(text),
  );
  const { rows } = await client.query<{ key: string; flat: string }>(
    // What of it can matter: the top level.
    `SELECT audit_id::text AS key, CASE jsonb_typeof(payload) WHEN 'object' THEN (SELECT coalesce(jsonb_object_agg(name,
        CASE WHEN jsonb_typeof(value) IN ('object', 'array') THEN '[]' ELSE value END), '{}') FROM jsonb_each(payload) AS e (name, value))::text
      ELSE 'null' END AS flat FROM task_audits WHERE audit_id = ANY ($1::int8[])`,
    [suspects.map(({ key }) => key)],
  );
  rewrite(twin, 'payload', new Map(rows.map(({ key, flat }) => [key, flat])));
}

/** Whether it is deeper than is read: it was let into the column, so nothing else can be wrong with it. */
const isTooDeep = ({ bytes }: StoredValue): boolean => bytes.length > 0 && readJson(bytes) === undefined;

/** Keys of the rows whose document has a name twice at its top level. */
const twiceNamed = (twin: string): Set<string> =>
  new Set(
    query(
      twin,
      `SELECT CAST(audit_id AS TEXT) FROM task_audits WHERE CASE WHEN json_valid(payload) AND json_type(payload) = 'object'
        THEN (SELECT count(*) <> count(DISTINCT key) FROM json_each(payload)) END`,
    ),
  );

/** A number's text, in cells that the oracle has derived, is PostgreSQL's own: `1.50` stays, and `1e5` is 100000. */
export async function numbersAreNumeric(
  twin: string,
  client: pg.ClientBase,
  cells: ReadonlyMap<string, Cells>,
  isDerived: (key: string, i: number) => boolean,
): Promise<Map<string, Cells>> {
  const found = [...readAudits(twin)].flatMap(({ key, payload }) =>
    targets.flatMap(({ names }, i) => {
      const token = isDerived(key, i) ? decidingNumber(payload, names) : undefined;
      return token === undefined ? [] : [{ key, i, token }];
    }),
  );
  const { rows } = await client.query<{ text: string }>(
    'SELECT token::numeric::text AS text FROM unnest($1::text[]) WITH ORDINALITY AS t (token, n) ORDER BY n',
    [found.map(({ token }) => token)],
  );
  const changed = new Map([...cells].map(([key, row]) => [key, [...row] as [string | null, string | null]]));
  found.forEach(({ key, i, token }, n) => {
    const [text = '', row] = [rows[n]?.text, changed.get(key)];
    expect(Number(text), `the number ${token}, as PostgreSQL writes it`).to.equal(Number(token));
    if (row) row[i as 0 | 1] = text;
  });
  return changed;
}

/** The number that decides a column, as it is written; undefined where something else does. */
function decidingNumber(payload: StoredValue, names: readonly string[]): string | undefined {
  if (payload.type !== 'text' || !payload.bytes.includes('{')) return undefined;
  const document = readJson(payload.bytes);
  if (document?.kind !== 'object') return undefined;
  const member = names.map((name) => document.members.get(name)).find(isUsable);
  return member?.kind === 'number' ? member.token : undefined;
}

/** Whether the oracle takes a value, were it the only one. */
function isUsable(value: JsonValue | undefined): value is JsonValue {
  if (value?.kind === 'string') return value.text !== null && value.text !== '' && !value.text.includes('\0');
  if (value?.kind !== 'number') return false;
  const alone = storedValue(`{"${targets[0].names[0]}":${value.token}}`);
  return deriveRow({ payload: alone, createdAt: storedValue(null) })[0].kind === 'text';
}

function rewrite(twin: string, column: string, values: ReadonlyMap<string, string | null>): void {
  asAgentOs(twin, (db) => {
    const update = db.prepare(`UPDATE task_audits SET ${column} = ? WHERE audit_id = ?`);
    db.transaction(() => {
      for (const [key, value] of values) update.run(value, BigInt(key));
    })();
  });
}
