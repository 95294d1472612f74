import { BackfillError } from '../../errors.js';
import { msg } from '../../messages/message.js';
import { shellWord } from '../../shell.js';
import type { FolderCommand } from '../cli.js';
import { prefixed } from '../print.js';

/** Commands on the files of a project, by name. What does the work is loaded when a command runs. */
export const PROJECT_COMMANDS: Readonly<Record<'lint' | 'init' | 'create', FolderCommand>> = {
  lint: {
    description: 'report unsafe operations: long locks, lost values, changes that fail on a populated table',
    argument: ['[files...]', 'steps, by file or by name (default: all)'],
    example: 'lint --db-path copy-of-production.db --sqlite 3.35',
    async runIn(folder, { options, args, enter }) {
      const { loadProject } = await import('../../config.js');
      const { lint } = await import('../../lint/lint.js');
      const { dbPath: path, postgres, sqlite, trustConfig } = options;
      const project = await loadProject(folder, { trustConfig });
      if (path !== undefined) enter(path, project);
      const { steps, findings } = await lint(project.steps, { only: args, postgres, path, sqlite, folder });
      if (findings.length === 0) {
        const text = [msg('No unsafe operations found. Steps checked: {steps}.', { steps: steps.length })];
        return { json: { steps, findings }, text };
      }
      return {
        json: { steps, findings },
        text: findings.map(({ file, rule, texts: { message, suggestion } }) => [
          `${shellWord(file)}: ${rule}: `,
          message,
          ' → ',
          suggestion,
        ]),
        error: unsafeError(findings),
      };
    },
  },
  init: {
    description: 'make the current folder a project: write its config and the folder of its steps',
    example: 'init --db-path data/shop.db',
    async runIn(folder, { options: { dbPath: store, dryRun = false } }) {
      const { initProject } = await import('../../scaffold/init.js');
      const result = initProject(folder, { store, dryRun });
      const { config, folders, isInstalled, isCompiled } = result;
      const next = [
        !isInstalled && 'npm install umzug-backfill',
        store === undefined && msg('set the store in {file}', { file: config }),
        isCompiled && msg('compile it to dist: npx tsc --outDir dist'),
        msg('write a step: umzug-backfill create NAME'),
        msg('check the plan: umzug-backfill up --dry-run'),
      ];
      return {
        json: { dryRun, ...result },
        text: [
          dryRun && msg('Dry run of `init`: nothing was written. It would do this:'),
          msg('The config is {file}.', { file: config }),
          ...folders.map((name) => msg('Steps go into {folder}.', { folder: name })),
          msg('Next:'),
          ...prefixed(['  '], next),
        ],
      };
    },
  },
  create: {
    description: 'write a step file from a template, numbered to come after all others',
    argument: ['<name>', 'purpose of the step, such as order-times; its number is put before it'],
    example: 'create order-times --backfill',
    async runIn(folder, { options, args: [name = ''], now }) {
      const { createStep } = await import('../../scaffold/create.js');
      const { backfill, sql, dryRun = false, trustConfig } = options;
      const kind = backfill ? 'backfill' : sql ? 'sql' : 'schema';
      const result = await createStep(folder, name, { kind, dryRun, now, trustConfig });
      const { file } = result;
      return {
        json: { dryRun, ...result },
        text: dryRun
          ? [msg('Dry run of `create`: nothing was written. It would write {file}.', { file })]
          : [
              msg('Wrote {file}.', { file }),
              file.endsWith('ts') && msg('Compile it before it is checked or run: npx tsc.'),
              msg(
                'Replace the example names in it, then check it with: umzug-backfill lint, umzug-backfill up --dry-run',
              ),
            ],
      };
    },
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
