import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './cli.js';

/**
 * Puts this package into a folder's node_modules as the modules that the tests import. The bundles that are installed elsewhere would be a
 * second copy of them in this process.
 */
export function linkModules(folder: string): void {
  const at = join(folder, 'node_modules/umzug-backfill');
  mkdirSync(at, { recursive: true });
  symlinkSync(join(root, 'dist'), join(at, 'dist'));
  writeFileSync(
    join(at, 'package.json'),
    '{"name":"umzug-backfill","type":"module","exports":{".":"./dist/src/index.js","./testing":"./dist/src/testing/index.js"}}',
  );
}
