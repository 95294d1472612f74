import { expect } from 'chai';

// Comparisons of whole tables: an assertion's own difference of two would take minutes, and print both.

/** Insists that two maps hold the same under each key, and names the first that differ. */
export function expectSameMap(actual: ReadonlyMap<string, unknown>, expected: ReadonlyMap<string, unknown>) {
  const show = (value: unknown): string => JSON.stringify(value) ?? 'none';
  const keys = [...new Set([...expected.keys(), ...actual.keys()])];
  const wrong = keys.flatMap((key) => {
    const [got, wanted] = [show(actual.get(key)), show(expected.get(key))];
    return got === wanted ? [] : [`row ${key}: ${got.slice(0, 400)}, not ${wanted.slice(0, 400)}`];
  });
  expect(wrong.slice(0, 5), `${wrong.length} of ${keys.length} differ`).to.deep.equal([]);
}

/** Lines by the name of what they are of, as the rows of a table. */
export type State = Readonly<Record<string, readonly string[]>>;

/** Where two states differ, a line for each name. */
export function differences(actual: State, expected: State): string[] {
  const names = [...new Set([...Object.keys(actual), ...Object.keys(expected)])];
  return names.flatMap((name) => {
    const [rows, wanted] = [actual[name] ?? ['(absent)'], expected[name] ?? ['(absent)']];
    const length = Math.max(rows.length, wanted.length);
    const at = Array.from({ length }, (_, i) => i).find((i) => rows[i] !== wanted[i]);
    if (at === undefined) return [];
    const short = (row = '(none)'): string => (row.length > 400 ? `${row.slice(0, 400)} …` : row);
    return [`${name}, row ${at + 1}: ${short(rows[at])}, not ${short(wanted[at])}`];
  });
}

/** Insists that two states are the same. */
export function expectSameTables(actual: State, expected: State): void {
  expect(differences(actual, expected)).to.deep.equal([]);
}
