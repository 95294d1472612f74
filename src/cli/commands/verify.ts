import { BackfillError } from '../../errors.js';
import { msg } from '../../messages/message.js';
import type { Register } from '../cli.js';
import { addFlags, type CliOptions } from '../options.js';
import { errorJson, verificationText } from '../text.js';

/** `verify`: check what was filled, reading only. */
export const registerVerify: Register = (program, cli) => {
  addFlags(program.command('verify').description('check the backfills against the store, reading only'))
    .addHelpText('after', '\nExample:\n  umzug-backfill verify --min-coverage 99.5 --json')
    .action(async (options: CliOptions) =>
      cli.run(options, async (migrator, presenter) => {
        if (options.printSql) {
          if (migrator.postgres) throw noPlainSql();
          const { backfillsOf } = await import('../../migrate/session.js');
          const { verificationSql } = await import('../../engine/sqlite/print-sql.js');
          const sql = backfillsOf(migrator.project).map(verificationSql);
          return { json: { command: 'verify', sql }, text: sql.join('\n\n').split('\n') };
        }
        const { verificationFailed, verify } = await import('../../migrate/verify.js');
        const verifications = await verify(migrator, options);
        const failed = verifications.find(({ verdict }) => verdict === 'fail');
        const error = failed && verificationFailed(failed);
        return {
          json: { command: 'verify', verifications, ...(error ? { error: errorJson(error) } : {}) },
          text: verifications.flatMap((made) => verificationText(made, presenter)),
          error,
        };
      }),
    );
};

const noPlainSql = (): BackfillError =>
  new BackfillError(
    'USAGE',
    msg('--print-sql is for the sqlite3 shell, and this store is one of PostgreSQL'),
    msg('Run it without: umzug-backfill verify'),
  );
