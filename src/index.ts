export type { AbortSignalLike } from './abort.js';
export {
  type Config,
  type ConfigOptions,
  type DatabaseOptions,
  defineConfig,
  type PostgresEnv,
  type StoreRequirements,
} from './config.js';
export { BackfillError, type ErrorCode } from './errors.js';
export type { FileUrl } from './file-url.js';
export { type BackfillStepOptions, backfillStep } from './migrate/backfill-step.js';
export { type CreateMigratorOptions, createMigrator, type StepSource } from './migrate/create-migrator.js';
export type {
  ApplicationDatabase,
  PostgresDatabase,
  PostgresSource,
  SqliteConnection,
  StoreDatabase,
} from './migrate/database.js';
export {
  type BackgroundOptions,
  type DeployOptions,
  type DeployResult,
  migrateOnDeploy,
  type RunningBackfills,
  startBackfills,
} from './migrate/deploy.js';
export {
  type ImportOptions,
  type ImportResult,
  importExecuted,
  type LedgerStorage,
  type LedgerStorageOptions,
  ledgerStorage,
  type MigrationTable,
} from './migrate/ledger-storage.js';
export type { Migrator, MigratorCommands } from './migrate/migrator.js';
export type { MigratorEvent } from './migrate/options.js';
export type { PostgresConfig } from './migrate/postgres-config.js';
export type { BackfillSkips, BackfillStatus, Status, StepStatus } from './migrate/status.js';
export type {
  CommandEvent,
  MigrateOptions,
  MigrationMeta,
  MigrationStorage,
  RunnableStep,
  StepEvent,
  UmzugCommands,
  UmzugEvents,
} from './migrate/umzug.js';
export type { BackfillResult } from './migrate/up.js';
export type { BackupOptions, RunSettings } from './option-table.js';
export type { ReportResult } from './report/report.js';
export {
  type BackfillChecks,
  type BackfillDefinition,
  type BackfillOptions,
  defineBackfill,
  type IndexUse,
  type ProcessOptions,
  type SqlBackfillOptions,
  type VerificationRule,
} from './steps/define.js';
export type { TrustsCode } from './steps/load.js';
export {
  defineSchemaStep,
  defineSqlStep,
  type IndexDefinition,
  type IndexOptions,
  type SchemaStepDefinition,
  type SchemaStepOptions,
  type SqlStepDefinition,
  type SqlStepOptions,
  type VersionOptions,
} from './steps/schema-steps.js';
export {
  type RequireStepDefinition,
  requireBackfill,
} from './steps/step.js';
export {
  type CellValue,
  type Changes,
  type ColumnValue,
  type EngineSql,
  type FirstOf,
  firstOf,
  type ProcessContext,
  type ProcessFunction,
  type ProcessRow,
  type Skip,
  type SqlExpression,
  sql,
} from './steps/values.js';
export type { Verification } from './verify/verify.js';
