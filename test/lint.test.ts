import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { expect } from 'chai';
import { before, describe, it } from 'mocha';
import { root } from './support/cli.js';
import { type Finding, type LintJson, sqlFile, useLinted } from './support/linted.js';
import { postgresRows } from './support/unsafe-postgres-steps.js';
import { rows, SCHEMA, type Sql } from './support/unsafe-steps.js';

describe('lint', () => {
  const project = useLinted();
  const stepOf = new Map<Sql, string>();
  /** What is said of all steps, by the oldest SQLite that they are for. */
  const said = new Map<string | undefined, LintJson>();

  before(async () => {
    for (const [rule, { bad, fine }] of Object.entries(rows)) {
      [...bad, ...fine].forEach((sql, i) => {
        const { up, down } = 'down' in sql ? sql : { ...sql, down: ['SELECT 1'] };
        stepOf.set(sql, `${rule}-${i}`);
        project.write(`${rule}-${i}`, sqlFile(up, down));
      });
    }
    for (const { sqlite } of Object.values(rows))
      if (!said.has(sqlite))
        said.set(sqlite, await project.lint(...(sqlite === undefined ? [] : ['--sqlite', sqlite])));
  });

  const findings = (sql: Sql, sqlite?: string): readonly Finding[] => {
    const { steps, findings: all } = said.get(sqlite) as LintJson;
    expect(steps).to.include(stepOf.get(sql));
    return all.filter(({ step }) => step === stepOf.get(sql));
  };

  /** What SQLite itself says to a step where the tables have rows; undefined when it takes it. */
  function refusal({ up }: Sql): string | undefined {
    const db = new Database(':memory:');
    try {
      db.exec(SCHEMA);
      for (const statement of up) db.prepare(statement).run();
      return undefined;
    } catch (error) {
      return (error as Error).message;
    } finally {
      db.close();
    }
  }

  it('has a test of every rule, and a section of every one in docs/lint.md', () => {
    // No command lists the rules: they are read where they stand.
    const folder = join(root, 'src/lint/rules');
    const sources = readdirSync(folder).map((name) => readFileSync(join(folder, name), 'utf8'));
    const names = sources.flatMap((text) =>
      [...text.matchAll(/^(?: {2}name: |export const .* = eachStatement\()'([\w-]+)',/gm)].map(
        ([, name]) => name,
      ),
    );
    const tested = [...Object.keys(rows), ...Object.keys(postgresRows)];
    expect([...new Set(tested)]).to.have.members([...new Set(names)]);
    const page = readFileSync(join(root, 'docs/lint.md'), 'utf8');
    const sections = [...page.matchAll(/^### `([\w-]+)`$/gm)].map(([, name]) => name);
    expect(sections).to.have.members([...new Set(names)]);
  });

  for (const [rule, { bad, fine, isRefused, sqlite }] of Object.entries(rows)) {
    for (const sql of bad) {
      it(`${rule}: finds ${sql.up.join('; ')}`, () => {
        const found = findings(sql, sqlite).filter((one) => one.rule === rule);
        expect(found).not.to.have.length(0);
        for (const { message, suggestion } of found) {
          expect(message).to.match(/^[A-Z].*[^.]$/);
          expect(suggestion).to.match(/^[A-Z].*[^.]$/);
        }
        if (isRefused) expect(refusal(sql)).to.be.a('string');
        else expect(refusal(sql)).to.equal(undefined);
      });
    }
    for (const sql of fine) {
      it(`${rule}: takes ${sql.up.join('; ')}`, () => {
        expect(findings(sql, sqlite).map((found) => found.rule)).not.to.include(rule);
        expect(refusal(sql)).to.equal(undefined);
      });
    }
  }
});
