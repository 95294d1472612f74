import { expect } from 'chai';
import { describe, it } from 'mocha';
import { expectRefusal, runCli } from '../support/cli.js';
import { useNewProject } from '../support/new-project.js';

describe('umzug-backfill lint', () => {
  const project = useNewProject();

  const unsafe = `import { defineSqlStep } from 'umzug-backfill';
export default defineSqlStep({ up: ['DROP TABLE my_table'], down: ['SELECT 1'] });
`;

  it('ends with 1 and names each finding, for a person, in Chinese and for a program', async () => {
    await project.run('init');
    project.write('migrations/001-drop.mjs', unsafe);
    const result = await project.cli('lint');
    const { hint } = expectRefusal(result, 'STEP_UNSAFE', 1);
    expect(hint).to.include('// backfill-lint-disable RULE reason');
    expect(result.stdout).to.match(
      /^migrations\/001-drop\.mjs: not-reversible: Drops the table my_table with its rows, which .* → Keep .*\n$/,
    );
    const chinese = await project.cli('lint', '--lang', 'zh');
    expect(chinese.stdout).to.match(
      /^migrations\/001-drop\.mjs: not-reversible: 删除表 my_table.* → 请将.*\n$/,
    );
    const json = await project.cli('lint', '--json');
    expect(json.code).to.equal(1);
    expect(json.json().error.code).to.equal('STEP_UNSAFE');
    expect(json.json().findings).to.have.length(1);
    expect(json.json().findings[0]).to.include({
      step: '001-drop',
      file: 'migrations/001-drop.mjs',
      rule: 'not-reversible',
      statement: 'DROP TABLE my_table',
    });
    project.write(
      'migrations/001-drop.mjs',
      `// backfill-lint-disable not-reversible nobody has used it for a year\n${unsafe}`,
    );
    await project.run('lint');
  });

  it('refuses an option or a step that there is not', async () => {
    await project.run('init');
    await project.refused('USAGE', 2, 'lint', '--frobnicate');
    await project.refused('USAGE', 2, 'lint', '--sqlite', 'new');
    await project.refused('STEP_UNKNOWN', 2, 'lint', '001-none');
    await project.refused('STORE_MISSING', 1, 'lint', '--db-path', 'none.db');
  });

  it("finds nothing in this repository's own steps", async () => {
    const { stdout } = await runCli(['lint', '--sqlite', '3.35']);
    expect(stdout).to.equal('No unsafe operations found. Steps checked: 2.\n');
  });
});
