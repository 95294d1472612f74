import { english, type Translate, translator } from './message.js';

/** Languages of results and errors: English, Simplified Chinese. */
export const LANGS = ['en', 'zh'] as const;

/** A language of {@link LANGS}. */
export type Lang = (typeof LANGS)[number];

export type { Translate } from './message.js';

/**
 * Returns the language of a locale: the first of `LC_ALL`, `LC_MESSAGES` and `LANG` that is set.
 *
 * @returns `zh` of a value that begins so, else `en`
 * @see https://pubs.opengroup.org/onlinepubs/9799919799/basedefs/V1_chap08.html section 8.2
 */
export function localeLang({ LC_ALL, LC_MESSAGES, LANG }: NodeJS.ProcessEnv): Lang {
  return (LC_ALL || LC_MESSAGES || LANG || '').startsWith('zh') ? 'zh' : 'en';
}

/** Returns what renders messages in a language. The Chinese catalogue is loaded by the first call for it. */
export const loadTranslator = async (lang: Lang): Promise<Translate> =>
  lang === 'en' ? english : translator((await import('./zh.js')).zh, '、');
