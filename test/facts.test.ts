import { expect } from 'chai';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import { mergeFacts, noFacts, note, noteMax, noteMin, type ScanFacts } from '../src/verification/facts.js';

/** A row as far as its facts go: its key, its group, its time. */
interface Row {
  readonly key: bigint;
  readonly group: string;
  readonly epochMs: number;
}

/** The facts of some rows of one column, gathered in their order. */
function factsOf(rows: readonly Row[]): ScanFacts {
  const facts = noFacts(['at']);
  const [column] = facts.columns;
  for (const { key, group, epochMs } of rows) {
    facts.rows += 1;
    if (!column) continue;
    column.filled += 1;
    note(column.withoutValue, key);
    note(facts.toBefore, key);
    note(facts.mismatches.foreign, key);
    noteMin(column.timestamps, { text: String(key), epochMs, key });
    noteMax(column.timestamps, { text: String(key), epochMs, key });
    const known = facts.groups.get(group) ?? { firstKey: key, total: 0, filled: [0] };
    facts.groups.set(group, {
      firstKey: key < BigInt(known.firstKey) ? key : known.firstKey,
      total: known.total + 1,
      filled: [(known.filled[0] ?? 0) + 1],
    });
    facts.nulls.set(epochMs, (facts.nulls.get(epochMs) ?? 0) + 1);
  }
  return facts;
}

// Few groups and times, for many ties; every key once.
const rows = fc.uniqueArray(fc.bigInt({ min: -40n, max: 40n }), { maxLength: 60 }).chain((keys) =>
  fc.tuple(
    ...keys.map((key) =>
      fc.record({
        key: fc.constant(key),
        group: fc.constantFrom('a', 'b', 'c'),
        epochMs: fc.integer({ min: 0, max: 3 }),
      }),
    ),
  ),
);

describe('mergeFacts', () => {
  it('gives the same as one pass, whoever gathered what, in whichever order', () => {
    fc.assert(
      fc.property(rows, fc.func(fc.boolean()), fc.boolean(), (all, isFirst, isSwapped) => {
        const parts = [all.filter(({ key }) => isFirst(key)), all.filter(({ key }) => !isFirst(key))];
        const [into, from] = (isSwapped ? parts.reverse() : parts).map(factsOf) as [ScanFacts, ScanFacts];
        mergeFacts(into, structuredClone(from));
        expect(into).to.deep.equal(factsOf(all));
      }),
    );
  });
});
