import type Database from 'better-sqlite3';
import fc from 'fast-check';
import { payloadBytes, text } from './hostile-payloads.js';
import { targets } from './reference.js';

// Rows that are hard to read, of every type that SQLite lets a column have.

type Bound = string | number | Buffer | null;

const buffer = (bytes: string): Buffer => Buffer.from(bytes, 'latin1');

/** A row of `task_audits`, with what stands in both columns. */
export const hostileRow = fc.record({
  gap: fc.constantFrom(1, 1, 1, 2, 130),
  eventType: fc.oneof(
    { weight: 8, arbitrary: fc.constantFrom('SUPERVISOR_DECISION', 'supervisor_paused', 'X_SuperVisor_Y') },
    {
      weight: 2,
      arbitrary: fc.constantFrom('TASK_CREATED', 'SUPERVISIOR', '\u017fUPERVISOR', 'a\0SUPERVISOR', ''),
    },
  ),
  payload: fc.oneof(
    { weight: 30, arbitrary: payloadBytes.map(buffer) },
    { weight: 1, arbitrary: fc.constant(null) },
  ),
  isBlob: fc.nat(19).map((n) => n === 0),
  createdAt: fc.oneof<fc.Arbitrary<Bound>[]>(
    fc.constantFrom(
      null,
      '',
      ' ',
      '2026-01-20 10:00:00',
      '2026-01-20T10:00:00.000000Z',
      '0',
      '12.50',
      '年\0',
    ),
    fc.constantFrom(0, -0, 1.5, 1e300, 1768903200, Buffer.alloc(0), Buffer.from('ff00', 'hex')),
    fc.double(),
    text.map((value) => value.toWellFormed()),
  ),
  present: fc.tuple(
    ...([0, 1].map(() =>
      fc.oneof(
        { weight: 5, arbitrary: fc.constant(null) },
        { weight: 1, arbitrary: fc.constantFrom<Bound>('', 'stands', 0, 2.5, Buffer.from('00ff', 'hex')) },
      ),
    ) as [fc.Arbitrary<Bound>, fc.Arbitrary<Bound>]),
  ),
});

/** One that was drawn. */
export type HostileRow = typeof hostileRow extends fc.Arbitrary<infer Value> ? Value : never;

/** Writes rows from a key on, with gaps, into a table that has both columns. */
export function insertHostileRows(db: Database.Database, rows: readonly HostileRow[], firstKey: number) {
  const into = `INSERT INTO task_audits (audit_id, event_type, created_at, ${targets[0].column}, ${targets[1].column}, payload)`;
  const asText = db.prepare(`${into} VALUES (?, ?, ?, ?, ?, CAST(? AS TEXT))`);
  const asBlob = db.prepare(`${into} VALUES (?, ?, ?, ?, ?, ?)`);
  let key = firstKey;
  db.transaction(() => {
    for (const { gap, eventType, createdAt, present, payload, isBlob } of rows) {
      (isBlob ? asBlob : asText).run(key, eventType, createdAt, ...present, payload);
      key += gap;
    }
  })();
}
