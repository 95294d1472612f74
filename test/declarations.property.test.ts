import { expect } from 'chai';
import fc from 'fast-check';
import { before, describe, it } from 'mocha';
import { type BackfillDefinition, defineBackfill, sql } from '../src/index.js';
import { ledgeredCells } from './support/ledger.js';
import { checkOf, stoppedAfter } from './support/migrate.js';
import { OWN_ENGINES, type OwnEngine, type OwnTables } from './support/own-tables.js';
import { type Extra, named, type Outcome, type Step } from './support/project.js';

// Lives of a table whose backfill is declared anew now and then, against a model of which cells were filled by what.

const NAME = '1-fill';
const COLUMNS = ['x', 'y'] as const;
type Column = (typeof COLUMNS)[number];

interface Declaration {
  /** Columns that a function fills: the digit is its version. */
  readonly processed: readonly Column[];
  /** x is a times ten and this, y the same and 5. */
  readonly digit: number;
  /** Rows with an s up to this are in scope. */
  readonly scope: number;
  readonly columns: readonly Column[];
}

const expressionOf = ({ digit }: Declaration, column: Column): string =>
  `a * 10 + ${column === 'x' ? digit : digit + 5}`;

const filledByFunction = ({ processed, columns }: Declaration): readonly Column[] =>
  columns.filter((column) => processed.includes(column));

const isProcess = (declaration: Declaration): boolean => filledByFunction(declaration).length > 0;

const stepOf = (declaration: Declaration): Step => {
  const about = { table: 't', key: 'id', scope: `s <= ${declaration.scope}` } as const;
  const { columns, digit } = declaration;
  const own = filledByFunction(declaration);
  const valuesOf = ({ a }: { readonly a?: unknown }): Readonly<Record<string, number>> =>
    a === null
      ? {}
      : Object.fromEntries(
          own.map((column) => [column, Number(a) * 10 + (column === 'x' ? digit : digit + 5)]),
        );
  const bySql = (column: Column) => sql(expressionOf(declaration, column));
  if (own.length > 0)
    return named(
      NAME,
      defineBackfill({
        ...about,
        reads: ['a'],
        columns: Object.fromEntries(
          columns.map((column) => [column, own.includes(column) ? 'process' : bySql(column)]),
        ),
        process: (rows) => rows.map(valuesOf),
        processVersion: digit,
      }) as BackfillDefinition,
    );
  return named(
    NAME,
    defineBackfill({
      ...about,
      columns: Object.fromEntries(columns.map((column) => [column, bySql(column)])),
    }),
  );
};

// ---- what happens --------------------------------------------------------------------------------------------------

type Event =
  | { readonly kind: 'up' | 'backfill' | 'rescan'; readonly stop: number; readonly throws: boolean }
  | { readonly kind: 'declare'; readonly declaration: Declaration }
  | { readonly kind: 'change'; readonly sql: string }
  | { readonly kind: 'verify' }
  | {
      readonly kind: 'down';
      readonly stop: number;
      readonly isFileGone: boolean;
      readonly confirmed: boolean;
    };

const declarations: fc.Arbitrary<Declaration> = fc.record({
  processed: fc.constantFrom<readonly Column[]>([], [], ['x', 'y'], ['x', 'y'], ['x'], ['y']),
  digit: fc.integer({ min: 1, max: 3 }),
  scope: fc.integer({ min: 0, max: 2 }),
  columns: fc.constantFrom<readonly Column[]>(['x', 'y'], ['x'], ['y'], ['y', 'x']),
});

/** Rows are chosen by n, which nobody changes: keys may be texts. */
const changes: fc.Arbitrary<string> = fc
  .record({
    sql: fc.constantFrom(
      'UPDATE t SET $c = 7777 WHERE n BETWEEN $n AND $m',
      'UPDATE t SET $c = NULL WHERE n BETWEEN $n AND $m',
      'UPDATE t SET a = a + 100 WHERE n BETWEEN $n AND $m',
      'UPDATE t SET a = NULL WHERE n = $n',
      'UPDATE t SET a = 1 WHERE a IS NULL AND n BETWEEN $n AND $m',
      'UPDATE t SET s = (s + 1) % 3 WHERE n BETWEEN $n AND $m',
      'DELETE FROM t WHERE n BETWEEN $n AND $m',
      'UPDATE t SET $c = a * 10 + 1 WHERE n BETWEEN $n AND $m',
      'MOVE $n',
      'MOVE $n',
      'AGAIN $n',
      'INSERT $n',
      'INSERT $n',
      'ANEW',
    ),
    column: fc.constantFrom(...COLUMNS),
    n: fc.integer({ min: 1, max: 30 }),
    more: fc.nat(8),
  })
  .map(({ sql, column, n, more }) =>
    sql
      .replaceAll('$c', column)
      .replaceAll('$n', String(n))
      .replaceAll('$m', String(n + more)),
  );

