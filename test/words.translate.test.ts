import { expect } from 'chai';
import { describe, it } from 'mocha';
import { asIs, localeLang, sayIn } from '../src/words/lang.js';
import { translator } from '../src/words/translate.js';

describe('translator', () => {
  const say = translator({
    '{what} of {~whole}': '{whole} 的 {what}',
    '{#count} of {~whole}': '{whole} 的 {count} 个',
    'The whole': '整体',
    'part: {*names}': '部分：{names}',
    'Index use': '索引使用',
    'index {name}': '索引 {name}',
    a: '甲',
  });

  it('turns holes round, and translates what stands in those that say so', () => {
    expect(say('a of the whole')).to.equal('整体 的 a');
  });

  it('takes the form with a number for a number', () => {
    const counted = translator({ '{a} is': '{a} 是', '{#n} rows is': '{n} 行是' });
    expect(counted('1,000 rows is')).to.equal('1,000 行是');
    expect(counted('x rows is')).to.equal('x rows 是');
  });

  it('takes a text that is known whole before a form, also one that has lost its capital', () => {
    expect(say('part: index use, index a')).to.equal('部分：索引使用、索引 a');
  });

  it('translates each item of a list', () => {
    expect(say('part: a, b')).to.equal('部分：甲、b');
  });

  it('keeps lines, and signs that mean something in a pattern or in a replacement', () => {
    expect(say('$& $1 (.*)\nb of c')).to.equal('c 的 $& $1 (.*)\nb');
  });

  it('leaves what has no translation as it is', () => {
    expect(say('nothing like it')).to.equal('nothing like it');
    expect(say('constructor')).to.equal('constructor');
  });
});

describe('localeLang', () => {
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
    it(`is ${lang} of ${JSON.stringify(env)}`, () => expect(localeLang(env)).to.equal(lang));
  }

  it('has English said as it is', async () => expect(await sayIn('en')).to.equal(asIs));
});
