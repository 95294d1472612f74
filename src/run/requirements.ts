import type { StoreRequirements } from '../config.js';
import type { Store } from '../db/connection.js';
import { absentColumns, declaredVersion, hasTable, storeVersion } from '../engine/inspect.js';
import { BackfillError } from '../errors.js';
import { shellWord } from '../shell.js';
import { compareVersions } from '../version.js';

/**
 * Refuses a store that lacks what the project's config requires.
 *
 * @throws {BackfillError} `TABLE_MISSING`, `COLUMN_MISSING`, `VERSION_MISSING`, `VERSION_UNREADABLE`, `VERSION_TOO_OLD`
 */
export async function checkRequirements(store: Store, requires: StoreRequirements): Promise<void> {
  if (requires.version) {
    const { text, version } = await storeVersion(store, requires.version);
    if (compareVersions(version, declaredVersion(requires.version.atLeast)) < 0) {
      throw new BackfillError(
        'VERSION_TOO_OLD',
        `The store is at version ${text}; at least ${requires.version.atLeast} is needed`,
        `Bring it to ${requires.version.atLeast} with the application first`,
      );
    }
  }
  for (const [table, columns] of Object.entries(requires.tables ?? {})) {
    if (!(await hasTable(store, table))) {
      throw new BackfillError(
        'TABLE_MISSING',
        `The store has no table ${table}`,
        'Give the path of a store that the application has made: --db-path /path/to/store.db',
      );
    }
    const absent = await absentColumns(store, table, columns);
    if (absent.size > 0) {
      throw new BackfillError(
        'COLUMN_MISSING',
        `The table ${table} has no column ${[...absent].join(', ')}`,
        `Look at it with: sqlite3 STORE ${shellWord(`.schema ${table}`)}`,
      );
    }
  }
}
