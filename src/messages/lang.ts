import { english, type Translate } from './message.js';

/** Languages in which results and errors are told: English, Simplified Chinese. */
export const LANGS = ['en', 'zh'] as const;

/** A language of {@link LANGS}. */
export type Lang = (typeof LANGS)[number];

export type { Translate } from './message.js';
export { english as untranslated } from './message.js';

/**
 * The language of a locale: of `LC_ALL`, else of `LC_MESSAGES`, else of `LANG`, whichever is set first.
 *
 * @returns `zh` of a value that begins so, else `en`
 * @see https://pubs.opengroup.org/onlinepubs/9799919799/basedefs/V1_chap08.html section 8.2
 */
export function localeLang({ LC_ALL, LC_MESSAGES, LANG }: NodeJS.ProcessEnv): Lang {
  return (LC_ALL || LC_MESSAGES || LANG || '').startsWith('zh') ? 'zh' : 'en';
}

/** What says texts in a language. Other words than English are loaded when they are asked for. */
export async function loadTranslator(lang: Lang): Promise<Translate> {
  if (lang === 'en') return english;
  const [{ translator }, { zh }] = await Promise.all([import('./translate.js'), import('./zh.js')]);
  return translator(zh);
}
