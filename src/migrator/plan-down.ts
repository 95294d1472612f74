import { mapEach } from '../each.js';
import { reverseStatements } from '../engine/schema-plan.js';
import { BackfillError } from '../errors.js';
import { deleteVersionSql, existingObjects } from '../run/schema.js';
import type { Step } from '../steps/step.js';
import { planBackup } from './backup-policy.js';
import { refuseLostFillers, withRecalled } from './declared.js';
import { checkReverts, type DownTarget, findReverts } from './down.js';
import { type Plan, type PlannedDdl, type PlannedStep, SCHEMA_ONLY_MS } from './plan.js';
import { planRevert } from './revert-plan.js';
import { checkDrift, inSnapshot, isBackfill, type MigratorOptions, type Session } from './session.js';

/** Says what `down` would do, reading only. Refuses what `down` would refuse, but for what `--yes` allows. */
export async function planDown(options: MigratorOptions, target: DownTarget = {}): Promise<Plan> {
  return await inSnapshot(options, async (session) => {
    const records = await session.ledger.steps();
    const { steps: known } = await withRecalled(session, options.project);
    const reverts = findReverts(records, known, target);
    await checkReverts(session, reverts, { confirmed: true });
    const steps = await mapEach(reverts, async (step): Promise<PlannedStep> => {
      const statements = await reverseDdl(session, step);
      return {
        step: step.name,
        statements,
        ...(step.kind === 'backfill' ? { cells: await planRevert(session, step) } : {}),
      };
    });
    const backup = await planBackup(options, session, {
      command: 'down',
      steps: reverts.map(({ name }) => name),
    });
    const drifts = checkDrift(options, records);
    const warnings = await wantingConsent(
      async () => await refuseLostFillers(session, reverts.filter(isBackfill), drifts),
    );
    return { steps, unverified: [], backup, drifts, warnings };
  });
}

/** What is refused without `--yes`, as a warning. */
async function wantingConsent(check: () => Promise<void>): Promise<string[]> {
  try {
    await check();
    return [];
  } catch (error) {
    if (error instanceof BackfillError && error.hint.includes('--yes')) return [error.message];
    throw error;
  }
}

async function reverseDdl({ store, ledger }: Session, step: Step): Promise<PlannedDdl[]> {
  if (step.kind === 'sql') return (step.down ?? []).map((sql) => ({ sql, lockMs: SCHEMA_ONLY_MS }));
  if (step.kind !== 'schema') return [];
  const lockMs = Math.ceil((await store.dialect.estimate(store, step.table, { dropsColumns: 1 })).lockMs);
  const objects = await existingObjects(store, ledger, step);
  const version = objects.find(({ kind }) => kind === 'version');
  return [
    ...reverseStatements(step, objects).map((sql) => ({
      sql,
      lockMs: sql.startsWith('ALTER') ? lockMs : SCHEMA_ONLY_MS,
    })),
    ...(version && step.version
      ? [{ sql: deleteVersionSql(step.version, version.name), lockMs: SCHEMA_ONLY_MS }]
      : []),
  ];
}
