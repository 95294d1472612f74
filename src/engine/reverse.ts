import { identifier } from '../db/sql.js';
import type { CreatedObject } from '../ledger/records.js';
import { dropColumnSql, type SchemaStepDefinition } from '../steps/schema-step.js';

/** What drops the objects of a step, in the order in which `down` does: indexes first, as a column in use stays. */
export function reverseStatements(step: SchemaStepDefinition, objects: readonly CreatedObject[]): string[] {
  const named = (kind: string): string[] =>
    objects.filter((object) => object.kind === kind).map(({ name }) => name);
  return [
    ...named('index').map((name) => `DROP INDEX ${identifier(name)}`),
    ...named('column').map((name) => dropColumnSql(step, name)),
  ];
}
