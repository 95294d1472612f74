import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { before, describe, it } from 'mocha';
import { root, useFolder } from '../support/cli.js';
import { captureScreens, timeless } from '../support/screens.js';
import { hasTerminal } from '../support/terminal.js';

// `npm run screens` writes the page anew; else it is held to what commands show now.

const page = join(root, 'docs/screens.md');
const isWritten = process.env.UMZUG_BACKFILL_SCREENS === 'write';

/** The block below a heading, and what stands before and behind it. */
function blockOf(text: string, heading: string): readonly [before: string, block: string, behind: string] {
  const [, head = '', block = '', behind = ''] =
    new RegExp(`^(.*?\n## ${heading}\n.*?\`\`\`text\n)(.*?)(\n\`\`\`\n.*)$`, 's').exec(text) ?? [];
  expect(block, `docs/screens.md has no block for ${heading}`).not.to.equal('');
  return [head, block, behind];
}

describe('docs/screens.md', () => {
  const folder = useFolder();
  let screens: ReadonlyMap<string, string> = new Map();

  before(async function () {
    if (!hasTerminal()) this.skip();
    screens = await captureScreens(folder.path);
    if (!isWritten) return;
    for (const [heading, screen] of screens) {
      const [head, , behind] = blockOf(readFileSync(page, 'utf8'), heading);
      writeFileSync(page, `${head}${screen}${behind}`);
    }
  });

  it('shows what each state looks like now', () => {
    const text = readFileSync(page, 'utf8');
    expect(text.match(/^## /gm)).to.have.length(screens.size);
    for (const [heading, screen] of screens)
      expect(timeless(blockOf(text, heading)[1]), heading).to.equal(timeless(screen));
  });

  it('fits in 80 columns, but for sentences', () => {
    for (const [heading, screen] of screens)
      for (const line of screen.split('\n'))
        if (/^[│┌├└█]/.test(line)) expect([...line].length, heading).to.be.at.most(80);
  });
});
