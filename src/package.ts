import { readFileSync } from 'node:fs';

// Separate from other modules, because a step that is bundled with this package finds another package.json, or none.

const manifest = JSON.parse(readFileSync(findManifest(), 'utf8')) as {
  readonly version: string;
  readonly engines: { readonly node: string };
};

/** Version of this package. The ledger records it with each step. */
export const PACKAGE_VERSION = manifest.version;

/** Supported Node versions, such as `^20.19.0 || ^22.14.0`. */
export const NODE_VERSIONS = manifest.engines.node;

/** Returns the URL of package.json: one folder above `src/`, two above `dist/src/` and `dist/lib/`. */
function findManifest(): URL {
  const isCompiled = import.meta.url.endsWith('.js');
  return new URL(isCompiled ? '../../package.json' : '../package.json', import.meta.url);
}
