import { EXIT } from '../errors.js';
import { countByExit, exitLabel, type StoreResult } from '../fleet/pool.js';
import { count, duration } from '../format.js';
import type { Verification } from '../index.js';
import { page, pageHeader } from './document.js';
import { badge, code, number, type RenderContext, type ToRunnable, table, whole } from './elements.js';
import { type Html, html, isolateBidi } from './html.js';

/** Results of a command on many stores. */
export interface FleetFacts {
  readonly command: string;
  readonly results: readonly StoreResult[];
  readonly durationMs: number;
  readonly generatedAt: Date;
}

/** Maximum number of listed stores that are done. Those that are not done come first, without a limit. */
const MAX_DONE = 2000;

/**
 * Renders the page about many stores.
 *
 * @param toRunnableFor returns the function that makes commands runnable on one of the stores
 */
export function fleetPage(
  facts: FleetFacts,
  context: RenderContext,
  toRunnableFor: (path: string) => ToRunnable,
): string {
  const { say, translate } = context;
  const { results } = facts;
  const others = results.filter(({ exitCode }) => exitCode !== EXIT.done);
  const done = results.filter(({ exitCode }) => exitCode === EXIT.done);
  const items = [
    [say('Command'), facts.command],
    [say('Stores'), count(results.length)],
    [say('Took'), duration(facts.durationMs)],
  ] as const;
  const [title, outcome] = [say('Many stores'), say('Outcome')];
  const counts = table(outcome, countByExit(results), [
    { title: outcome, cell: ([exit]) => say(exitLabel(exit)) },
    number(say('Stores'), ([, stores]) => count(stores)),
  ]);
  const main = html`${pageHeader(title, items, facts.generatedAt, context)}
<section class="small"><h2>${outcome}</h2>
${counts}</section>
${others.length === 0 ? undefined : section(say('Not done'), others)}
${section(say('Done'), done.slice(0, MAX_DONE))}
${done.length > MAX_DONE ? html`<p>${say('… and {stores} more: --json lists all', { stores: count(done.length - MAX_DONE) })}</p>` : undefined}`;
  return page(title, main, context);

  function section(name: string, stores: readonly StoreResult[]): Html {
    return html`<section><h2>${name}</h2>
${table(name, stores, [
  { title: say('Store'), cell: (store) => html`${isolateBidi(store.path)}${reasonOf(store)}` },
  whole(outcome, ({ exitCode }) => say(exitLabel(exitCode))),
  { title: say('Verification'), cell: verdictsOf },
  number(say('Took'), ({ durationMs }) => duration(durationMs)),
])}</section>`;
  }

  function reasonOf({ path, error }: StoreResult): Html | undefined {
    if (!error) return undefined;
    const hint = toRunnableFor(path)(translate(error.hint));
    return html`<br><small>${error.code}: ${translate(error.message)}${say('.')}<br>${code(hint)}</small>`;
  }

  function verdictsOf({ output }: StoreResult): Html[] {
    const made = (output.verifications ?? []) as readonly Pick<Verification, 'backfill' | 'verdict'>[];
    return made.map(({ backfill, verdict }) => html`${isolateBidi(backfill)} ${badge(verdict, context)} `);
  }
}
