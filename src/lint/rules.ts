import type { Rule } from './linted-step.js';
import { dataChangeInSqlStep, indexOnLargeTable, tableRebuild } from './rules/locks.js';
import { newerSqlite } from './rules/newer-sqlite.js';
import { dropTableCascade, renameInUse, stringType } from './rules/others.js';
import { notNullWithoutDefault, refusedDefault, uniqueIndexOnRows } from './rules/refused.js';
import { conditionalCreate, downMissing, notReversible } from './rules/reversal.js';

/** Every rule, in the order in which findings are told. docs/lint.md has a section of each; a test holds the two together. */
export const RULES: readonly Rule[] = [
  tableRebuild,
  indexOnLargeTable,
  dataChangeInSqlStep,
  notNullWithoutDefault,
  refusedDefault,
  uniqueIndexOnRows,
  downMissing,
  notReversible,
  conditionalCreate,
  dropTableCascade,
  renameInUse,
  stringType,
  newerSqlite,
];
