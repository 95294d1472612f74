export type { AbortSignalLike } from './abort.js';
export {
  type Config,
  type ConfigOptions,
  type DatabaseOptions,
  defineConfig,
  type PostgresEnv,
  type StoreRequirements,
} from './config.js';
export { type BackgroundOptions, type RunningBackfills, startBackfills } from './deploy/background.js';
export { type DeployOptions, type DeployResult, migrateOnDeploy } from './deploy/deploy.js';
export { BackfillError, type ErrorCode } from './errors.js';
export type { BackfillResult } from './migrator/backfill.js';
export type { MigratorEvent } from './migrator/session.js';
export type { BackfillStatus, Status, StepStatus } from './migrator/status.js';
export type { BackupOptions, RunSettings } from './option-table.js';
export type { ReportResult } from './report/report.js';
export type { BackfillChecks, IndexUse, VerificationRule } from './steps/checks.js';
export {
  type BackfillDefinition,
  type BackfillOptions,
  defineBackfill,
  type ProcessOptions,
  type SqlBackfillOptions,
} from './steps/define.js';
export type { TrustsCode } from './steps/load.js';
export {
  defineSchemaStep,
  type IndexDefinition,
  type IndexOptions,
  type SchemaStepDefinition,
  type SchemaStepOptions,
  type VersionOptions,
} from './steps/schema-step.js';
export { defineSqlStep, type SqlStepDefinition, type SqlStepOptions } from './steps/sql-step.js';
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
export { type BackfillStepOptions, backfillStep } from './umzug/backfill-step.js';
export type { BackfillSkips, MigratorCommands } from './umzug/commands.js';
export { type CreateMigratorOptions, createMigrator, type Migrator } from './umzug/create-migrator.js';
export type { SqliteConnection, StoreDatabase } from './umzug/database.js';
export {
  type ImportOptions,
  type ImportResult,
  importExecuted,
  type MigrationTable,
} from './umzug/import-executed.js';
export { type LedgerStorage, ledgerStorage } from './umzug/ledger-storage.js';
export type { StepSource } from './umzug/step-sources.js';
export type {
  CommandEvent,
  MigrateOptions,
  MigrationMeta,
  MigrationStorage,
  RunnableStep,
  StepEvent,
  UmzugCommands,
  UmzugEvents,
} from './umzug/types.js';
export type { Verification } from './verify/verify.js';
