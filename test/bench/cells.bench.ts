import { existsSync } from 'node:fs';
import { expect } from 'chai';
import { it } from 'mocha';
import { dropStore, freshStore, migrate } from '../../bench/measure.js';
import { actualCells, expectedCells, expectedSkips } from '../support/reference.js';

// The cell-by-cell test of `test/acceptance.fill.test.ts`, on the stores that the benchmarks run on: 1,000,000 audits each.

for (const kind of ['bench', 'wide'] as const)
  it(`the store \`${kind}\` holds in every cell what the oracle derives, records every skip, and is as before when taken back`, async () => {
    const store = freshStore({ audits: 1_000_000, store: kind });
    const untouched = actualCells(store);
    const expected = expectedCells(store);
    const skipped = expectedSkips(store).size;
    await migrate(store, 'up', '--no-backup');
    const actual = actualCells(store);
    expect(actual.size).to.equal(expected.size);
    const wrong = [...expected].filter(([key, cells]) => {
      const found = actual.get(key);
      return found?.[0] !== cells[0] || found[1] !== cells[1];
    });
    expect(wrong.map(([key]) => key)).to.deep.equal([]);
    const { output } = await migrate(store, 'skips', '--json');
    const recorded = (JSON.parse(output) as { backfills: { skips: { key: string }[] }[] }).backfills;
    expect(new Set(recorded.flatMap(({ skips }) => skips.map(({ key }) => key))).size).to.equal(skipped);
    await migrate(store, 'down', '--no-backup');
    const back = actualCells(store);
    expect([...back.values()].every(([source, processed]) => source === null && processed === null)).to.equal(
      true,
    );
    expect(back.size).to.equal(untouched.size);
    dropStore(store);
    expect(existsSync(store)).to.equal(false);
  });
