import { warning } from '../engine/run-options.js';
import { planSchemaStep } from '../engine/schema.js';
import { BackfillError } from '../errors.js';
import { type Message, msg } from '../messages/message.js';
import { shellWord } from '../shell.js';
import type { Step } from '../steps/step.js';
import type { MigratorOptions } from './options.js';
import { isBackfill, type Session } from './session.js';

/**
 * Refuses steps whose statements would fire triggers, unless `allowTriggers` is set: then it is a warning. Backfills update their table; in a
 * file, schema steps also write the version table. On a server, its owner trusts the authors of triggers.
 *
 * @throws {BackfillError} `TRIGGERS_WOULD_FIRE` listing them
 */
export async function refuseTriggers(
  { store, ledger }: Session,
  steps: readonly Step[],
  direction: 'up' | 'down',
  { allowTriggers = false, onEvent }: Pick<MigratorOptions, 'allowTriggers' | 'onEvent'>,
): Promise<void> {
  const allow = (message: Message, table: string): void => {
    if (!allowTriggers)
      throw new BackfillError(
        'TRIGGERS_WOULD_FIRE',
        message,
        msg(
          'Check what they do: sqlite3 STORE {command}; if they may run for every row that is updated, run it again with --allow-triggers',
          { command: shellWord(`.schema ${table}`) },
        ),
      );
    onEvent?.(warning(message));
  };
  for (const { table, columns } of steps.filter(isBackfill)) {
    const names = columns.map(({ name }) => name);
    const triggers = await store.dialect.updateTriggers(store, table, names);
    if (triggers.length === 0) continue;
    const list = triggers.join(', ');
    allow(
      triggers.length > 1
        ? msg('Each update of {table} fires the triggers {names}', { table, names: list })
        : msg('Each update of {table} fires the trigger {name}', { table, name: list }),
      table,
    );
  }
  for (const step of store.files ? steps : []) {
    if (step.kind !== 'schema' || !step.version) continue;
    const { table } = step.version;
    const triggers = await store.pluck<string>(
      `SELECT name FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = ? COLLATE NOCASE ORDER BY name`,
      table,
    );
    if (triggers.length === 0) continue;
    const objects =
      direction === 'up'
        ? (await planSchemaStep(store, step)).first.map(({ creates }) => creates)
        : await ledger.objects(step.name);
    if (!objects.some(({ kind }) => kind === 'version')) continue;
    const values = { table, triggers: triggers.join(', ') };
    allow(
      triggers.length > 1
        ? msg(
            'Each version that is written to {table} or removed from it may fire the triggers {triggers}',
            values,
          )
        : msg(
            'Each version that is written to {table} or removed from it may fire the trigger {triggers}',
            values,
          ),
      table,
    );
  }
}
