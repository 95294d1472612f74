import { expect } from 'chai';
import { describe, it } from 'mocha';
import { generateStore } from '../../demo/store-generator.js';
import { main } from '../../src/cli/main.js';
import { bin, cleanEnv, collector, root, runCli, runCommand, useFolder } from '../support/cli.js';

describe('the help', () => {
  const ofStore = ['up', 'down', 'status', 'pending', 'executed', 'verify', 'report', 'backfill', 'skips'];
  const ofProject = ['lint', 'init', 'create'];
  const commands = [...ofStore, ...ofProject];
  const optionsOf = (command: string): readonly string[] =>
    ofProject.includes(command)
      ? ['--json', '--lang']
      : ['--db-path', '--batch-size', '--dry-run', '--json', '--log-level', '--yes'];

  for (const command of commands) {
    it(`of ${command} gives an example, and the default of each option`, async () => {
      const { code, stdout, stderr } = await runCli([command, '--help']);
      expect({ code, stderr }).to.deep.equal({ code: 0, stderr: '' });
      expect(stdout).to.match(new RegExp(`\nExample:\n  umzug-backfill ${command}\\b`));
      const options =
        stdout
          .split(/\nOptions:\n/)[1]
          ?.split(/\n\n/)[0]
          ?.split(/\n(?= {2}-)/) ?? [];
      for (const option of optionsOf(command)) expect(stdout).to.include(option);
      for (const option of options)
        if (!/--help/.test(option)) expect(option.replace(/\s+/g, ' ')).to.include('default: ');
    });
  }

  it('of the program lists the commands and the exit codes', async () => {
    const { code, stdout } = await runCli(['--help']);
    expect(code).to.equal(0);
    for (const command of commands) expect(stdout).to.match(new RegExp(`\n  ${command} `));
    for (const exitCode of [0, 1, 2, 3, 5, 130, 143])
      expect(stdout).to.match(new RegExp(`\\b${exitCode}\\b`));
  });

  it('ends quietly when nobody reads on', async () => {
    const { stderr } = await runCommand(['sh', '-c', `"$0" "$1" up --help | true`, process.execPath, bin]);
    expect(stderr).to.equal('');
  });
});

describe('a table', () => {
  const folder = useFolder();

  it('is as wide on a terminal that does not know its width as where there is none', async () => {
    generateStore({ path: folder.file('store.db'), audits: 10 });
    const shown = async (columns?: number): Promise<string> => {
      const stdout = Object.assign(collector(), columns === undefined ? {} : { columns });
      const context = { env: cleanEnv(folder.path), folder: root, stdout, stderr: collector() };
      await main(['status', '--db-path', folder.file('store.db')], context);
      return stdout.text;
    };
    expect(await shown(0)).to.equal(await shown());
    expect(await shown(80)).not.to.equal(await shown());
  });
});
