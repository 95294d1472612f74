import type { Step } from '../steps/step.js';
import type { Lang } from '../words/lang.js';
import { en } from './words.en.js';
import { zh } from './words.zh.js';

/** A number, an amount or a name, ready to be shown. */
type Shown = string;

/** Every word of a report that a person reads, but for what the store and the project name themselves. */
export interface Words {
  /** As the attribute `lang` has it. */
  readonly locale: string;
  readonly title: string;
  readonly store: string;
  readonly storeSize: string;
  readonly madeAt: string;
  readonly madeBy: string;
  /** Between the items of a list within a sentence. */
  readonly comma: string;
  /** That all times are in UTC. */
  readonly timesAreUtc: string;
  readonly noBackfills: string;

  readonly verdicts: Readonly<Record<'pass' | 'warn' | 'fail' | 'none', Shown>>;
  readonly overall: string;
  readonly backfill: string;
  readonly table: string;
  readonly key: string;
  readonly columns: string;

  readonly verification: string;
  readonly verifiedIn: (duration: Shown) => string;
  readonly notApplied: string;
  readonly notVerified: string;
  readonly verdict: string;
  readonly keys: (keys: Shown) => string;
  readonly checks: {
    readonly coverage: string;
    readonly consistency: string;
    /** @param column undefined: all rows together */
    readonly groups: (column: Shown | undefined) => string;
    readonly indexUse: string;
    readonly timestamps: string;
    readonly nulls: string;
    readonly lag: string;
    readonly integrity: string;
    readonly rules: string;
  };
  readonly filledOf: (column: Shown, filled: Shown, rows: Shown, percent: Shown) => string;
  readonly fillable: (cells: Shown, column: Shown) => string;
  readonly waiting: (cells: Shown, column: Shown) => string;
  readonly refused: (cells: Shown, column: Shown) => string;
  readonly withoutValue: (cells: Shown, column: Shown) => string;
  readonly skipped: (reasons: Shown) => string;
  readonly equal: (equal: Shown, filled: Shown) => string;
  readonly changedInRun: (cells: Shown) => string;
  readonly changedMeanwhile: (cells: Shown) => string;
  readonly changedSince: (cells: Shown) => string;
  readonly declaredOtherwise: (cells: Shown) => string;
  readonly underivable: (cells: Shown) => string;
  readonly written: (cells: Shown) => string;
  readonly groupCount: (groups: Shown) => string;
  readonly ruleKept: (title: Shown) => string;
  readonly ruleBroken: (title: Shown, rows: Shown) => string;
  readonly indexUsed: (index: Shown) => string;
  readonly indexPreferred: (index: Shown) => string;
  readonly indexUnused: (index: Shown) => string;
  readonly noIndexes: string;
  readonly timeRange: (column: Shown, from: Shown, to: Shown) => string;
  readonly noTimes: (column: Shown) => string;
  readonly withoutOffset: (column: Shown, without: Shown, valid: Shown) => string;
  readonly fromFallback: (column: Shown, rows: Shown, valid: Shown, fallback: Shown) => string;
  readonly invalidTimes: (values: Shown, column: Shown) => string;
  readonly futureTimes: (values: Shown, column: Shown) => string;
  readonly endBeforeStart: (rows: Shown, to: Shown, from: Shown) => string;
  readonly endBeforeFallback: (rows: Shown, from: Shown, fallback: Shown) => string;
  readonly mixedOffsets: (rows: Shown, from: Shown, to: Shown) => string;
  readonly noNulls: string;
  readonly nullIn: (rows: Shown, columns: Shown) => string;
  readonly lagFigures: (rows: Shown, p50: Shown, p95: Shown, p99: Shown, max: Shown) => string;
  readonly noLags: string;
  readonly lagNotAsked: string;
  readonly batchesAgree: (batches: Shown) => string;
  readonly contradictions: (count: Shown) => string;
  readonly cellsMore: (cells: Shown) => string;
  readonly cellsFewer: (cells: Shown) => string;
  readonly mends: Readonly<
    Record<'coverage' | 'consistency' | 'indexRemake' | 'indexAnalyze' | 'integrity' | 'rules', string>
  >;

  readonly asTable: string;
  readonly rows: string;
  readonly filled: (column: Shown) => string;
  readonly share: string;
  readonly otherGroups: string;
  readonly nullGroup: string;
  readonly coverageBy: (column: Shown) => string;
  readonly coverageChart: (shown: Shown, all: Shown) => string;
  readonly shareOf: (percent: Shown, rows: Shown) => string;
  readonly noRows: string;

  readonly lagHeading: (from: Shown, to: Shown) => string;
  readonly lag: string;
  readonly lagFrom: string;
  readonly lagBelow: string;
  readonly lagSpread: string;
  readonly lagSpreadChart: (rows: Shown) => string;
  readonly lagNegative: (rows: Shown) => string;
  readonly lagZero: (rows: Shown) => string;
  readonly lagOverTime: string;
  readonly lagOverTimeChart: (column: Shown, width: Shown) => string;
  readonly lagOutside: (rows: Shown) => string;
  readonly lagIsClose: string;
  readonly slowest: string;
  readonly time: string;

  readonly runs: string;
  readonly run: string;
  readonly kind: string;
  readonly runKinds: Readonly<Record<'first' | 'catch-up' | 'rescan', string>>;
  readonly status: string;
  readonly runStatuses: Readonly<Record<'running' | 'filled' | 'verified' | 'superseded', string>>;
  readonly batches: string;
  readonly rowsRead: string;
  readonly cellsFilled: string;
  readonly cellsSkipped: string;
  readonly startedAt: string;
  readonly endedAt: string;
  readonly rowsPerSecond: string;
  readonly noRuns: string;
  readonly throughput: string;
  readonly throughputChart: string;
  readonly batchSize: string;
  readonly batchSizeChart: string;
  readonly batchNumber: string;
  readonly rowsPerBatch: string;
  readonly earlierLeftOut: (count: Shown) => string;

  readonly skips: string;
  readonly noSkips: string;
  readonly reason: string;
  readonly reasons: Readonly<
    Record<'DOCUMENT_UNREADABLE' | 'NO_USABLE_VALUE' | 'UPDATE_IGNORED' | 'TEXT_INVALID' | 'REFUSED', string>
  >;
  readonly count: string;
  readonly keysOfReason: string;
  readonly moreKeys: (count: Shown) => string;

  readonly timeline: string;
  readonly timelineChart: string;
  readonly steps: string;
  readonly step: string;
  readonly stepKinds: Readonly<Record<Step['kind'], string>>;
  readonly stepStatuses: Readonly<Record<'pending' | 'applying' | 'applied' | 'reverting', string>>;
  readonly took: string;
  readonly command: string;
  readonly commands: string;
  readonly noCommands: string;
  readonly events: Readonly<Record<'command' | 'step' | 'run' | 'verification', string>>;
  readonly recordedVerdicts: string;
}

/** The words of each language. */
export const WORDS: Readonly<Record<Lang, Words>> = { en, zh };
