import { createHash } from 'node:crypto';
import { type BackfillDefinition, backfillEssence } from './define.js';
import { type RequireStepDefinition, requireStepEssence } from './require-step.js';
import { type SchemaStepDefinition, schemaStepEssence } from './schema-step.js';
import { type SqlStepDefinition, sqlStepEssence } from './sql-step.js';

/** What a step file exports by default. */
export type StepDefinition =
  | BackfillDefinition
  | SchemaStepDefinition
  | SqlStepDefinition
  | RequireStepDefinition;

/** A step with the name that its file gives it. */
export type Step = StepDefinition & {
  /** File name without its extension, so that source and compiled file are one step. */
  readonly name: string;
  /** Absolute path of the file it was loaded from. */
  readonly path: string;
};

/** Returns the step that a definition is, for one project: others may have the same definition, and run at the same time. */
export function stepOf(definition: StepDefinition, name: string, path: string): Step {
  return definition.kind === 'backfill' && definition.process
    ? { ...definition, process: { ...definition.process }, name, path }
    : { ...definition, name, path };
}

/** Whether the step can be reverted. */
export function hasDown(step: StepDefinition): boolean {
  return step.kind !== 'sql' || step.down !== undefined;
}

/**
 * SHA-256, in hex, of what of a step decides its result: its normalised declaration and SQL, never the file's bytes,
 * which a formatter or a compiler changes.
 */
export function fingerprint(step: StepDefinition): string {
  return createHash('sha256')
    .update(JSON.stringify(essence(step)))
    .digest('hex');
}

function essence(step: StepDefinition): unknown {
  switch (step.kind) {
    case 'backfill':
      return backfillEssence(step);
    case 'schema':
      return schemaStepEssence(step);
    case 'sql':
      return sqlStepEssence(step);
    case 'require':
      return requireStepEssence(step);
  }
}
