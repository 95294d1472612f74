import { existsSync, readdirSync, statSync } from 'node:fs';
import { basename, dirname, extname, join, relative } from 'node:path';

/** A file of a step in TypeScript. */
const SOURCE = /(?<!\.d)\.[cm]?ts$/;
const COMPILED = /\.[cm]?js$/;

/**
 * Compares the compiled steps with their sources, where those lie beside them: it is the compiled ones that run.
 *
 * @param config the config file that was loaded; nothing is compared unless it lies in a `dist` folder with sources beside it
 * @param folders the folders of steps, as the config names them
 * @returns what does not agree, a sentence each
 */
export function staleSteps(config: string, folders: readonly string[]): string[] {
  const compiledRoot = dirname(config);
  if (basename(compiledRoot) !== 'dist') return [];
  const root = dirname(compiledRoot);
  return folders.flatMap((folder) => {
    const [source, compiled] = [join(root, folder), join(compiledRoot, folder)];
    if (!existsSync(source) || !existsSync(compiled)) return [];
    const sources = byName(source, SOURCE);
    const found = byName(compiled, COMPILED);
    const shown = (path: string): string => relative(root, path);
    return [
      ...[...sources].flatMap(([name, path]) => {
        const made = found.get(name);
        if (made === undefined) return [`${shown(path)} is not compiled, and is left out`];
        const isNewer = statSync(path).mtimeMs > statSync(made).mtimeMs;
        return isNewer ? [`${shown(path)} is newer than ${shown(made)}, which runs`] : [];
      }),
      ...[...found].flatMap(([name, path]) =>
        sources.size > 0 && !sources.has(name)
          ? [`${shown(path)} has no source any more, and still runs`]
          : [],
      ),
    ];
  });
}

const byName = (folder: string, pattern: RegExp): Map<string, string> =>
  new Map(
    readdirSync(folder)
      .filter((name) => pattern.test(name))
      .map((name) => [basename(name, extname(name)), join(folder, name)]),
  );
