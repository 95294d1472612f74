import { count } from '../../format.js';
import type { BackfillFacts } from '../collect.js';
import { type Html, html } from '../html.js';
import type { Messages } from '../messages.js';
import { table } from '../table.js';
import { code, type RenderContext } from './section.js';

/** What was left alone, by reason, with keys. */
export function skipsSection({ skips }: BackfillFacts, { words }: RenderContext): Html {
  if (skips.length === 0) return html`<h3>${words.skips}</h3><p>${words.noSkips}</p>`;
  const rows = skips.map(({ reason, count: all, first }) => {
    const keys = first.map(({ key, target }) => (target === '*' ? String(key) : `${key} (${target})`));
    const more = all - first.length;
    return [
      html`${code(reason)} ${meaning(reason, words)}`,
      count(all),
      html`<details><summary>${words.keysOfReason}</summary><p class="keys">${keys.join(words.comma)}${
        more > 0 ? `${words.comma}${words.moreKeys(count(more))}` : undefined
      }</p></details>`,
    ];
  });
  return html`<h3>${words.skips}</h3>
${table(
  [{ title: words.reason }, { title: words.count, isNumber: true }, { title: words.keysOfReason }],
  rows,
  words.skips,
)}`;
}

function meaning(reason: string, { reasons }: Messages): string {
  if (/^(?:SQLITE|POSTGRES)_/.test(reason)) return reasons.REFUSED;
  return reason in reasons ? reasons[reason as keyof Messages['reasons']] : '';
}