const stop = fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 4 }));
const event: fc.Arbitrary<Event> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constantFrom('up' as const, 'up' as const, 'backfill' as const, 'rescan' as const),
      stop,
      throws: fc.boolean(),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('declare' as const), declaration: declarations }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('change' as const), sql: changes }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('verify' as const) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('down' as const),
      stop,
      isFileGone: fc.boolean(),
      confirmed: fc.boolean(),
    }),
  },
);

type KeyKind = 'plain' | 'growing' | 'text' | 'large';
const scenes = fc.record({
  keys: fc.constantFrom<KeyKind>('plain', 'growing', 'text', 'large'),
  rows: fc.integer({ min: 0, max: 30 }),
  first: declarations,
  events: fc.array(event, { minLength: 2, maxLength: 16 }),
});

// ---- the table -----------------------------------------------------------------------------------------------------

const keySql = (keys: KeyKind, n: number): string =>
  keys === 'text' ? `'k' || ${1000 + n}` : keys === 'large' ? `9007199254740993 + ${n}` : String(n);

const tableSql = (engine: OwnEngine, keys: KeyKind): string => {
  const type =
    keys === 'text'
      ? 'TEXT PRIMARY KEY'
      : engine.name === 'PostgreSQL'
        ? 'BIGINT PRIMARY KEY'
        : `INTEGER PRIMARY KEY${keys === 'growing' ? ' AUTOINCREMENT' : ''}`;
  return `CREATE TABLE t (id ${type}, n INTEGER, a BIGINT, s INTEGER, x BIGINT, y BIGINT)`;
};

interface Row {
  readonly a: number | null;
  readonly s: number;
  readonly x: number | null;
  readonly y: number | null;
}

async function readRows(own: OwnTables): Promise<Map<string, Row>> {
  const number = (text: string | null | undefined): number | null =>
    text === null || text === undefined ? null : Number(text);
  // As texts: a key may be beyond 2^53.
  const rows = await own.texts('SELECT CAST(id AS TEXT), a, s, x, y FROM t ORDER BY id');
  return new Map(
    rows.map(([id, a, s, x, y]) => [String(id), { a: number(a), s: Number(s), x: number(x), y: number(y) }]),
  );
}

async function change(own: OwnTables, keys: KeyKind, engine: OwnEngine, text: string, fresh: () => number) {
  const [word, n] = text.split(' ');
  if (word === 'AGAIN') {
    // With a key that a row had.
    const there = await own.texts(`SELECT 1 FROM t WHERE id = ${keySql(keys, Number(n))}`);
    if (there.length === 0)
      await own.exec(`INSERT INTO t (id, n, a, s) VALUES (${keySql(keys, Number(n))}, ${n}, ${n}, 0)`);
  } else if (word === 'MOVE') await own.exec(`UPDATE t SET id = ${keySql(keys, fresh())} WHERE n = ${n}`);
  else if (word === 'INSERT') {
    const key = fresh();
    await own.exec(
      `INSERT INTO t (id, n, a, s) VALUES (${keySql(keys, key)}, ${key}, ${n}, ${Number(n) % 3})`,
    );
  } else if (word === 'ANEW')
    await own.exec(`ALTER TABLE t RENAME TO o; ${tableSql(engine, keys)};
      INSERT INTO t (id, n, a, s) SELECT id, n, a, s FROM o; DROP TABLE o`);
  else await own.exec(text);
}

// ---- the model -----------------------------------------------------------------------------------------------------

const derive = (declaration: Declaration, { a }: Row, column: Column): number | null =>
  a === null ? null : a * 10 + declaration.digit + (column === 'x' ? 0 : 5);

interface Fill {
  readonly declaration: Declaration;
  /** Cells, as `key column`. */
  readonly cells: readonly string[];
}

const splitCell = (cell: string): readonly [string, Column] => {
  const at = cell.lastIndexOf(' ');
  return [cell.slice(0, at), cell.slice(at + 1) as Column];
};

