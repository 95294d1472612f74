import type { State } from './expect-same.js';
import { LEDGER_TABLES } from './ledger.js';
import { asAgentOs, dumpStore } from './stores.js';

/** Journal mode of a store. */
export const journalMode = (path: string): string =>
  asAgentOs(path, (db) => String(db.pragma('journal_mode', { simple: true })));

/** All that a store holds, exact to type and bytes, the ledger, its schema and its journal mode included. */
export function stateOf(path: string): State {
  const { schema, tables } = dumpStore(path);
  return {
    'the journal mode': [journalMode(path)],
    'the schema': schema.map((row) => JSON.stringify(row)),
    ...tables,
  };
}

/** The same, as a backup has it: those are in rollback mode. */
export const asBackup = (state: State): State => ({ ...state, 'the journal mode': ['delete'] });

/** Columns of the ledger that no two runs write alike. */
const MOMENTARY =
  /^(?:duration_ms|backup|path|sha256|(?:started|applied|filled|committed|verified|begun)_at)=/;

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
