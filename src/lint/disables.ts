import { existsSync, readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { msg } from '../messages/message.js';
import { hit, type LintHit } from './parsed-step.js';

/** Rule of findings about invalid comments. It cannot be disabled. */
export const BAD_DISABLE = 'bad-disable';

/** A comment on a separate line: anywhere else it could be part of a text. */
const DISABLE = /^[ \t]*\/\/[ \t]*backfill-lint-disable\b[ \t]*(\S*)[ \t]*(.*)$/gm;

/**
 * Reads the comments `// backfill-lint-disable RULE reason` of a step's files.
 *
 * @param texts contents of the files; a comment in two of them counts once
 * @param known names of all rules
 */
export function disablesIn(texts: readonly string[], known: readonly string[]) {
  const rules = new Set<string>();
  const bad = new Map<string, LintHit>();
  for (const [, rule = '', reason = ''] of texts.flatMap((text) => [...text.matchAll(DISABLE)])) {
    if (!known.includes(rule)) {
      const message =
        rule === ''
          ? msg('A comment disables no rule')
          : msg('A comment disables {rule}, which is not a rule', { rule });
      bad.set(rule, hit(message, msg('Use a rule of docs/lint.md: // backfill-lint-disable RULE reason')));
    } else if (reason.trim() === '') {
      const suggestion = msg('State why it is safe here: // backfill-lint-disable {rule} reason', { rule });
      bad.set(rule, hit(msg('A comment disables {rule} without a reason', { rule }), suggestion));
    } else {
      rules.add(rule);
    }
  }
  return {
    /** Disabled rules. */
    rules,
    /** Findings about invalid comments. */
    bad: [...bad.values()],
  };
}

/**
 * Returns the loaded file of a step, and the source of a compiled one by the source map next to it.
 *
 * @see https://tc39.es/ecma426/
 */
export function filesOf(path: string) {
  const map = `${path}.map`;
  const source = existsSync(map) ? sourceIn(map) : undefined;
  return {
    /** The file to edit: the source if it is known and exists, else the loaded file. */
    file: source ?? path,
    /** Both files: a compiler may have dropped comments. */
    all: source === undefined ? [path] : [path, source],
  };
}

function sourceIn(map: string): string | undefined {
  let content: { readonly sourceRoot?: unknown; readonly sources?: unknown };
  try {
    content = JSON.parse(readFileSync(map, 'utf8'));
  } catch (error) {
    if (error instanceof SyntaxError) return undefined; // not a source map
    throw error;
  }
  const [source] = Array.isArray(content?.sources) ? content.sources : [];
  if (typeof source !== 'string' || content.sources === undefined) return undefined;
  const root = typeof content.sourceRoot === 'string' ? content.sourceRoot : '';
  const file = source.startsWith('file:') ? fileURLToPath(source) : resolve(dirname(map), root, source);
  return existsSync(file) ? file : undefined;
}
