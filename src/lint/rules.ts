import type { LintRule } from './parsed-step.js';
import { dataChangeInSqlStep, indexOnLargeTable, tableRebuild } from './rules/locks.js';
import { dropTableCascade, renameInUse, stringType } from './rules/misc.js';
import { newerSqlite } from './rules/newer-sqlite.js';
import { notNullWithoutDefault, refusedDefault, uniqueIndexOnRows } from './rules/populated-tables.js';
import { conditionalCreate, downMissing, notReversible } from './rules/reversibility.js';

/** All rules, in the order of their findings. docs/lint.md has a section for each. */
export const RULES: readonly LintRule[] = [
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
