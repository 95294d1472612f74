import { readFileSync } from 'node:fs';

const manifest: unknown = JSON.parse(readFileSync(findManifest(), 'utf8'));

/** Version of this package, by its package.json: the ledger keeps it with each step. */
export const PACKAGE_VERSION: string =
  typeof manifest === 'object' && manifest !== null && 'version' in manifest
    ? String(manifest.version)
    : 'unknown';

/** package.json stands two folders above the source, and three above its compiled form in `dist/src/`. */
function findManifest(): URL {
  const isCompiled = import.meta.url.endsWith('.js');
  return new URL(isCompiled ? '../../../package.json' : '../../package.json', import.meta.url);
}
