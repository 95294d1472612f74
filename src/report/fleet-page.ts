import { EXIT } from '../errors.js';
import type { StoreResult } from '../fleet/pool.js';
import { countByExit, outcomeOf } from '../fleet/summary.js';
import { count, duration, instant } from '../format.js';
import { PACKAGE_VERSION } from '../package.js';
import type { Verification } from '../verify/verify.js';
import { page } from './document.js';
import { type Content, html, storeText } from './html.js';
import { badge, code, type Making } from './sections/section.js';
import { table } from './table.js';

/** What a report of many stores says: what the command made of each. */
export interface FleetFacts {
  readonly command: string;
  readonly results: readonly StoreResult[];
  readonly durationMs: number;
  readonly madeAt: Date;
}

/** At most this many stores that are done are listed: those that are not come first, and are all listed. */
const MAX_DONE = 2000;

/**
 * The page about many stores.
 *
 * @param tellOf makes of a command that a hint names one that runs as it stands, on one of the stores
 */
export function fleetPage(
  facts: FleetFacts,
  { words, say }: Pick<Making, 'words' | 'say'>,
  tellOf: (path: string) => Making['tell'],
): string {
  const { results } = facts;
  const others = results.filter(({ exitCode }) => exitCode !== EXIT.done);
  const done = results.filter(({ exitCode }) => exitCode === EXIT.done);
  const items: readonly (readonly [string, string])[] = [
    [say('Command'), facts.command],
    [say('Stores'), count(results.length)],
    [say('Took'), duration(facts.durationMs)],
    [words.madeAt, instant(facts.madeAt)],
    [words.madeBy, `umzug-backfill ${PACKAGE_VERSION}`],
  ];
  const counts = countByExit(results).map(([exit, stores]) => [say(outcomeOf(exit)), count(stores)]);
  const title = say('Many stores');
  const main = html`<header>
<h1>${title}</h1>
<dl>${items.map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>
<p>${words.timesAreUtc}</p>
</header>
<section class="small"><h2>${say('Outcome')}</h2>
${table([{ title: say('Outcome') }, { title: say('Stores'), isNumber: true }], counts, say('Outcome'))}</section>
${others.length === 0 ? undefined : section(say('Not done'), others)}
${section(say('Done'), done.slice(0, MAX_DONE))}
${done.length > MAX_DONE ? html`<p>${say(`… and ${count(done.length - MAX_DONE)} more: --json lists all`)}</p>` : undefined}`;
  return page(title, main, words);

  function section(name: string, stores: readonly StoreResult[]): Content {
    const columns = [
      { title: words.store },
      { title: say('Outcome'), isWhole: true },
      { title: words.verification },
      { title: say('Took'), isNumber: true },
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
      ? html`<br><small>${error.code}: ${say(error.message)}${say('.')}<br>${code(tellOf(path)(say(error.hint)))}</small>`
      : undefined;
    return [
      html`${storeText(path)}${told}`,
      say(outcomeOf(exitCode)),
      verifications.map(({ backfill, verdict }) => html`${storeText(backfill)} ${badge(verdict, words)} `),
      duration(durationMs),
    ];
  }
}
