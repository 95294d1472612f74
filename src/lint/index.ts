import { COMMAND_OPTIONS } from '../command-options.js';
import { loadProject } from '../config.js';
import type { TrustsCode } from '../index.js';
import { checkOptions } from '../options.js';
import { type LintOptions, type LintResult, lint as lintSteps } from './lint.js';

export type { Finding, LintOptions, LintResult } from './lint.js';

/** Options of {@link lint}. */
export interface ProjectLintOptions extends LintOptions, TrustsCode {}

/**
 * Checks the steps of a project as the command `lint` does: for long locks, lost values, and what fails on a filled table.
 *
 * @param options `folder` is that of the config file
 * @returns the findings; none if every step is safe or disables the rule with a reason
 * @throws {BackfillError} `USAGE` naming an option that is unknown or of the wrong kind, `STEP_UNKNOWN`, a code of a config or a step that cannot be
 * loaded, or a `STORE_…` code
 *
 * @example
 * const { findings } = await lint({ sqlite: '3.35' });
 * for (const { file, rule, message } of findings) console.error(`${file}: ${rule}: ${message}`);
 */
export async function lint(options: ProjectLintOptions = {}): Promise<LintResult> {
  const { sqlite, postgres, trustConfig } = COMMAND_OPTIONS;
  checkOptions(options, { sqlite, postgres, trustConfig }, 'lint()', 'USAGE', ['folder', 'path', 'only']);
  const { folder = process.cwd(), trustConfig: isTrusted, ...how } = options;
  const { steps } = await loadProject(folder, { trustConfig: isTrusted });
  return await lintSteps(steps, { ...how, folder });
}
