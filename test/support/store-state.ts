import { LEDGER_TABLES } from './ledger.js';
import { asAgentOs, dumpStore } from './stores.js';

/** All that a store holds, by table, and under names of their own its journal mode and its schema. */
export type State = Readonly<Record<string, readonly string[]>>;

/** Journal mode of a store. */
export const journalMode = (path: string): string =>
  asAgentOs(path, (db) => String(db.pragma('journal_mode', { simple: true })));

/** Reads everything, the ledger included, exact to type and bytes. */
export function stateOf(path: string): State {
  const { schema, tables } = dumpStore(path);
  return {
    'the journal mode': [journalMode(path)],
    'the schema': schema.map((row) => JSON.stringify(row)),
    ...tables,
  };
}

/** Columns of the ledger that no two runs write alike. */
const MOMENTARY = /^(?:duration_ms|backup|(?:started|applied|filled|committed|verified|begun)_at)=/;

/** The version that the schema step writes, as a dump has it. */
const NEW_VERSION = `version=text:${Buffer.from('0.21.0').toString('hex').toUpperCase()} `;

/** The same without the times of a run, so that two runs can be compared. */
export function lasting(state: State): State {
  return Object.fromEntries(
    Object.entries(state).map(([table, rows]) => {
      const isMomentary = (row: string): boolean =>
        LEDGER_TABLES.includes(table) || (table === 'schema_version' && row.includes(NEW_VERSION));
      const strip = (row: string): string =>
        row
          .split(' ')
          .filter((cell) => !MOMENTARY.test(cell))
          .join(' ');
      return [table, rows.map((row) => (isMomentary(row) ? strip(row) : row))];
    }),
  );
}

/** Where two states differ, a line for each table: an assertion on the whole would print both. */
export function differences(actual: State, expected: State): string[] {
  const names = [...new Set([...Object.keys(actual), ...Object.keys(expected)])];
  return names.flatMap((name) => {
    const [rows, wanted] = [actual[name] ?? ['(absent)'], expected[name] ?? ['(absent)']];
    const length = Math.max(rows.length, wanted.length);
    const at = Array.from({ length }, (_, i) => i).find((i) => rows[i] !== wanted[i]);
    if (at === undefined) return [];
    const short = (row = '(none)'): string => (row.length > 400 ? `${row.slice(0, 400)} …` : row);
    return [`${name}, row ${at + 1}: ${short(rows[at])}, not ${short(wanted[at])}`];
  });
}
