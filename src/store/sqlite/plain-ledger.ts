import { BackfillError } from '../../errors.js';
import { LEDGER_DDL, LEDGER_TABLES } from '../../ledger/tables.js';
import { shellWord } from '../../shell.js';
import type { Store } from '../port.js';
import { foldCase, identifier, literal, normaliseSql, tokensOf } from '../sql.js';

/** Texts of the ledger's tables, normalised, by name. */
const TEXTS: ReadonlyMap<string, string> = new Map(
  [...LEDGER_DDL.matchAll(/^CREATE TABLE IF NOT EXISTS (\w+)([\s\S]*?\n\)(?: WITHOUT ROWID)?);$/gm)].map(
    ([, name = '', rest = '']) => [name, normaliseSql(`CREATE TABLE ${name}${rest}`)],
  ),
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
  if (tables.includes(owner)) return type === 'index' && sql === null; // of a primary key
  // A foreign key to the ledger has actions, and those fire triggers.
  return ![...tokensOf(sql ?? '')].some((token) => tables.includes(token.replace(/^["'`[]|["'`\]]$/g, '')));
}
