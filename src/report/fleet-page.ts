import { EXIT } from '../errors.js';
import type { StoreResult } from '../fleet/pool.js';
import { countByExit, exitLabel } from '../fleet/summary.js';
import { count, duration } from '../format.js';
import type { Verification } from '../verify/verify.js';
import { badge, code, type RenderContext, type ToRunnable } from './context.js';
import { page, pageHeader } from './document.js';
import { type Content, html, isolateBidi } from './html.js';
import { number, table, whole } from './table.js';

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
  const counts = countByExit(results).map(([exit, stores]) => [say(exitLabel(exit)), count(stores)]);
  const [title, outcome] = [say('Many stores'), say('Outcome')];
  const main = html`${pageHeader(title, items, facts.generatedAt, context)}
<section class="small"><h2>${outcome}</h2>
${table([{ title: outcome }, number(say('Stores'))], counts, outcome)}</section>
${others.length === 0 ? undefined : section(say('Not done'), others)}
${section(say('Done'), done.slice(0, MAX_DONE))}
${done.length > MAX_DONE ? html`<p>${say('… and {stores} more: --json lists all', { stores: count(done.length - MAX_DONE) })}</p>` : undefined}`;
  return page(title, main, context);

  function section(name: string, stores: readonly StoreResult[]): Content {
    const columns = [
      { title: say('Store') },
      whole(outcome),
      { title: say('Verification') },
      number(say('Took')),
    ];
    return html`<section><h2>${name}</h2>
${table(columns, stores.map(row), name)}</section>`;
  }

  function row({ path, exitCode, durationMs, output, error }: StoreResult): Content[] {
    const verifications = (output.verifications ?? []) as readonly Pick<
      Verification,
      'backfill' | 'verdict'
    >[];
    const reason = error
      ? html`<br><small>${error.code}: ${translate(error.message)}${say('.')}<br>${code(toRunnableFor(path)(translate(error.hint)))}</small>`
      : undefined;
    return [
      html`${isolateBidi(path)}${reason}`,
      say(exitLabel(exitCode)),
      verifications.map(
        ({ backfill, verdict }) => html`${isolateBidi(backfill)} ${badge(verdict, context)} `,
      ),
      duration(durationMs),
    ];
  }
}
