import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect } from 'chai';
import { after, before, describe, it } from 'mocha';
import { type Browser, chromium, type Page } from 'playwright-core';
import { generateStore } from '../../demo/store-generator.js';
import { useFolder } from '../support/cli.js';
import { stoppedAfter, up } from '../support/migrate.js';
import { on } from '../support/on-store.js';
import { asAgentOs, insertAudits } from '../support/stores.js';

const executablePath = process.env.CHROMIUM_PATH ?? '/usr/bin/chromium';
const WIDTHS = [400, 1280] as const;
const SCHEMES = ['light', 'dark'] as const;

/** What is drawn on a page: run there. */
const DRAWN = `[...document.querySelectorAll('svg')].filter((svg) => svg.getBoundingClientRect().width > 0).map((svg) => ({
  label: svg.getAttribute('aria-label'),
  width: svg.getBoundingClientRect().width,
  letters: Math.min(...[...svg.querySelectorAll('text')].map((text) => parseFloat(getComputedStyle(text).fontSize)
    * svg.getBoundingClientRect().width / svg.viewBox.baseVal.width)),
  marks: [...svg.querySelectorAll('rect, circle, path, line')].filter((mark) => {
    const { width, height } = mark.getBoundingClientRect();
    return (width > 1 || height > 1) && mark.closest('[aria-label*="axis"], [aria-label*="grid"], [aria-label="rule"]') === null;
  }).length,
}))`;

/** The contrast of each piece of text and of each mark against what lies behind it, least first: run there. */
const CONTRASTS = `(() => {
  const channels = (color) => color.match(/[\\d.]+/g).map(Number);
  const luminance = ([r, g, b]) => [r, g, b].map((v) => v / 255)
    .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const color = channels(getComputedStyle(at).backgroundColor);
      if (color.length === 3 || color[3] > 0) return color;
    }
    return [255, 255, 255];
  };
  const contrast = (a, b) => { const [x, y] = [luminance(a), luminance(b)].sort((p, q) => q - p); return (x + 0.05) / (y + 0.05); };
  const found = [];
  for (const element of document.querySelectorAll('body *')) {
    if (element.getClientRects().length === 0 || element.closest('defs, style')) continue;
    const style = getComputedStyle(element);
    const hasText = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim() !== '');
    const isSvg = element.ownerSVGElement != null;
    if (hasText) found.push({ what: element.textContent.slice(0, 40), needs: 4.5,
      contrast: contrast(channels(isSvg ? style.fill : style.color), ground(element)) });
    if (isSvg && /^(circle|path)$/.test(element.tagName) && /^rgb/.test(style.fill))
      found.push({ what: element.tagName, needs: 3, contrast: contrast(channels(style.fill), ground(element)) });
  }
  return found.filter(({ contrast, needs }) => contrast < needs).slice(0, 10);
})()`;

describe('the report in a browser', () => {
  const folder = useFolder();
  let browser: Browser | undefined;

  before(async function () {
    if (!existsSync(executablePath)) {
      console.log(`    skipped: there is no browser at ${executablePath}; CHROMIUM_PATH names another`);
      this.skip();
    }
    this.timeout(120_000);
    const store = folder.file('store.db');
    generateStore({ path: store, audits: 4000, rareShare: 0.03 });
    await up(store, { ...stoppedAfter(2), batchRows: 500 });
    await up(store, { batchRows: 700 });
    asAgentOs(store, (db) =>
      insertAudits(db, Array(40).fill({ eventType: `SUPERVISOR_<script>${'x'.repeat(60)}` })),
    );
    await up(store, { batchRows: 700 });
    for (const lang of ['en', 'zh'] as const)
      await on(store).run(['report', '--lang', lang, '--out', folder.file(`${lang}.html`)]);
    browser = await chromium.launch({
      executablePath,
      // A browser run by root has no sandbox; it opens a file that this test made.
      args: process.getuid?.() === 0 ? ['--no-sandbox'] : [],
    });
  });

  after(() => browser?.close());

  /** Opens a report from the disk, without a network; what it asks for or complains of is kept. */
  async function open(
    lang: string,
    {
      width,
      scheme,
      hasScript = true,
    }: { width: number; scheme: (typeof SCHEMES)[number]; hasScript?: boolean },
    act: (page: Page, complaints: readonly string[]) => Promise<void>,
  ): Promise<void> {
    if (!browser) throw new Error('Expected a browser');
    const context = await browser.newContext({
      viewport: { width, height: 900 },
      colorScheme: scheme,
      offline: true,
      javaScriptEnabled: hasScript,
    });
    try {
      const page = await context.newPage();
      const complaints: string[] = [];
      page.on('console', (message) => complaints.push(message.text()));
      page.on('pageerror', (error) => complaints.push(String(error)));
      page.on('requestfailed', (request) => complaints.push(`failed: ${request.url()}`));
      page.on('request', (request) => {
        if (!/\/(?:en|zh)\.html$/.test(request.url())) complaints.push(`asked for ${request.url()}`);
      });
      await page.goto(pathToFileURL(folder.file(`${lang}.html`)).href);
      await act(page, complaints);
    } finally {
      await context.close();
    }
  }

  for (const lang of ['en', 'zh'] as const) {
    for (const scheme of SCHEMES) {
      for (const width of WIDTHS) {
        it(`draws every chart, fits and can be read (${lang}, ${scheme}, ${width} pixels wide)`, async function () {
          this.timeout(60_000);
          await open(lang, { width, scheme }, async (page, complaints) => {
            const drawn =
              await page.evaluate<{ label: string; width: number; letters: number; marks: number }[]>(DRAWN);
            expect(drawn).to.have.length(6);
            for (const chart of drawn) {
              expect(chart.marks, chart.label).to.be.greaterThan(0);
              expect(chart.width, chart.label).to.be.within(280, width);
              expect(chart.letters, chart.label).to.be.greaterThan(9);
            }
            const [inner, content] = await page.evaluate<number[]>(
              '[document.documentElement.clientWidth, document.documentElement.scrollWidth]',
            );
            expect(content).to.equal(inner);
            expect(await page.evaluate(CONTRASTS)).to.deep.equal([]);
            const ground = await page.evaluate<string>('getComputedStyle(document.body).backgroundColor');
            expect(ground).to.equal(scheme === 'light' ? 'rgb(255, 255, 255)' : 'rgb(13, 17, 23)');
            await page.screenshot({
              path: join(folder.path, `${lang}-${scheme}-${width}.png`),
              fullPage: true,
            });
            // Open, the tables must fit as well.
            await page.evaluate(
              `for (const details of document.querySelectorAll('details')) details.open = true`,
            );
            expect(await page.evaluate('document.documentElement.scrollWidth')).to.equal(inner);
            expect(complaints).to.deep.equal([]);
          });
        });
      }
    }
  }

  it('is the same without JavaScript', async () => {
    const pictures: string[] = [];
    for (const hasScript of [true, false])
      await open('en', { width: 1280, scheme: 'light', hasScript }, async (page) => {
        pictures.push((await page.screenshot({ fullPage: true })).toString('base64'));
      });
    expect(pictures[0] === pictures[1]).to.equal(true);
  });
});
