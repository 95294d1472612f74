import type { Store } from '../../db/connection.js';
import { foldCase, identifier, literal, normaliseSql, tokensOf } from '../../db/sql.js';
import { BackfillError } from '../../errors.js';
import { LEDGER_DROP, LEDGER_TABLES, ledgerDdl, SQLITE_TYPES } from '../../ledger/tables.js';
import { shellWord } from '../../shell.js';
import type { LedgerDialect } from '../dialect.js';

const DDL = ledgerDdl(SQLITE_TYPES);

/** The ledger, as far as it is SQLite's own: one process writes at a time. */
export const SQLITE_LEDGER: LedgerDialect = {
  make: async (store) => await store.exec(DDL),
  drop: async (store) => await store.exec(LEDGER_DROP),
  keyOrder: 'key',
  isShared: false,
  skipLocked: '',
  batchTables: [],
  nextBatch: async (_, behindLast) => await behindLast(),
  claimHolder: async () => undefined,
};

/** Texts of the ledger's tables and indexes, normalised, by name. */
const TEXTS: ReadonlyMap<string, string> = new Map(
  [
    ...DDL.matchAll(
      /^CREATE (TABLE|INDEX) IF NOT EXISTS (\w+)((?: ON .*|[\s\S]*?\n)\)(?: WITHOUT ROWID)?);/gm,
    ),
  ].map(([, kind = '', name = '', rest = '']) => [name, normaliseSql(`CREATE ${kind} ${name}${rest}`)]),
);

interface Entry {
  readonly type: string;
  readonly name: string;
  readonly tbl_name: string;
  readonly sql: string | null;
}

/**
 * Refuses a store in which something else than this program's own tables goes by the ledger's names, or acts when they are written: it
 * would run SQL of whoever wrote the file whenever the ledger is read or written.
 *
 * @param tables those to look at. Default: all
 * @throws {BackfillError} `LEDGER_UNTRUSTED` naming the object
 */
export async function checkLedger(
  store: Store,
  tables: readonly string[] = Object.values(LEDGER_TABLES),
): Promise<void> {
  const names = tables.map(literal).join(', ');
  const entries = await store.all<Entry>(
    `SELECT type, name, tbl_name, sql FROM sqlite_schema
    WHERE name COLLATE NOCASE IN (${names}) OR tbl_name COLLATE NOCASE IN (${names})
      OR (type = 'table' AND sql LIKE '%umzug\\_backfill\\_%' ESCAPE '\\')`,
  );
  const strange = entries.find((entry) => !isPlain(entry, tables));
  if (!strange) return;
  const { type, name } = strange;
  throw new BackfillError(
    'LEDGER_UNTRUSTED',
    `The ${type} ${name} is not part of the ledger as this program makes it, and would act when that is read or written`,
    tables.includes(foldCase(name))
      ? 'Restore a backup that you trust: umzug-backfill restore FILE; nothing was changed'
      : `If you know it, drop it: sqlite3 STORE ${shellWord(`DROP ${type.toUpperCase()} ${identifier(name)}`)}; else restore a backup that you trust: umzug-backfill restore FILE; nothing was changed`,
  );
}

function isPlain({ type, name, tbl_name, sql }: Entry, tables: readonly string[]): boolean {
  const [own, owner] = [foldCase(name), foldCase(tbl_name)];
  if (tables.includes(own)) return type === 'table' && normaliseSql(sql ?? '') === TEXTS.get(own);
  // Of a primary key, or ours.
  if (tables.includes(owner))
    return type === 'index' && (sql === null || normaliseSql(sql) === TEXTS.get(own));
  // A foreign key to the ledger has actions, and those fire triggers.
  return ![...tokensOf(sql ?? '')].some((token) => tables.includes(token.replace(/^["'`[]|["'`\]]$/g, '')));
}
