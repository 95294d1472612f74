import { resolve } from 'node:path';
import { BackfillError } from '../errors.js';
import { msg } from '../messages/message.js';
import type { TrustsCode } from '../steps/load.js';
import { hasControlCharacter, isDefinition, loadSteps, orderSteps } from '../steps/load.js';
import { type Step, type StepDefinition, stepOf } from '../steps/step.js';

/** Where steps come from: a folder with a file for each, or the definitions themselves by name. */
export type StepSource = string | Readonly<Record<string, StepDefinition>>;

/**
 * Refuses sources that can hold no steps, before any folder is read.
 *
 * @throws {BackfillError} `CONFIG_INVALID` naming the option, or the step
 */
export function checkSources(
  given: StepSource | readonly StepSource[] | undefined,
  option: string,
  what: string,
): readonly StepSource[] {
  const sources: readonly unknown[] = given === undefined ? [] : Array.isArray(given) ? given : [given];
  for (const source of sources) {
    if (typeof source === 'string' && source.trim() !== '') continue;
    if (typeof source !== 'object' || source === null) {
      throw new BackfillError(
        'CONFIG_INVALID',
        msg('Expected `{option}` in {what} to be a folder or steps by name, got `{value}`', {
          option,
          what,
          value: String(source),
        }),
        msg("Write {option}: 'FOLDER', or {same}: { NAME: defineBackfill({ … }) }", { option, same: option }),
      );
    }
    for (const [name, definition] of Object.entries(source)) checkStep(name, definition, option, what);
  }
  return sources as readonly StepSource[];
}

function checkStep(name: string, definition: unknown, option: string, what: string): void {
  if (name !== '' && !hasControlCharacter(name) && isDefinition(definition)) return;
  throw new BackfillError(
    'CONFIG_INVALID',
    msg(
      'The step {name} of `{option}` in {what} is not made by one of the define functions, or has no name of one line',
      { name: JSON.stringify(name), option, what },
    ),
    msg(
      'Write {option}: { NAME: defineBackfill({ … }) }, with defineSchemaStep(), defineSqlStep() or requireBackfill(NAME) alike',
      { option },
    ),
  );
}

/** Loads the steps of all sources, in one list by name. Throws as `loadSteps`. */
export async function loadSources(
  sources: readonly StepSource[],
  folder: string,
  trust: TrustsCode,
): Promise<Step[]> {
  const folders = sources.filter((source) => typeof source === 'string');
  const named = sources.flatMap((source) => (typeof source === 'string' ? [] : Object.entries(source)));
  return orderSteps([
    ...(await loadSteps(
      folders.map((name) => resolve(folder, name)),
      trust,
    )),
    ...named.map(([name, definition]) => stepOf(definition, name, 'createMigrator()')),
  ]);
}
