import { readFileSync } from 'node:fs';

const manifest = JSON.parse(readFileSync(findManifest(), 'utf8')) as {
  readonly version: string;
  readonly engines: { readonly node: string };
};

/** Version of this package, by its package.json: the ledger keeps it with each step. */
export const PACKAGE_VERSION = manifest.version;

/** Versions of Node that this package is for, as `^20.19.0 || ^22.14.0`. */
export const NODE_VERSIONS = manifest.engines.node;

/** package.json stands two folders above the source, and three above its compiled form in `dist/src/`. */
function findManifest(): URL {
  const isCompiled = import.meta.url.endsWith('.js');
  return new URL(isCompiled ? '../../../package.json' : '../../package.json', import.meta.url);
}
