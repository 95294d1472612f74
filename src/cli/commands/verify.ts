import { BackfillError } from '../../errors.js';
import { msg } from '../../messages/message.js';
import type { StoreCommand } from '../cli.js';
import { errorJson, verificationText } from '../text.js';

/** Verifies the backfills, reading only. */
export const verifyCommand: StoreCommand = {
  name: 'verify',
  description: 'verify the backfills against the store, reading only',
  example: 'verify --min-coverage 99.5 --json',
  async run(migrator, { options: { printSql, minCoverage }, presenter }) {
    if (printSql) {
      if (migrator.postgres) throw noPlainSql();
      const { backfillsOf } = await import('../../migrate/session.js');
      const { verificationSql } = await import('../../engine/sqlite/print-sql.js');
      const sql = backfillsOf(migrator.project).map(verificationSql);
      return { json: { command: 'verify', sql }, text: sql.join('\n\n').split('\n') };
    }
    const { verificationFailed, verify } = await import('../../migrate/verify.js');
    const verifications = await verify(migrator, { minCoverage });
    const failed = verifications.find(({ verdict }) => verdict === 'fail');
    const error = failed && verificationFailed(failed);
    return {
      json: { command: 'verify', verifications, ...(error ? { error: errorJson(error) } : {}) },
      text: verifications.flatMap((made) => verificationText(made, presenter)),
      error,
    };
  },
};

const noPlainSql = (): BackfillError =>
  new BackfillError(
    'USAGE',
    msg('--print-sql is for the sqlite3 shell, and this store is a PostgreSQL database'),
    msg('Run it without --print-sql: umzug-backfill verify'),
  );
