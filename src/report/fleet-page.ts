import { EXIT } from '../errors.js';
import type { StoreResult } from '../fleet/pool.js';
import { countByExit, exitLabel } from '../fleet/summary.js';
import { count, duration, instant } from '../format.js';
import { msg } from '../messages/message.js';
import { PACKAGE_VERSION } from '../package.js';
import type { Verification } from '../verify/verify.js';
import { page } from './document.js';
import { type Content, html, isolateBidi } from './html.js';
import { badge, code, type RenderContext } from './sections/section.js';
import { table } from './table.js';

/** What a report of many stores says: what the command made of each. */
export interface FleetFacts {
  readonly command: string;
  readonly results: readonly StoreResult[];
  readonly durationMs: number;
  readonly generatedAt: Date;
}

/** At most this many stores that are done are listed: those that are not come first, and are all listed. */
const MAX_DONE = 2000;

/**
 * The page about many stores.
 *
 * @param toRunnableFor makes of a command that a hint names one that runs as it stands, on one of the stores
 */
export function fleetPage(
  facts: FleetFacts,
  { words, translate }: Pick<RenderContext, 'words' | 'translate'>,
  toRunnableFor: (path: string) => RenderContext['toRunnable'],
): string {
  const { results } = facts;
  const others = results.filter(({ exitCode }) => exitCode !== EXIT.done);
  const done = results.filter(({ exitCode }) => exitCode === EXIT.done);
  const items: readonly (readonly [string, string])[] = [
    [translate('Command'), facts.command],
    [translate('Stores'), count(results.length)],
    [translate('Took'), duration(facts.durationMs)],
    [words.generatedAt, instant(facts.generatedAt)],
    [words.generatedBy, `umzug-backfill ${PACKAGE_VERSION}`],
  ];
  const counts = countByExit(results).map(([exit, stores]) => [translate(exitLabel(exit)), count(stores)]);
  const title = translate('Many stores');
  const main = html`<header>
<h1>${title}</h1>
<dl>${items.map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>
<p>${words.timesAreUtc}</p>
</header>
<section class="small"><h2>${translate('Outcome')}</h2>
${table([{ title: translate('Outcome') }, { title: translate('Stores'), isNumber: true }], counts, translate('Outcome'))}</section>
${others.length === 0 ? undefined : section(translate('Not done'), others)}
${section(translate('Done'), done.slice(0, MAX_DONE))}
${done.length > MAX_DONE ? html`<p>${translate(msg('… and {stores} more: --json lists all', { stores: count(done.length - MAX_DONE) }))}</p>` : undefined}`;
  return page(title, main, words);

  function section(name: string, stores: readonly StoreResult[]): Content {
    const columns = [
      { title: words.store },
      { title: translate('Outcome'), isWhole: true },
      { title: words.verification },
      { title: translate('Took'), isNumber: true },
    ];
    return html`<section><h2>${name}</h2>
${table(columns, stores.map(row), name)}</section>`;
  }

  function row({ path, exitCode, durationMs, output, error }: StoreResult): Content[] {
    const verifications = (output.verifications ?? []) as readonly Pick<
      Verification,
      'backfill' | 'verdict'
    >[];
    const told = error
      ? html`<br><small>${error.code}: ${translate(error.message)}${translate('.')}<br>${code(toRunnableFor(path)(translate(error.hint)))}</small>`
      : undefined;
    return [
      html`${isolateBidi(path)}${told}`,
      translate(exitLabel(exitCode)),
      verifications.map(({ backfill, verdict }) => html`${isolateBidi(backfill)} ${badge(verdict, words)} `),
      duration(durationMs),
    ];
  }
}
