import { BackfillError } from '../../errors.js';
import { msg } from '../../messages/message.js';
import { shellWord } from '../../shell.js';
import type { FolderCommand } from '../cli.js';
import { errorJson } from '../text.js';

/** Reports unsafe operations of the steps. */
export const lintCommand: FolderCommand = {
  name: 'lint',
  description: 'report unsafe operations: long locks, lost values, changes that fail on a populated table',
  argument: ['[files...]', 'steps, by file or by name (default: all)'],
  example: 'lint --db-path copy-of-production.db --sqlite 3.35',
  async runIn(folder, { options, args, presenter: { translate }, enter }) {
    const { loadProject } = await import('../../config.js');
    const { lint } = await import('../../lint/lint.js');
    const { dbPath: path, sqlite, trustConfig } = options;
    const project = await loadProject(folder, { trustConfig });
    if (path !== undefined) enter(path, project);
    const { steps, findings } = await lint(project.steps, { only: args, path, sqlite, folder });
    const error = findings.length > 0 ? unsafeError(findings) : undefined;
    return {
      json: {
        command: 'lint',
        steps,
        findings,
        ...(error ? { error: errorJson(error) } : {}),
      },
      text: error
        ? findings.map(
            ({ file, rule, texts: { message, suggestion } }) =>
              `${shellWord(file)}: ${rule}: ${translate(message)} → ${translate(suggestion)}`,
          )
        : [msg('No unsafe operations found. Steps checked: {steps}.', { steps: steps.length })],
      error,
    };
  },
};

function unsafeError(findings: readonly { readonly step: string }[]): BackfillError {
  const steps = [...new Set(findings.map(({ step }) => step))];
  return new BackfillError(
    'STEP_UNSAFE',
    findings.length === 1
      ? msg('One unsafe operation in {step}', { step: steps.join(', ') })
      : msg('{count} unsafe operations in {steps}', { count: findings.length, steps }),
    msg(
      'Apply the suggestion after each arrow; or, if the operation is safe, state why in the file: // backfill-lint-disable RULE reason',
    ),
  );
}
