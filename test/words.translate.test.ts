import { expect } from 'chai';
import { describe, it } from 'mocha';
import { HAN } from './support/chinese.js';
import { said, toldOf } from './support/said.js';

describe('a text in another language', () => {
  const tells = async (text: string, expected: string): Promise<void> => {
    expect(await said(text)).to.equal(expected);
  };

  it('has its holes turned round, and those said as well that are texts', () =>
    tells('5 MB for the backup', '备份 5 MB'));

  it('takes the form with a number for a number', async () => {
    await tells('x: 1,234 of 2,000 filled (61.7%)', 'x：2,000 行中已填充 1,234 行（61.7%）');
    await tells('x: some of 2,000 filled (61.7%)', 'x: some of 2,000 filled（61.7%）');
  });

  it('takes a text that is known whole before a form, also one that has lost its capital', () =>
    tells('The verification of b failed: index use', 'b 的校验失败：索引使用'));

  it('takes the form with most words of its own', () =>
    tells('Expected `--x` to be one of a, b, got `c`', '`--x` 应为 a, b 之一，实际为 `c`'));

  it('has each item of a list said', () =>
    tells('The verification of b failed: coverage, b', 'b 的校验失败：覆盖率、b'));

  it('keeps signs that mean something in a pattern or in a replacement, and shows a line break as its escape', () =>
    tells('The verification of $& $1 (.*)\nb failed: coverage', '$& $1 (.*)\\nb 的校验失败：覆盖率'));

  it('stays as it is where it has no translation', async () => {
    for (const text of ['nothing like it', 'constructor', 'toString']) await tells(text, text);
  });

  it('is said as it is in English', async () => {
    for (const text of ['5 MB for the backup', 'Coverage', '{a} $& b'])
      expect(await said(text, 'en')).to.equal(text);
  });
});

describe('the language of a locale', () => {
  const cases: readonly (readonly [env: NodeJS.ProcessEnv, lang: 'en' | 'zh'])[] = [
    [{}, 'en'],
    [{ LANG: 'zh_CN.UTF-8' }, 'zh'],
    [{ LANG: 'zh' }, 'zh'],
    [{ LANG: 'en_US.UTF-8' }, 'en'],
    [{ LANG: 'C.UTF-8', LC_MESSAGES: 'zh_CN' }, 'zh'],
    [{ LANG: 'zh_CN.UTF-8', LC_MESSAGES: 'en_GB' }, 'en'],
    [{ LANG: 'zh_CN.UTF-8', LC_ALL: 'C' }, 'en'],
    [{ LANG: 'en_US.UTF-8', LC_MESSAGES: 'en_US', LC_ALL: 'zh_SG' }, 'zh'],
    [{ LANG: 'zh_CN.UTF-8', LC_ALL: '' }, 'zh'],
    [{ LANG: 'de_DE.zh', LANGUAGE: 'zh' }, 'en'],
  ];
  for (const [env, lang] of cases) {
    it(`is ${lang} of ${JSON.stringify(env)}`, async () => {
      expect(HAN.test(await toldOf(['status', '--frobnicate'], env))).to.equal(lang === 'zh');
    });
  }
});
