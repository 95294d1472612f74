import { fillIn, type Told, type Translate } from './message.js';

/**
 * Translations by English text. A text may have holes: `{name}` takes anything, `{#name}` a number, `{~name}` a text that has a
 * translation itself, `{*name}` a list of such texts. In the translation they are `{name}`, in any order.
 */
export type Catalog = Readonly<Record<string, string>>;

/** A hole of an English text. */
const PLACEHOLDER = /\{([#~*]?)(\w+)\}/g;

interface Form {
  readonly pattern: RegExp;
  readonly holes: readonly { readonly kind: string; readonly name: string }[];
  readonly translation: string;
}

/**
 * Makes what translates by a catalog. Of several forms that a text may have, the one with most words of its own counts.
 */
export function translator(catalog: Catalog): Translate {
  const byText = new Map(
    Object.entries(catalog).map(
      ([text, translation]) => [text.replace(PLACEHOLDER, '{$2}'), { text, translation }] as const,
    ),
  );
  const forms = Object.entries(catalog)
    .filter(([text]) => text.search(PLACEHOLDER) >= 0)
    .sort(([a], [b]) => ownLength(b) - ownLength(a))
    .map(([text, translation]) => formOf(text, translation));

  const exact = (text: string): string | undefined =>
    Object.hasOwn(catalog, text) ? catalog[text] : undefined;
  const formed = (text: string): string | undefined => {
    for (const form of forms) {
      const found = form.pattern.exec(text);
      if (found) return filled(form, found.slice(1));
    }
    return undefined;
  };
  const translate: Translate = (told: Told) => {
    if (typeof told !== 'string') {
      const { text, translation } = byText.get(told.text) ?? { text: told.text, translation: told.text };
      const kinds = new Map([...text.matchAll(PLACEHOLDER)].map(([, kind = '', name = '']) => [name, kind]));
      const values = Object.entries(told.values).map(([name, value]) => [
        name,
        typeof value === 'string' ? translatePlaceholder(kinds.get(name) ?? '', value) : value,
      ]);
      return fillIn(translation, Object.fromEntries(values), translate, '、');
    }
    const text = told;
    const asBeginning = text.charAt(0).toUpperCase() + text.slice(1); // within another sentence it has no capital
    return exact(text) ?? exact(asBeginning) ?? formed(text) ?? formed(asBeginning) ?? text;
  };

  function filled({ holes, translation }: Form, values: readonly string[]): string {
    const said = new Map(
      holes.map(({ kind, name }, i) => [name, translatePlaceholder(kind, values[i] ?? '')]),
    );
    return translation.replace(PLACEHOLDER, (hole, _, name: string) => said.get(name) ?? hole);
  }
  function translatePlaceholder(kind: string, value: string): string {
    if (kind === '~') return translate(value);
    return kind === '*' ? value.split(', ').map(translate).join('、') : value;
  }
  return translate;
}

const ownLength = (text: string): number => text.replace(PLACEHOLDER, '').length;

function formOf(text: string, translation: string): Form {
  const holes = [...text.matchAll(PLACEHOLDER)].map(([, kind = '', name = '']) => ({ kind, name }));
  const source = text
    .split(PLACEHOLDER)
    .map((part, i) =>
      i % 3 === 0 ? escaped(part) : i % 3 === 1 ? (part === '#' ? '([-\\d.,]+)' : '(.*?)') : '',
    )
    .join('');
  return { pattern: new RegExp(`^${source}$`, 's'), holes, translation };
}

const escaped = (text: string): string => text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');
