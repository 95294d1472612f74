import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { before, beforeEach, describe, it } from 'mocha';
import { generateStore } from '../demo/store-generator.js';
import { expectRefusal, runCli, useFolder } from './support/cli.js';
import { give, needUsers, OTHER, plant, SECOND } from './support/users.js';

// A report or a metrics file is written to a name at which, or on the way to which, another user has put a link.

describe('an output behind links of another user', () => {
  const folder = useFolder();
  let count = 0;
  let own = '';
  const at = (name: string): string => join(own, name);
  before(function () {
    needUsers(this);
  });
  beforeEach(() => {
    count += 1;
    own = folder.file(`case-${count}`);
    for (const name of ['', 'open', 'private', 'open/sub']) mkdirSync(at(name));
    chmodSync(at('open'), 0o1777);
    chmodSync(at('private'), 0o700);
    generateStore({ path: at('store.db'), audits: 5 });
  });

  const write = (option: string, path: string): ReturnType<typeof runCli> =>
    runCli([...option.split(' '), path, '--db-path', at('store.db')]);
  const HEADS = { 'report --out': '', 'up --no-backup --metrics-file': '# HELP umzug_backfill_x\nKEEP\n' };

  for (const [option, head] of Object.entries(HEADS)) {
    it(`does not write ${option} through a link, whatever it leads to`, async () => {
      const target = at('private/target');
      for (const content of [undefined, '', head, 'PRECIOUS']) {
        if (content !== undefined) writeFileSync(target, content);
        const link = at(`open/link-${content?.length}`);
        if (!existsSync(link)) plant(target, link);
        const refused = await write(option, link);
        const { message, hint } = expectRefusal(refused, 'OUTPUT_UNTRUSTED', 1);
        expect(message).to.include(`the link ${link} belongs to user id ${OTHER}`);
        expect(hint).to.include('Remove the link');
        expect(existsSync(target) ? readFileSync(target, 'utf8') : undefined).to.equal(content);
        expect(lstatSync(link).isSymbolicLink()).to.equal(true);
      }
    });

    it(`does not write ${option} through a link to a folder, nor one behind root's own link`, async () => {
      plant(at('private'), at('open/folder'));
      symlinkSync(at('open/folder'), at('mine'));
      for (const path of ['open/folder/out', 'mine/out'])
        expectRefusal(await write(option, at(path)), 'OUTPUT_UNTRUSTED', 1);
      expect(existsSync(at('private/out'))).to.equal(false);
    });

    it(`does not write ${option} as root where another user may replace the folder`, async () => {
      give(OTHER, at('open/sub'));
      mkdirSync(at('theirs'));
      mkdirSync(at('theirs/sub'));
      give(SECOND, at('theirs'));
      mkdirSync(at('everyones'));
      mkdirSync(at('everyones/sub'));
      chmodSync(at('everyones'), 0o777);
      for (const [path, named] of [
        ['open/sub/out', 'open/sub'],
        ['theirs/sub/out', 'theirs'],
        ['everyones/sub/out', 'everyones'],
      ] as const) {
        const { message } = expectRefusal(await write(option, at(path)), 'OUTPUT_UNTRUSTED', 1);
        expect(message).to.match(new RegExp(` in or at ${at(named)}$`));
        expect(existsSync(at(path))).to.equal(false);
      }
    });

    it(`writes ${option} through root's own links, and into folders that others may write but not replace`, async () => {
      symlinkSync(at('private'), at('mine'));
      mkdirSync(at('theirs'));
      give(OTHER, at('theirs'));
      mkdirSync(at('everyones'));
      chmodSync(at('everyones'), 0o777);
      for (const path of ['mine/out', 'open/out', 'open/sub/out', 'theirs/out', 'everyones/out']) {
        const { code, stderr } = await write(option, at(path));
        expect(code, stderr).to.equal(0);
        expect(lstatSync(at(path)).isFile(), path).to.equal(true);
      }
    });
  }

  it('is told in Chinese', async () => {
    plant(at('private/x'), at('open/link'));
    const result = await runCli([
      'report',
      '--out',
      at('open/link'),
      '--lang',
      'zh',
      '--db-path',
      at('store.db'),
    ]);
    expect(result.stderr).to.include(
      `无法将报告写入 ${at('open/link')}：链接 ${at('open/link')} 属于用户 ID ${OTHER}`,
    );
  });
});
