import { defineConfig } from 'umzug-backfill';

/** AgentOS: its store, the steps that bring it from v20 to v21, and what a store must have for that. */
export default defineConfig({
  database: {
    path: '~/.agentos/store.db',
    env: 'AGENTOS_DB_PATH',
    postgres: {
      type: 'DATABASE_TYPE',
      host: 'DATABASE_HOST',
      port: 'DATABASE_PORT',
      name: 'DATABASE_NAME',
      user: 'DATABASE_USER',
      password: 'DATABASE_PASSWORD',
    },
  },
  steps: ['migrations', 'backfills'],
  requires: {
    tables: { task_audits: ['audit_id', 'event_type', 'payload', 'created_at'] },
    version: { table: 'schema_version', column: 'version', atLeast: '0.20.0' },
  },
});
