import { foldCase } from '../../db/sql.js';
import { type Found, type LintedStep, type Rule, rebuiltTables } from '../linted-step.js';
import type { Deed, Statement } from '../statement.js';
import { nameOf } from '../tokens.js';

/** A step that can not be reverted. */
export const downMissing: Rule = {
  name: 'down-missing',
  async check({ up, down }) {
    const instead = 'Give it a `down` that takes back what `up` does';
    if (down === undefined)
      return [{ message: 'Has no `down`, so that nobody can go back behind this step', instead }];
    const changes = up.some(({ deed, tokens }) => deed.kind !== 'other' || tokens[0]?.text === 'ALTER');
    return down.length === 0 && changes
      ? [{ message: 'Has an empty `down`: the step would count as reverted, and nothing would be', instead }]
      : [];
  },
};

/** What `up` destroys and no `down` can bring back. */
export const notReversible: Rule = {
  name: 'not-reversible',
  check: async (step) =>
    step.up.flatMap((statement): Found[] => {
      const loss = lossOf(step, statement);
      if (loss === undefined || isBroughtBack(step, loss.table)) return [];
      return [
        {
          message: `${loss.what}, which no \`down\` brings back`,
          instead:
            'Keep the old values in a table that the step makes and `down` reads; or fill a new column with defineBackfill(), whose `down` is exact',
          statement,
        },
      ];
    }),
};

/** What a statement loses, and of which table. */
function lossOf(step: LintedStep, { deed }: Statement): { what: string; table: string } | undefined {
  const { made } = step;
  switch (deed.kind) {
    case 'drop': {
      const isGone = deed.what === 'TABLE' && !made.has(deed.name);
      if (!isGone || [...rebuiltTables(step).values()].includes(deed.name)) return undefined;
      return { what: `Drops the table ${deed.name} with its rows`, table: deed.name };
    }
    case 'drop-column':
      if (made.has(deed.table) || isOwnColumn(step, deed.table, deed.name)) return undefined;
      return { what: `Drops the column ${deed.name} of ${deed.table} with its values`, table: deed.table };
    case 'delete':
      if (made.has(deed.table)) return undefined;
      return { what: `Deletes rows of ${deed.table}`, table: deed.table };
    case 'update':
      if (made.has(deed.table) || deed.columns.every((name) => isOwnColumn(step, deed.table, name)))
        return undefined;
      return { what: `Overwrites values of ${deed.table}`, table: deed.table };
    case 'insert':
      if (!deed.replaces || made.has(deed.table)) return undefined;
      return { what: `Overwrites rows of ${deed.table}`, table: deed.table };
    default:
      return undefined;
  }
}

/** Whether the step itself adds this column. */
const isOwnColumn = ({ up }: LintedStep, table: string, name: string): boolean =>
  up.some(({ deed }) => deed.kind === 'add-column' && deed.table === table && deed.name === name);

/** Whether `up` keeps what stood in a table in one of its own, and `down` writes that back. */
function isBroughtBack({ up, down, made }: LintedStep, table: string): boolean {
  const keepers = up.flatMap(({ deed }) => {
    const isCopy = (deed.kind === 'create-table' || deed.kind === 'insert') && deed.reads.includes(table);
    const keeper = isCopy ? targetOf(deed) : undefined;
    return keeper !== undefined && made.has(keeper) ? [keeper] : [];
  });
  return (down ?? []).some(
    ({ deed, tokens }) =>
      targetOf(deed) === table && tokens.some((token) => keepers.includes(foldCase(nameOf(token) ?? ''))),
  );
}

/** The table that a statement gives rows, values or its name to. */
function targetOf(deed: Deed): string | undefined {
  switch (deed.kind) {
    case 'create-table':
      return deed.name;
    case 'insert':
    case 'update':
      return deed.table;
    case 'rename-table':
      return deed.to;
    default:
      return undefined;
  }
}

/** What may have stood before, and is dropped by `down`. */
export const conditionalCreate: Rule = {
  name: 'conditional-create',
  async check({ up, down }) {
    const dropped = (down ?? []).flatMap(({ deed }) => (deed.kind === 'drop' ? [deed.name] : []));
    return up.flatMap((statement): Found[] => {
      const { deed } = statement;
      const isConditional = 'isConditional' in deed && deed.isConditional;
      if (!isConditional || !dropped.includes(deed.name)) return [];
      return [
        {
          message: `Makes ${deed.name} only if it is not there, and \`down\` drops it even if it was there before`,
          instead: 'Leave IF NOT EXISTS out: no step runs twice',
          statement,
        },
      ];
    });
  },
};
