import { count, seconds } from '../format.js';
import type { BackfillStep } from '../migrate/session.js';
import { shellWord } from '../shell.js';
import type { CheckResult, Verdict } from '../verify/check.js';
import { showValue } from '../verify/times.js';
import type { Messages } from './messages.js';

/** One thing that a check found, in a report's words. */
export interface CheckLine {
  readonly verdict: Verdict;
  readonly text: string;
  /** Keys of the first rows it concerns. */
  readonly keys?: readonly string[];
}

/** What a report says of one check. */
export interface CheckText {
  readonly title: string;
  readonly verdict: Verdict;
  readonly lines: readonly CheckLine[];
  /** What mends it, in words, and the command if there is one. Only of a check that failed. */
  readonly fix?: { readonly text: string; readonly command?: string };
}

// A check's own texts are English: here each is said again in the report's language, from the check's figures.

interface CoverageFigures {
  readonly rowsInScope: number;
  readonly columns: readonly ({
    readonly name: string;
    readonly filled: number;
    readonly percent: number;
  } & Readonly<Record<(typeof NULL_KINDS)[number], number>>)[];
  readonly skips: Readonly<Record<string, number>>;
}

interface TimestampFigures {
  readonly columns: readonly {
    readonly name: string;
    readonly min: string | null;
    readonly max: string | null;
    readonly valid: number;
    readonly withoutOffset: number;
    readonly fromFallback: number;
    readonly invalid: number;
    readonly future: number;
  }[];
  readonly endBeforeStart: number;
  readonly endBeforeFallback: number;
  readonly mixedOffsets: number;
}

const NULL_KINDS = ['fillable', 'waiting', 'refused', 'withoutValue'] as const;

/** A check's figures: each check has its own, and says in its code which. */
const figuresOf = <Figures>({ stats }: CheckResult): Figures => stats as Figures;

/** Says what a check found. */
export function checkText(check: CheckResult, step: BackfillStep, words: Messages): CheckText {
  const lines = linesOf(check, step, words);
  const fix = check.verdict === 'fail' ? fixFor(check, step, words) : undefined;
  return { title: titleOf(check, step, words), verdict: check.verdict, lines, ...(fix ? { fix } : {}) };
}

function titleOf({ id }: CheckResult, { checks }: BackfillStep, words: Messages): string {
  if (id === 'groups') return words.checks.groups(checks.groupBy);
  return words.checks[id === 'index-use' ? 'indexUse' : id];
}

function linesOf(check: CheckResult, step: BackfillStep, words: Messages): CheckLine[] {
  switch (check.id) {
    case 'coverage':
      return coverageLines(check, words);
    case 'consistency':
      return consistencyLines(check, words);
    case 'groups':
      return [pass(words.groupCount(count(figuresOf<{ groups: readonly unknown[] }>(check).groups.length)))];
    case 'index-use':
      return indexLines(check, words);
    case 'timestamps':
      return timestampLines(check, step, words);
    case 'nulls':
      return nullLines(check, words);
    case 'lag':
      return lagLines(check, step, words);
    case 'integrity':
      return integrityLines(check, words);
    case 'rules':
      return ruleLines(check, words);
  }
}

const pass = (text: string): CheckLine => ({ verdict: 'pass', text });

/**
 * Makes lines of counts: none of a count of zero. Verdict and sample keys are the finding's own: findings that count rows have keys, in the
 * order of the figures.
 */
function counted({ findings }: CheckResult): (rows: number, text: (rows: string) => string) => CheckLine[] {
  const found = findings.filter(({ sampleKeys }) => sampleKeys !== undefined).values();
  return (rows, text) => {
    if (rows === 0) return [];
    const { verdict = 'warn', sampleKeys: keys } = found.next().value ?? {};
    return [{ verdict, text: text(count(rows)), ...(keys ? { keys } : {}) }];
  };
}

function coverageLines(check: CheckResult, words: Messages): CheckLine[] {
  const { columns, rowsInScope, skips } = figuresOf<CoverageFigures>(check);
  const line = counted(check);
  const lines = columns.flatMap((column): CheckLine[] => [
    pass(words.filledOf(column.name, count(column.filled), count(rowsInScope), `${column.percent}%`)),
    ...NULL_KINDS.flatMap((kind) => line(column[kind], (cells) => words[kind](cells, column.name))),
  ]);
  const reasons = Object.entries(skips).map(([reason, rows]) => `${count(rows)} ${reason}`);
  if (reasons.length > 0) lines.push({ verdict: 'warn', text: words.skipped(reasons.join(words.comma)) });
  return lines;
}

function consistencyLines(check: CheckResult, words: Messages): CheckLine[] {
  type Figure = 'cellsFilled' | 'equal' | 'changedInRun' | 'changedMeanwhile' | 'changedSince' | 'written';
  const found = figuresOf<Record<Figure | 'declaredOtherwise' | 'underivable', number>>(check);
  const line = counted(check);
  return [
    pass(words.equal(count(found.equal), count(found.cellsFilled))),
    ...line(found.changedInRun, words.changedInRun),
    ...line(found.changedMeanwhile, words.changedMeanwhile),
    ...line(found.changedSince, words.changedSince),
    ...line(found.declaredOtherwise, words.declaredOtherwise),
    ...line(found.underivable, words.underivable),
    ...line(found.written, words.written),
  ];
}

