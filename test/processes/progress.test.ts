import { mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { on } from '../support/on-store.js';
import { withGeneratedStore } from '../support/stores.js';
import { hasTerminal, onTerminal, screenOf } from '../support/terminal.js';

describe('the progress bar', () => {
  it('draws on a terminal, gives way to the log, and leaves nothing behind', function () {
    if (!hasTerminal()) this.skip();
    return withGeneratedStore({ audits: 3000 }, (path) => {
      const home = join(dirname(path), 'home');
      mkdirSync(home);
      const { code, output } = onTerminal(
        ['up', '--db-path', path, '--no-backup', '--batch-size', '50'],
        home,
      );
      expect(code, output).to.equal(0);
      expect(output).to.match(/\d+\.\d% · [\d,]+ rows/);
      expect(screenOf(output)).to.include('applying v021-2-decision-fields');
      expect(screenOf(output)).not.to.match(/[█░]|% · /);
      for (const line of screenOf(output).split('\n')) expect([...line].length, line).to.be.below(300);
    });
  });

  it('gives way to every line of the log, batch by batch', function () {
    if (!hasTerminal()) this.skip();
    return withGeneratedStore({ audits: 3000 }, (path) => {
      const home = join(dirname(path), 'home');
      mkdirSync(home);
      const args = ['up', '--db-path', path, '--no-backup', '--batch-size', '50', '--log-level', 'debug'];
      const lines = screenOf(onTerminal(args, home, { columns: 200 }).output).split('\n');
      const batches = lines.filter((line) => / {2}batch \d+ of /.test(line));
      expect(batches.length).to.be.above(10);
      for (const line of batches)
        expect(line)
          .to.match(/^\d\d:\d\d:\d\d {2}batch/)
          .and.not.to.match(/[█░]/);
    });
  });

  it('is a line of the log elsewhere, and no escape', () =>
    withGeneratedStore({ audits: 300 }, async (path) => {
      const { stderr, stdout } = await on(path).run(['up', '--no-backup', '--batch-size', '20']);
      expect(stdout + stderr)
        .not.to.include('\u001b')
        .and.not.to.match(/[█░]/);
      for (const line of stderr.trim().split('\n')) expect(JSON.parse(line)).to.have.property('event');
    }));
});
