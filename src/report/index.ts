import { storeAddress, withKnownPlaces, withServerHints } from '../address.js';
import { COMMAND_OPTIONS } from '../command-options.js';
import { loadProject } from '../config.js';
import type { TrustsCode } from '../index.js';
import { checkOptions } from '../options.js';
import { type RenderedReport, renderReport as render } from './report.js';

export type { RenderedReport } from './report.js';

/** Options of {@link renderReport}. */
export interface ReportOptions extends TrustsCode {
  /** Folder of the config file. Default: the current one. */
  readonly folder?: string | undefined;
  /** Path of the store, or a URL of PostgreSQL. Default: that of the environment or the config. */
  readonly path?: string | undefined;
  /** Language. Default `en`. */
  readonly lang?: 'en' | 'zh' | undefined;
}

/**
 * Verifies a store and returns the page that the command `report` writes to a file, to serve or send it. Only reads.
 *
 * @param options see {@link ReportOptions}
 * @throws {BackfillError} `USAGE` naming an option that is unknown or of the wrong kind, a code of a config or a step that cannot be loaded, or a
 * `STORE_…` code
 *
 * @example
 * const { text, error } = await renderReport({ path: 'shop.db' });
 * process.stdout.write(text);
 * if (error) process.exitCode = error.exitCode;
 */
export async function renderReport(options: ReportOptions = {}): Promise<RenderedReport> {
  const { lang, trustConfig } = COMMAND_OPTIONS;
  checkOptions(options, { lang, trustConfig }, 'renderReport()', 'USAGE', ['folder', 'path']);
  const { folder = process.cwd(), path, trustConfig: isTrusted, ...how } = options;
  const project = await loadProject(folder, { trustConfig: isTrusted });
  const address = storeAddress(project.config, { dbPath: path }, process.env);
  return await withServerHints(address, () =>
    withKnownPlaces(project.config, address, process.env, () => render({ project, ...address }, how)),
  );
}
