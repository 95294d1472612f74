import { planSchemaStep } from '../engine/schema-plan.js';
import { BackfillError } from '../errors.js';
import { msg } from '../messages/message.js';
import { shellWord } from '../shell.js';
import type { SchemaStepDefinition } from '../steps/schema-step.js';
import type { Step } from '../steps/step.js';
import type { MigratorOptions, Session } from './session.js';

/**
 * Refuses schema steps that would write the version table of a file, where that fires triggers that nobody has agreed to.
 *
 * @throws {BackfillError} `TRIGGERS_WOULD_FIRE` listing them
 */
export async function refuseVersionTriggers(
  { store, ledger }: Session,
  steps: readonly Step[],
  direction: 'up' | 'down',
  { allowTriggers = false, onEvent }: Pick<MigratorOptions, 'allowTriggers' | 'onEvent'>,
): Promise<void> {
  if (!store.files) return; // a server's has an author whom its owner trusts
  for (const step of steps) {
    if (step.kind !== 'schema' || !step.version) continue;
    const { table } = step.version;
    const triggers = await store.pluck<string>(
      `SELECT name FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = ? COLLATE NOCASE ORDER BY name`,
      table,
    );
    const writes = async (schema: Step & SchemaStepDefinition): Promise<boolean> =>
      (direction === 'up'
        ? (await planSchemaStep(store, schema)).first.map(({ creates }) => creates)
        : await ledger.objects(schema.name)
      ).some(({ kind }) => kind === 'version');
    if (triggers.length === 0 || !(await writes(step))) continue;
    const text = `Each version that is written to ${table} or removed from it may fire ${triggers.length > 1 ? 'the triggers' : 'the trigger'} ${triggers.join(', ')}`;
    agreeToTriggers(text, table, { allowTriggers, onEvent });
  }
}

/**
 * Refuses that triggers fire, unless that was agreed to: then it is a warning.
 *
 * @throws {BackfillError} `TRIGGERS_WOULD_FIRE`
 */
export function agreeToTriggers(
  text: string,
  table: string,
  { allowTriggers, onEvent }: Pick<MigratorOptions, 'allowTriggers' | 'onEvent'>,
): void {
  if (!allowTriggers) {
    throw new BackfillError(
      'TRIGGERS_WOULD_FIRE',
      text,
      msg(
        'Look at what they do: sqlite3 STORE {command}; if they may run for every row that is updated, run it again with --allow-triggers',
        { command: shellWord(`.schema ${table}`) },
      ),
    );
  }
  onEvent?.({ event: 'warning', text });
}
