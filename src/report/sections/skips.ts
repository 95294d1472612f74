import { count } from '../../format.js';
import type { PlainText } from '../../messages/message.js';
import type { BackfillFacts } from '../collect.js';
import { code, type RenderContext, type ToRunnable } from '../context.js';
import { type Html, html } from '../html.js';
import { number, table } from '../table.js';

const REASONS: ReadonlyMap<string, PlainText> = new Map<string, PlainText>([
  ['DOCUMENT_UNREADABLE', 'the document cannot be read as JSON'],
  ['NO_USABLE_VALUE', 'neither the document nor the fallback has a usable value'],
  ['UPDATE_IGNORED', 'a trigger kept the cell from being filled'],
  ['VALUE_INVALID', 'the store cannot hold the value'],
]);

/** Renders the skips by reason, with keys. */
export function skipsSection({ skips }: BackfillFacts, context: RenderContext, toRunnable: ToRunnable): Html {
  const { say, list } = context;
  const title = say('Skips');
  if (skips.length === 0) return html`<h3>${title}</h3><p>${say('Nothing was skipped.')}</p>`;
  const meaningOf = (reason: string): string => {
    if (/^(?:SQLITE|POSTGRES)_/.test(reason)) return say('the database rejected the update with this code');
    const meaning = REASONS.get(reason);
    return meaning ? say(meaning) : '';
  };
  const rows = skips.map(({ reason, count: all, first }) => {
    const keys = first.map(({ key, target }) => (target === '*' ? String(key) : `${key} (${target})`));
    const more = all - first.length;
    if (more > 0)
      keys.push(toRunnable(say('and {rows} more, listed by: umzug-backfill skips', { rows: count(more) })));
    return [
      html`${code(reason)} ${meaningOf(reason)}`,
      count(all),
      html`<details><summary>${say('Keys')}</summary><p class="keys">${list(keys)}</p></details>`,
    ];
  });
  return html`<h3>${title}</h3>
${table([{ title: say('Reason') }, number(say('Count')), { title: say('Keys') }], rows, title)}`;
}
