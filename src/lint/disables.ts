import { existsSync, readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { LintHit } from './parsed-step.js';

/** Name of the findings about comments that silence nothing. It can not be silenced. */
export const BAD_DISABLE = 'bad-disable';

/** What the comments of a step's file say. */
export interface Disables {
  /** Rules that are silent for the file. */
  readonly rules: ReadonlySet<string>;
  /** Comments that say it wrongly. */
  readonly bad: readonly LintHit[];
}

/** A comment on a line of its own: anywhere else it could be part of a text. */
const DISABLE = /^[ \t]*\/\/[ \t]*backfill-lint-disable\b[ \t]*(\S*)[ \t]*(.*)$/gm;

/**
 * Reads the comments `// backfill-lint-disable RULE reason` of a step's files.
 *
 * @param texts contents of the files; a comment that is in two of them counts once
 * @param known names of the rules
 */
export function disablesIn(texts: readonly string[], known: readonly string[]): Disables {
  const rules = new Set<string>();
  const bad = new Map<string, LintHit>();
  for (const [, rule = '', reason = ''] of texts.flatMap((text) => [...text.matchAll(DISABLE)])) {
    if (!known.includes(rule)) {
      bad.set(rule, {
        message: rule === '' ? 'A comment silences no rule' : `A comment silences ${rule}, which is no rule`,
        suggestion: 'Name one of docs/lint.md: // backfill-lint-disable RULE reason',
      });
    } else if (reason.trim() === '') {
      bad.set(rule, {
        message: `A comment silences ${rule} without a reason`,
        suggestion: `Say why it is safe here: // backfill-lint-disable ${rule} reason`,
      });
    } else {
      rules.add(rule);
    }
  }
  return { rules, bad: [...bad.values()] };
}

/** Where a step was loaded from, and what it was compiled from. */
export interface StepFiles {
  /** The file that a person edits: the source where it is known and there, else the one that was loaded. */
  readonly file: string;
  /** All of them: a compiler may have dropped comments. */
  readonly all: readonly string[];
}

/**
 * Finds the source of a compiled step by the source map beside it.
 *
 * @see https://tc39.es/ecma426/
 */
export function filesOf(path: string): StepFiles {
  const map = `${path}.map`;
  const source = existsSync(map) ? sourceIn(map) : undefined;
  return source === undefined ? { file: path, all: [path] } : { file: source, all: [path, source] };
}

function sourceIn(map: string): string | undefined {
  let content: { readonly sourceRoot?: unknown; readonly sources?: unknown };
  try {
    content = JSON.parse(readFileSync(map, 'utf8'));
  } catch (error) {
    if (error instanceof SyntaxError) return undefined; // no source map
    throw error;
  }
  const [source] = Array.isArray(content?.sources) ? content.sources : [];
  if (typeof source !== 'string' || content.sources === undefined) return undefined;
  const root = typeof content.sourceRoot === 'string' ? content.sourceRoot : '';
  const file = source.startsWith('file:') ? fileURLToPath(source) : resolve(dirname(map), root, source);
  return existsSync(file) ? file : undefined;
}
