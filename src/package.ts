import { readFileSync } from 'node:fs';

// What package.json says. In a file of its own: a step that is bundled with this package has another package.json, or none.

const manifest = JSON.parse(readFileSync(findManifest(), 'utf8')) as {
  readonly version: string;
  readonly engines: { readonly node: string };
};

/** Version of this package, by its package.json: the ledger keeps it with each step. */
export const PACKAGE_VERSION = manifest.version;

/** Versions of Node that this package is for, as `^20.19.0 || ^22.14.0`. */
export const NODE_VERSIONS = manifest.engines.node;

/** package.json stands above the folder of the source, and two above those of its compiled forms, `dist/src/` and `dist/lib/`. */
function findManifest(): URL {
  const isCompiled = import.meta.url.endsWith('.js');
  return new URL(isCompiled ? '../../package.json' : '../package.json', import.meta.url);
}
