import { expect } from 'chai';
import { before, describe, it } from 'mocha';
import { isLong } from '../support/crash.js';
import { makeDamagedLedger } from '../support/fuzz/ledgers.js';
import { makeDamagedLock } from '../support/fuzz/locks.js';
import { type Finding, fuzz, type Make, type Told } from '../support/fuzz/runner.js';
import { makeLock, makeProject, makeStages, type Stage, settled } from '../support/fuzz/stages.js';
import { makeDamagedStore } from '../support/fuzz/stores.js';
import { makeConfigs, makeWords } from '../support/fuzz/words.js';

// Stores, ledgers, locks, words and configs that nobody expects: no command may crash, hang, take much memory, write elsewhere, or end with
// INTERNAL. UMZUG_BACKFILL_CRASH=long runs all cases, of a new seed each time; the short form repeats one seed, so that only a change of
// ours turns it red. UMZUG_BACKFILL_SEED repeats the cases of an earlier run, and UMZUG_BACKFILL_FUZZ=PART:CASE one of them.

const seed = Number(process.env.UMZUG_BACKFILL_SEED ?? (isLong ? Math.floor(Math.random() * 2 ** 31) : 17));
const [onlyPart, onlyCase] = process.env.UMZUG_BACKFILL_FUZZ?.split(':') ?? [];

/** Findings that stand, by what is said of them: none. */
const KNOWN: readonly { readonly part: string; readonly what: RegExp; readonly why: string }[] = [];

const isKnown = ({ part, what }: Finding): boolean =>
  KNOWN.some((known) => known.part === part && known.what.test(what));

let stages: readonly Stage[] = [];
let alone: readonly Stage[] = [];
let lock: Buffer = Buffer.alloc(0);

const PARTS: Readonly<
  Record<string, { readonly cases: number; readonly short: number; readonly make: () => Make }>
> = {
  stores: { cases: 2000, short: 60, make: () => makeDamagedStore(stages, alone) },
  ledgers: {
    cases: 2000,
    short: 80,
    make: () => makeDamagedLedger(alone.filter(({ name }) => !name.startsWith('v20'))),
  },
  locks: { cases: 500, short: 30, make: () => makeDamagedLock(alone, lock) },
  words: { cases: 5000, short: 250, make: () => makeWords(alone) },
  configs: { cases: 1000, short: 60, make: () => makeConfigs(alone) },
};

describe(`what nobody expects, UMZUG_BACKFILL_SEED=${seed}`, function () {
  this.timeout(isLong ? 3_600_000 : 300_000);

  before(async () => {
    stages = await makeStages();
    alone = await Promise.all(stages.map(async ({ name, image }) => ({ name, image: await settled(image) })));
    lock = await makeLock();
  });

  for (const [part, { cases, short, make }] of Object.entries(PARTS)) {
    const count = isLong ? cases : short;
    it(`${part}: ${count} cases`, async function () {
      if (onlyPart !== undefined && onlyPart !== part) this.skip();
      const only = onlyCase === undefined ? undefined : Number(onlyCase);
      const { findings, told } = await fuzz(part, { seed, cases: count, only }, makeProject, make());
      console.log(`      ${summary(told)}`);
      expect(findings.filter((finding) => !isKnown(finding)).map(line)).to.deep.equal([]);
    });
  }
});

const line = ({ part, case: number, argv, what }: Finding): string =>
  `${part}:${number} ${argv}\n    ${what}`;

const summary = (told: Told): string =>
  Object.entries(told)
    .sort(([, a], [, b]) => b - a)
    .map(([code, count]) => `${code} ${count}`)
    .join(', ');