/** What filled each cell, first to last. */
function fillersOf(fills: ReadonlyMap<number, Fill>): Map<string, Declaration[]> {
  const fillers = new Map<string, Declaration[]>();
  for (const [, { declaration, cells }] of [...fills].sort(([a], [b]) => a - b))
    for (const cell of cells) fillers.set(cell, [...(fillers.get(cell) ?? []), declaration]);
  return fillers;
}

/** Whether a function that filled is not in the file any more. */
const isLost = (filler: Declaration, file: Declaration | undefined): boolean =>
  isProcess(filler) &&
  !(
    file &&
    file.digit === filler.digit &&
    filledByFunction(filler).every((column) => filledByFunction(file).includes(column))
  );

/** What `down` must do. */
function expectedDown(
  rows: ReadonlyMap<string, Row>,
  fills: ReadonlyMap<number, Fill>,
  file: Declaration | undefined,
) {
  const holds = (by: Declaration, row: Row, column: Column): boolean =>
    !isLost(by, file) && derive(by, row, column) === row[column];
  const counts = { reverted: 0, kept: 0, gone: 0, underivable: 0 };
  const left = new Map([...rows].map(([key, row]) => [key, { ...row } as Record<string, number | null>]));
  for (const [cell, by] of fillersOf(fills)) {
    const [key, column] = splitCell(cell);
    const row = rows.get(key);
    if (!row) counts.gone += 1;
    else if (row[column] === null) continue;
    else if (by.some((declaration) => holds(declaration, row, column))) {
      counts.reverted += 1;
      (left.get(key) as Record<string, number | null>)[column] = null;
    } else counts[by[0] && isLost(by[0], file) ? 'underivable' : 'kept'] += 1;
  }
  const hasLost = [...fills.values()].some(
    ({ declaration, cells }) => cells.length > 0 && isLost(declaration, file),
  );
  return { counts, left, hasLost };
}

// ---- a life --------------------------------------------------------------------------------------------------------

const codeOf = (promise: Promise<Outcome>): Promise<string | undefined> =>
  promise.then(
    ({ error }) => error?.code,
    (error: { code?: string }) => error.code ?? String(error),
  );