function indexLines(check: CheckResult, words: Messages): CheckLine[] {
  const { indexes } = figuresOf<{ indexes: readonly { index: string; verdict: Verdict }[] }>(check);
  if (indexes.length === 0) return [pass(words.noIndexes)];
  const translate = { pass: words.indexUsed, warn: words.indexPreferred, fail: words.indexUnused };
  return indexes.map(({ index, verdict }) => ({ verdict, text: translate[verdict](index) }));
}

function timestampLines(check: CheckResult, step: BackfillStep, words: Messages): CheckLine[] {
  const { columns, endBeforeStart, endBeforeFallback, mixedOffsets } = figuresOf<TimestampFigures>(check);
  const fallbackOf = (name: string): string | undefined => {
    const value = step.columns.find((column) => column.name === name)?.value;
    return value?.kind === 'first-of' ? value.fallback : undefined;
  };
  const line = counted(check);
  const lines = columns.flatMap(({ name, min, max, ...found }): CheckLine[] => {
    const fallback = fallbackOf(name);
    return [
      min === null || max === null
        ? pass(words.noTimes(name))
        : pass(words.timeRange(name, showValue(min), showValue(max))),
      ...(found.valid > 0
        ? [pass(words.withoutOffset(name, count(found.withoutOffset), count(found.valid)))]
        : []),
      ...(fallback !== undefined && found.fromFallback > 0
        ? [pass(words.fromFallback(name, count(found.fromFallback), count(found.valid), fallback))]
        : []),
      ...line(found.invalid, (values) => words.invalidTimes(values, name)),
      ...line(found.future, (values) => words.futureTimes(values, name)),
    ];
  });
  const { from = '', to = '' } = step.checks.lag ?? {};
  const fallback = fallbackOf(from);
  return [
    ...lines,
    ...line(endBeforeStart, (rows) => words.endBeforeStart(rows, to, from)),
    ...(fallback !== undefined && endBeforeFallback > 0
      ? [pass(words.endBeforeFallback(count(endBeforeFallback), from, fallback))]
      : []),
    ...line(mixedOffsets, (rows) => words.mixedOffsets(rows, from, to)),
  ];
}

function nullLines(check: CheckResult, words: Messages): CheckLine[] {
  const { rows } = figuresOf<{ rows: readonly { columns: readonly string[]; rows: number }[] }>(check);
  if (rows.length === 0) return [pass(words.noNulls)];
  return rows.map((found) => pass(words.nullIn(count(found.rows), found.columns.join(words.comma))));
}

function lagLines(check: CheckResult, { checks }: BackfillStep, words: Messages): CheckLine[] {
  const found =
    figuresOf<Partial<Record<'count' | 'p50Seconds' | 'p95Seconds' | 'p99Seconds' | 'maxSeconds', number>>>(
      check,
    );
  if (found.count === undefined) return [pass(checks.lag ? words.noLags : words.lagNotAsked)];
  const [p50, p95, p99, max] = [found.p50Seconds, found.p95Seconds, found.p99Seconds, found.maxSeconds].map(
    (value) => seconds(value ?? 0),
  );
  return [pass(words.lagFigures(count(found.count), p50 ?? '', p95 ?? '', p99 ?? '', max ?? ''))];
}

function integrityLines(check: CheckResult, words: Messages): CheckLine[] {
  const { batches, contradictions, held, recorded } =
    figuresOf<Record<'batches' | 'contradictions' | 'held' | 'recorded', number>>(check);
  const lines: CheckLine[] =
    contradictions > 0
      ? [{ verdict: 'fail', text: words.contradictions(count(contradictions)) }]
      : [pass(words.batchesAgree(count(batches)))];
  const { verdict = 'warn' } = check.findings.at(-1) ?? {}; // cells that are more or fewer are its last finding
  if (held > recorded) lines.push({ verdict, text: words.cellsMore(count(held - recorded)) });
  if (held < recorded) lines.push({ verdict, text: words.cellsFewer(count(recorded - held)) });
  return lines;
}

function ruleLines(check: CheckResult, words: Messages): CheckLine[] {
  const line = counted(check);
  const { rules } = figuresOf<{ rules: readonly { title: string; rows: number }[] }>(check);
  return rules.flatMap(({ title, rows }) =>
    rows === 0 ? [pass(words.ruleKept(title))] : line(rows, (broken) => words.ruleBroken(title, broken)),
  );
}

function fixFor({ id, hint }: CheckResult, { name }: BackfillStep, words: Messages): CheckText['fix'] {
  const { fixes } = words;
  const command = `umzug-backfill backfill ${shellWord(name)} --rescan`;
  if (id === 'coverage' || id === 'integrity') return { text: fixes[id], command };
  if (id === 'consistency')
    return {
      text: fixes.consistency,
      command: `umzug-backfill down --to ${shellWord(name)} && umzug-backfill up`,
    };
  if (id === 'rules') return { text: fixes.rules, command: 'umzug-backfill up' };
  if (id !== 'index-use') return undefined;
  return hint?.startsWith('umzug-backfill up')
    ? { text: fixes.indexRemake, command: 'umzug-backfill up' }
    : { text: fixes.indexAnalyze };
}
