import type { Lang } from '../messages/lang.js';
import type { Step } from '../steps/step.js';
import { en } from './messages.en.js';
import { zh } from './messages.zh.js';

/** A number, an amount or a name, ready to be shown. */
type DisplayText = string;

/** Every word of a report that a person reads, but for what the store and the project name themselves. */
export interface Messages {
  /** As the attribute `lang` has it. */
  readonly locale: string;
  readonly title: string;
  readonly store: string;
  readonly storeSize: string;
  readonly generatedAt: string;
  readonly generatedBy: string;
  /** Between the items of a list within a sentence. */
  readonly comma: string;
  /** That all times are in UTC. */
  readonly timesAreUtc: string;
  readonly noBackfills: string;

  readonly verdicts: Readonly<Record<'pass' | 'warn' | 'fail' | 'none', DisplayText>>;
  readonly overall: string;
  readonly backfill: string;
  readonly table: string;
  readonly key: string;
  readonly columns: string;

  readonly verification: string;
  readonly verifiedIn: (duration: DisplayText) => string;
  readonly notApplied: string;
  readonly notVerified: string;
  readonly verdict: string;
  readonly keys: (keys: DisplayText) => string;
  readonly checks: {
    readonly coverage: string;
    readonly consistency: string;
    /** @param column undefined: all rows together */
    readonly groups: (column: DisplayText | undefined) => string;
    readonly indexUse: string;
    readonly timestamps: string;
    readonly nulls: string;
    readonly lag: string;
    readonly integrity: string;
    readonly rules: string;
  };
  readonly filledOf: (
    column: DisplayText,
    filled: DisplayText,
    rows: DisplayText,
    percent: DisplayText,
  ) => string;
  readonly fillable: (cells: DisplayText, column: DisplayText) => string;
  readonly waiting: (cells: DisplayText, column: DisplayText) => string;
  readonly refused: (cells: DisplayText, column: DisplayText) => string;
  readonly withoutValue: (cells: DisplayText, column: DisplayText) => string;
  readonly skipped: (reasons: DisplayText) => string;
  readonly equal: (equal: DisplayText, filled: DisplayText) => string;
  readonly changedInRun: (cells: DisplayText) => string;
  readonly changedMeanwhile: (cells: DisplayText) => string;
  readonly changedSince: (cells: DisplayText) => string;
  readonly declaredOtherwise: (cells: DisplayText) => string;
  readonly underivable: (cells: DisplayText) => string;
  readonly written: (cells: DisplayText) => string;
  readonly groupCount: (groups: DisplayText) => string;
  readonly ruleKept: (title: DisplayText) => string;
  readonly ruleBroken: (title: DisplayText, rows: DisplayText) => string;
  readonly indexUsed: (index: DisplayText) => string;
  readonly indexPreferred: (index: DisplayText) => string;
  readonly indexUnused: (index: DisplayText) => string;
  readonly noIndexes: string;
  readonly timeRange: (column: DisplayText, from: DisplayText, to: DisplayText) => string;
  readonly noTimes: (column: DisplayText) => string;
  readonly withoutOffset: (column: DisplayText, without: DisplayText, valid: DisplayText) => string;
  readonly fromFallback: (
    column: DisplayText,
    rows: DisplayText,
    valid: DisplayText,
    fallback: DisplayText,
  ) => string;
  readonly invalidTimes: (values: DisplayText, column: DisplayText) => string;
  readonly futureTimes: (values: DisplayText, column: DisplayText) => string;
  readonly endBeforeStart: (rows: DisplayText, to: DisplayText, from: DisplayText) => string;
  readonly endBeforeFallback: (rows: DisplayText, from: DisplayText, fallback: DisplayText) => string;
  readonly mixedOffsets: (rows: DisplayText, from: DisplayText, to: DisplayText) => string;
  readonly noNulls: string;
  readonly nullIn: (rows: DisplayText, columns: DisplayText) => string;
  readonly lagFigures: (
    rows: DisplayText,
    p50: DisplayText,
    p95: DisplayText,
    p99: DisplayText,
    max: DisplayText,
  ) => string;
  readonly noLags: string;
  readonly lagNotAsked: string;
  readonly batchesAgree: (batches: DisplayText) => string;
  readonly contradictions: (count: DisplayText) => string;
  readonly cellsMore: (cells: DisplayText) => string;
  readonly cellsFewer: (cells: DisplayText) => string;
  readonly fixes: Readonly<
    Record<'coverage' | 'consistency' | 'indexRemake' | 'indexAnalyze' | 'integrity' | 'rules', string>
  >;

  readonly asTable: string;
  readonly rows: string;
  readonly filled: (column: DisplayText) => string;
  readonly share: string;
  readonly otherGroups: string;
  readonly nullGroup: string;
  readonly coverageBy: (column: DisplayText) => string;
  readonly coverageChart: (shown: DisplayText, all: DisplayText) => string;
  readonly shareOf: (percent: DisplayText, rows: DisplayText) => string;
  readonly noRows: string;

  readonly lagHeading: (from: DisplayText, to: DisplayText) => string;
  readonly lag: string;
  readonly lagFrom: string;
  readonly lagBelow: string;
  readonly lagSpread: string;
  readonly lagSpreadChart: (rows: DisplayText) => string;
  readonly lagNegative: (rows: DisplayText) => string;
  readonly lagZero: (rows: DisplayText) => string;
  readonly lagOverTime: string;
  readonly lagOverTimeChart: (column: DisplayText, width: DisplayText) => string;
  readonly lagOutside: (rows: DisplayText) => string;
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
  readonly earlierLeftOut: (count: DisplayText) => string;

  readonly skips: string;
  readonly noSkips: string;
  readonly reason: string;
  readonly reasons: Readonly<
    Record<'DOCUMENT_UNREADABLE' | 'NO_USABLE_VALUE' | 'UPDATE_IGNORED' | 'VALUE_INVALID' | 'REFUSED', string>
  >;
  readonly count: string;
  readonly keysOfReason: string;
  readonly moreKeys: (count: DisplayText) => string;

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
export const MESSAGES: Readonly<Record<Lang, Messages>> = { en, zh };