async function live(own: OwnTables, engine: OwnEngine, { keys, rows, first, events }: Scene) {
  let declaration = first;
  let highest = 100; // of keys: lower ones are of rows that were there at first, or come again
  let hasWrittenSame = events.some((one) => one.kind === 'change' && one.sql.includes('a * 10'));
  let fills = new Map<number, Fill>();
  /** What a stopped `down` has told of already. */
  let carried = { reverted: 0, kept: 0, gone: 0, underivable: 0 };
  const fresh = (): number => {
    highest += 1;
    return highest;
  };
  for (let n = 1; n <= rows; n += 1)
    await own.exec(`INSERT INTO t (id, n, a, s) VALUES (${keySql(keys, n)}, ${n}, ${n}, ${n % 3})`);

  const project = (isGone = false) =>
    own.of(isGone ? [] : [stepOf(declaration)], { batchRows: 5, pace: 'full' });
  /** Drops what the ledger has taken back, and adds what it has filled by the present declaration. */
  const follow = async (earlier: ReadonlyMap<string, Row>): Promise<void> => {
    const ledger = await own.ledger();
    const now = await readRows(own);
    const known = new Map<number, string[]>();
    if (ledger.exists())
      for (const { number } of ledger.batches(NAME)) {
        const one = {
          ...ledger,
          batches: () => ledger.batches(NAME).filter((batch) => batch.number === number),
        };
        known.set(number, ledgeredCells(one, NAME));
      }
    const filled = new Set<string>();
    for (const [key, row] of now)
      for (const column of COLUMNS) {
        const before = earlier.get(key)?.[column];
        if (before === row[column]) continue;
        expect(before, `${key} ${column} was written over`).to.equal(null);
        expect(row[column]).to.equal(derive(declaration, row, column));
        expect(row.s).to.be.at.most(declaration.scope);
        expect(declaration.columns).to.include(column);
        filled.add(`${key} ${column}`);
      }
    expect([...now.keys()]).to.deep.equal([...earlier.keys()]);
    const added: string[] = [];
    const next = new Map<number, Fill>();
    for (const [number, cells] of known) {
      const old = fills.get(number);
      if (old) expect(cells).to.deep.equal(old.cells);
      else added.push(...cells);
      next.set(number, old ?? { declaration, cells });
    }
    for (const number of fills.keys()) expect(known.has(number), `batch ${number}`).to.equal(true);
    expect(added.sort()).to.deep.equal([...filled].sort());
    fills = next;
  };
  const unfinishedBy = async (): Promise<Declaration | undefined> => {
    const ledger = await own.ledger();
    if (!ledger.exists() || !ledger.step(NAME)) return undefined;
    const open = ledger
      .runs(NAME)
      .filter(({ status, batches }) => (status === 'running' || status === 'filled') && batches > 0);
    const last = ledger.batches(NAME).findLast(({ run }) => open.some((one) => one.run === run));
    return last && fills.get(last.number)?.declaration;
  };
  const isSame = (a: Declaration, b: Declaration): boolean =>
    JSON.stringify(stepOf(a)) === JSON.stringify(stepOf(b));

  for (const one of events) {
    const earlier = await readRows(own);
    if (one.kind === 'declare') declaration = one.declaration;
    else if (one.kind === 'change') await change(own, keys, engine, one.sql, fresh);
    else if (one.kind === 'verify') {
      const verification = await project()
        .verify()
        .then(
          ([found]) => found,
          (error: { code?: string }) => {
            expect(error.code).to.be.oneOf(['STEP_NOT_APPLIED']);
            return undefined;
          },
        );
      if (verification) judge(verification, earlier);
    } else if (one.kind === 'down') {
      const ledger = await own.ledger();
      const begun = ledger.exists() && ledger.step(NAME) !== undefined;
      const isGone = one.isFileGone && fills.size > 0;
      if (!begun) continue;
      const file = isGone ? undefined : declaration;
      const { counts, left, hasLost } = expectedDown(earlier, fills, file);
      const [planned] = (await project(isGone).plan(['down'])).steps;
      expect(planned.cells, 'dry run').to.deep.equal(counts);
      const extra: Extra = {
        ...(one.stop > 0 ? stoppedAfter(one.stop, 'batch_reverted') : {}),
        confirmed: one.confirmed,
      };
      if (hasLost && !one.confirmed) {
        expect(await codeOf(project(isGone).down({}, extra))).to.equal('STEP_DRIFTED');
        expect(await readRows(own)).to.deep.equal(earlier);
        continue;
      }
      const outcome = await project(isGone).down({}, extra);
      if (outcome.error) {
        expect(outcome.error.code).to.equal('TERMINATED');
        // What is left is ours as it was.
        const numbers = new Set((await own.ledger()).batches(NAME).map(({ number }) => number));
        const taken = new Map([...fills].filter(([number]) => !numbers.has(number)));
        fills = new Map([...fills].filter(([number]) => numbers.has(number)));
        const now = await readRows(own);
        const lost = fillersOf(taken);
        const rest = fillersOf(fills);
        for (const [cell, by] of lost) {
          if (rest.has(cell)) continue;
          const [key, column] = splitCell(cell);
          const row = now.get(key);
          if (!row) carried.gone += 1;
          else if (row[column] !== null) carried[by[0] && isLost(by[0], file) ? 'underivable' : 'kept'] += 1;
        }
        for (const [key, row] of now)
          for (const column of COLUMNS) {
            const was = earlier.get(key) as Row;
            if (was[column] === row[column]) continue;
            expect(row[column]).to.equal(null);
            carried.reverted += 1;
            const by = lost.get(`${key} ${column}`) ?? [];
            const known = by.filter((filler) => !isLost(filler, file));
            expect(known.map((filler) => derive(filler, was, column))).to.include(was[column]);
          }
        // They hold what their row derives, and the ledger has let go of them.
        hasWrittenSame ||= carried.underivable > 0;
      } else {
        const all = Object.entries(counts).map(([why, cells]) => [why, cells + carried[why as 'kept']]);
        expect(outcome.cells, 'down').to.deep.equal([{ backfill: NAME, ...Object.fromEntries(all) }]);
        carried = { reverted: 0, kept: 0, gone: 0, underivable: 0 };
        expect(Object.fromEntries(await readRows(own))).to.deep.equal(Object.fromEntries(left));
        expect((await own.ledger()).exists()).to.equal(false);
        fills = new Map();
      }
    } else {
      const by = await unfinishedBy();
      const extra: Extra = one.stop === 0 ? {} : one.throws ? thrownAfter(one.stop) : stoppedAfter(one.stop);
      const commands = project();
      const code = await codeOf(
        one.kind === 'up'
          ? commands.up({}, extra)
          : one.kind === 'backfill'
            ? commands.backfill(extra)
            : commands.rescan(NAME, extra),
      );
      if (by && !isSame(by, declaration)) {
        expect(code).to.be.oneOf(one.kind === 'up' ? ['STEP_DRIFTED'] : ['STEP_DRIFTED', 'STEP_NOT_APPLIED']);
        expect(await readRows(own)).to.deep.equal(earlier);
      } else
        expect(code).to.be.oneOf([
          undefined,
          ...(one.stop > 0 ? ['TERMINATED', 'INTERNAL'] : []),
          'VERIFICATION_FAILED',
          ...(one.kind === 'up' ? [] : ['STEP_NOT_APPLIED']),
        ]);
      await follow(earlier);
      if (code === 'VERIFICATION_FAILED') expect(mayFail(await readRows(own))).to.equal(true);
      if ((await own.ledger()).step(NAME)?.status !== 'reverting')
        carried = { reverted: 0, kept: 0, gone: 0, underivable: 0 };
    }
  }

  /** Whether a verification may fail: for a cell to fill, for one of ours that was changed, for one of theirs that looks like ours. */
  function mayFail(now: ReadonlyMap<string, Row>): boolean {
    const fillers = fillersOf(fills);
    const isBad = (key: string, row: Row, column: Column): boolean => {
      if (row[column] === null) return derive(declaration, row, column) !== null;
      const last = fillers.get(`${key} ${column}`)?.at(-1);
      return last !== undefined && derive(last, row, column) !== row[column];
    };
    return (
      hasWrittenSame ||
      [...now].some(
        ([key, row]) =>
          row.s <= declaration.scope && declaration.columns.some((column) => isBad(key, row, column)),
      )
    );
  }

  function judge(verification: Parameters<typeof checkOf>[0], now: ReadonlyMap<string, Row>): void {
    const fillers = fillersOf(fills);
    const found = { declaredOtherwise: 0, changed: 0, written: 0, underivable: 0 };
    for (const [key, row] of now) {
      if (row.s > declaration.scope) continue;
      for (const column of declaration.columns) {
        if (row[column] === null || row[column] === derive(declaration, row, column)) continue;
        const last = fillers.get(`${key} ${column}`)?.at(-1);
        if (!last) found.written += 1;
        else if (isLost(last, declaration)) found.underivable += 1;
        else if (derive(last, row, column) === row[column]) found.declaredOtherwise += 1;
        else found.changed += 1;
      }
    }
    const { verdict, stats } = checkOf(verification, 'consistency');
    const told = stats as Record<string, number>;
    expect({
      declaredOtherwise: told.declaredOtherwise,
      changed: (told.changedInRun ?? 0) + (told.changedSince ?? 0) + (told.changedMeanwhile ?? 0),
      written: told.written,
      underivable: told.underivable,
    }).to.deep.equal(found);
    if (!mayFail(now)) expect(verification.verdict).not.to.equal('fail');
    if (found.changed === 0) expect(verdict).not.to.equal('fail');
    else expect(verdict).not.to.equal('pass');
    // What the application has written, and the row derives, looks like ours.
    if (!hasWrittenSame) expect(checkOf(verification, 'integrity').verdict).not.to.equal('fail');
  }
}

const thrownAfter = (k: number): Extra => {
  let batches = 0;
  return {
    onEvent: ({ event: happened }) => {
      if (happened !== 'batch_committed') return;
      batches += 1;
      if (batches === k) throw new Error('thrown by the test');
    },
  };
};

interface Scene {
  readonly keys: KeyKind;
  readonly rows: number;
  readonly first: Declaration;
  readonly events: readonly Event[];
}

/** How many lives, where a test run is to have more of them. */
const numRuns = Number(process.env.UMZUG_BACKFILL_LIVES ?? 0);

for (const engine of OWN_ENGINES) {
  describe(`lives of a table whose backfill is declared anew, ${engine.name}`, () => {
    before(function () {
      if (engine.whyNot() !== undefined) this.skip();
    });

    it('take back exactly what each declaration filled, and change nothing else', async () => {
      const property = fc.asyncProperty(scenes, (scene) =>
        engine.withTables(tableSql(engine, scene.keys), (own) => live(own, engine, scene)),
      );
      await fc.assert(property, { numRuns: numRuns || (engine.name === 'SQLite' ? 25 : 4) });
    }).timeout(900_000);
  });
}
