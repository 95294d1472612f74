import { defineConfig } from './src/index.js';

/** AgentOS: its store, the steps that bring it from v20 to v21, and what a store must have for that. */
export default defineConfig({
  database: {
    path: '~/.agentos/store.db',
    env: ['SQLITE_PATH', 'AGENTOS_DB_PATH', 'OCTOPUSOS_DB_PATH'],
    // Where its other releases keep the store: 0.1 to 0.3, 2.1 to 3.0, 3.6.
    otherPaths: [
      'store/registry.sqlite',
      '~/.agentos/store/agentos/db.sqlite',
      '~/.octopusos/store/octopusos/db.sqlite',
    ],
    postgres: {
      type: 'DATABASE_TYPE',
      host: 'DATABASE_HOST',
      port: 'DATABASE_PORT',
      name: 'DATABASE_NAME',
      user: 'DATABASE_USER',
      password: 'DATABASE_PASSWORD',
      sslmode: 'DATABASE_SSLMODE',
      sslrootcert: 'DATABASE_SSLROOTCERT',
      defaults: { name: 'agentos', user: 'postgres' },
    },
  },
  steps: ['migrations', 'backfills'],
  requires: {
    tables: { task_audits: ['audit_id', 'event_type', 'payload', 'created_at'] },
    version: { table: 'schema_version', column: 'version', atLeast: '0.20.0' },
  },
});
