import { pathToFileURL } from 'node:url';

/**
 * Imports a module and returns its default export. A module of CommonJS has none: what TypeScript, esbuild and others make of
 * `export default` is the member `default` of its exports.
 */
export async function importDefault(path: string): Promise<unknown> {
  const { default: exported } = (await import(pathToFileURL(path).href)) as { readonly default?: unknown };
  const isCompiled =
    typeof exported === 'object' && exported !== null && '__esModule' in exported && 'default' in exported;
  return isCompiled ? exported.default : exported;
}
