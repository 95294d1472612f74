import { BackfillError } from '../../errors.js';
import { msg } from '../../messages/message.js';
import { shellWord } from '../../shell.js';
import type { Register } from '../cli.js';
import { addFlags, type CliOptions } from '../options.js';
import { errorJson } from '../text.js';

/** `lint`: name what is unsafe in the steps. */
export const registerLint: Register = (program, cli) => {
  addFlags(
    program
      .command('lint')
      .description('report unsafe steps: long locks, lost values, changes that fail on a filled table')
      .argument('[files...]', 'steps, by file or by name (default: all)'),
  )
    .addHelpText('after', '\nExample:\n  umzug-backfill lint --db-path copy-of-production.db --sqlite 3.35')
    .action(async (files: string[], options: CliOptions) =>
      cli.runWithoutStore(options, async (folder, { translate }, _now, enter) => {
        const { loadProject } = await import('../../config.js');
        const { lint } = await import('../../lint/lint.js');
        const { dbPath: path, sqlite, trustConfig } = options;
        const project = await loadProject(folder, { trustConfig });
        if (path !== undefined) enter(path, project);
        const result = await lint(project.steps, { only: files, path, sqlite, folder });
        const { findings } = result;
        const error = findings.length > 0 ? unsafe(findings) : undefined;
        return {
          json: { command: 'lint', ...result, ...(error ? { error: errorJson(error) } : {}) },
          text: error
            ? findings.map(
                ({ file, rule, message, suggestion }) =>
                  `${shellWord(file)}: ${rule}: ${translate(message)} → ${translate(suggestion)}`,
              )
            : [
                translate(
                  msg('Nothing unsafe was found. Steps looked at: {steps}.', { steps: result.steps.length }),
                ),
              ],
          error,
        };
      }),
    );
};

function unsafe(findings: readonly { readonly step: string }[]): BackfillError {
  const names = [...new Set(findings.map(({ step }) => step))];
  return new BackfillError(
    'STEP_UNSAFE',
    findings.length === 1
      ? msg('One unsafe thing was found in {step}', { step: names.join(', ') })
      : msg('{count} unsafe things were found in {steps}', {
          count: findings.length,
          steps: names.join(', '),
        }),
    msg(
      'Do what stands behind the arrow; or, where it is safe, say why in the file: // backfill-lint-disable RULE reason',
    ),
  );
}
