import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { type Finding, type LintOptions, lint } from '../src/lint/lint.js';
import { RULES } from '../src/lint/rules.js';
import { defineSqlStep } from '../src/steps/sql-step.js';
import type { Step } from '../src/steps/step.js';
import { root, useFolder } from './support/cli.js';
import { rows, SCHEMA, type Sql } from './support/unsafe-steps.js';

describe('lint', () => {
  const folder = useFolder();

  /** Findings of one step of SQL, in a file with these comments. */
  function findings({ up, down }: Sql, options: LintOptions = {}, comments = ''): readonly Finding[] {
    const path = join(folder.path, '001-step.js');
    writeFileSync(path, comments);
    const definition = defineSqlStep({ up, ...(down ? { down } : {}) });
    const step: Step = { ...definition, name: '001-step', path };
    return lint([step], options).findings;
  }
  const rulesOf = (found: readonly Finding[]): string[] => found.map(({ rule }) => rule);
  const withDown = (sql: Sql): Sql => ('down' in sql ? sql : { ...sql, down: ['SELECT 1'] });

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
    const names = RULES.map(({ name }) => name);
    expect(Object.keys(rows)).to.have.members(names);
    const page = readFileSync(join(root, 'docs/lint.md'), 'utf8');
    const sections = [...page.matchAll(/^### `([\w-]+)`$/gm)].map(([, name]) => name);
    expect(sections).to.have.members(names);
  });

  for (const [rule, { bad, fine, isRefused, options }] of Object.entries(rows)) {
    for (const sql of bad) {
      it(`${rule}: finds ${sql.up.join('; ')}`, () => {
        const found = findings(withDown(sql), options).filter((one) => one.rule === rule);
        expect(found).not.to.have.length(0);
        for (const { message, instead } of found) {
          expect(message).to.match(/^[A-Z].*[^.]$/);
          expect(instead).to.match(/^[A-Z].*[^.]$/);
        }
        if (isRefused) expect(refusal(sql)).to.be.a('string');
        else expect(refusal(sql)).to.equal(undefined);
      });
    }
    for (const sql of fine) {
      it(`${rule}: takes ${sql.up.join('; ')}`, () => {
        expect(rulesOf(findings(withDown(sql), options))).not.to.include(rule);
        expect(refusal(sql)).to.equal(undefined);
      });
    }
  }
});
