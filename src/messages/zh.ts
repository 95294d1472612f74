import type { Catalogue } from './message.js';
import { zhChecks } from './zh.checks.js';
import { zhCli } from './zh.cli.js';
import { zhDatabase } from './zh.database.js';
import { zhEngine } from './zh.engine.js';
import { zhErrors } from './zh.errors.js';
import { zhFleet } from './zh.fleet.js';
import { zhHints } from './zh.hints.js';
import { zhLedger } from './zh.ledger.js';
import { zhLint } from './zh.lint.js';
import { zhLog } from './zh.log.js';
import { zhPostgres } from './zh.postgres.js';
import { zhProject } from './zh.project.js';
import { zhReport } from './zh.report.js';
import { zhResults } from './zh.results.js';
import { zhRun } from './zh.run.js';
import { zhSafety } from './zh.safety.js';
import { zhScaffold } from './zh.scaffold.js';
import { zhStore } from './zh.store.js';
import { zhSystem } from './zh.system.js';
import { zhTesting } from './zh.testing.js';
import { zhTls } from './zh.tls.js';
import { zhTrust } from './zh.trust.js';
import { zhUmzug } from './zh.umzug.js';

/** What a person reads, in Simplified Chinese, by the English text of the sources. A test holds the two together. */
export const zh = {
  ...zhCli,
  ...zhErrors,
  ...zhEngine,
  ...zhHints,
  ...zhChecks,
  ...zhDatabase,
  ...zhResults,
  ...zhReport,
  ...zhLint,
  ...zhLog,
  ...zhUmzug,
  ...zhFleet,
  ...zhPostgres,
  ...zhTls,
  ...zhTrust,
  ...zhSystem,
  ...zhProject,
  ...zhStore,
  ...zhSafety,
  ...zhLedger,
  ...zhRun,
  ...zhScaffold,
  ...zhTesting,
} as const satisfies Catalogue;
