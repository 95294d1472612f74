import { instant } from '../format.js';
import type { Lang } from '../messages/lang.js';
import { PACKAGE_VERSION } from '../package.js';
import { REPORT_FILE } from './default-file.js';
import { type Facts, factList, type RenderContext } from './elements.js';
import { type Content, Html, html } from './html.js';

/** Forbids everything but the page's own style. It loads nothing and runs nothing, whatever the store contains. */
const POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

/** Values of the attribute `lang`. */
const TAGS: Readonly<Record<Lang, string>> = { en: 'en', zh: 'zh-Hans' };

/** Style sheet of a report: one column, light or dark as the reader's system. */
const STYLE = new Html(`
:root {
  color-scheme: light dark;
  --text: #1b1f24; --soft: #57606a; --ground: #ffffff; --panel: #f6f8fa; --line: #d0d7de; --track: #e3e7ec;
  --series-1: #0b62c4; --series-2: #b3470b; --series-3: #6a3fc0;
  --pass: #1a7f37; --warn: #8a5a00; --fail: #b3261e;
}
@media (prefers-color-scheme: dark) {
  :root {
    --text: #e6edf3; --soft: #a3adb8; --ground: #0d1117; --panel: #161b22; --line: #343b44; --track: #2b323b;
    --series-1: #62a8ff; --series-2: #f2954f; --series-3: #b69bf5;
    --pass: #4ac26b; --warn: #e0ac3c; --fail: #ff8079;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--text); overflow-wrap: anywhere;
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Noto Sans CJK SC", "PingFang SC", "Microsoft YaHei", sans-serif; }
main { max-width: 60rem; margin: 0 auto; padding: 1.5rem 1rem 4rem; }
h1 { font-size: 1.7rem; margin: 0 0 .75rem; }
h2 { font-size: 1.3rem; margin: 2.75rem 0 .75rem; padding-top: 1.25rem; border-top: 1px solid var(--line); }
h3 { font-size: 1.08rem; margin: 2rem 0 .5rem; }
h4 { font-size: 1rem; margin: 1.25rem 0 .5rem; }
p { margin: .5rem 0; }
dl { display: flex; flex-wrap: wrap; gap: .5rem 2rem; margin: .5rem 0; }
dt { color: var(--soft); font-size: .85rem; }
dd { margin: 0; }
code { font: .88em ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; background: var(--panel);
  border: 1px solid var(--line); border-radius: 4px; padding: .05em .35em; }
small { color: var(--soft); }
.badge { display: inline-block; border: 1px solid currentColor; border-radius: 1em; padding: 0 .6em; font-size: .8rem;
  font-weight: 600; line-height: 1.5; white-space: nowrap; vertical-align: middle; }
.badge.pass { color: var(--pass); } .badge.warn { color: var(--warn); } .badge.fail { color: var(--fail); }
.badge.none { color: var(--soft); }
.scroll { overflow-x: auto; margin: .5rem 0; border: 1px solid var(--line); border-radius: 6px; }
details .scroll { max-height: 26rem; overflow-y: auto; }
.small .scroll { width: fit-content; max-width: 100%; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { text-align: start; vertical-align: top; padding: .35rem .7rem; border-bottom: 1px solid var(--line); }
th { position: sticky; top: 0; background: var(--panel); font-weight: 600; vertical-align: bottom; overflow-wrap: normal; }
td { overflow-wrap: break-word; }
tbody tr:last-child td { border-bottom: 0; }
.number { text-align: end; }
td.number, td.whole { white-space: nowrap; }
ul { margin: 0; padding: 0; list-style: none; }
.checks { margin: .5rem 0; border: 1px solid var(--line); border-radius: 6px; font-size: .92rem; }
.check { display: grid; grid-template-columns: 9.5rem 4.5rem 1fr; gap: .25rem .75rem; align-items: start; padding: .5rem .8rem; }
.check + .check { border-top: 1px solid var(--line); }
.check > div { min-width: 0; }
.check li + li { margin-top: .2rem; }
.hint { margin: .5rem 0 .1rem; }
.keys { max-height: 16rem; overflow-y: auto; }
figure { margin: 1rem 0 1.5rem; padding: .9rem 1rem .6rem; background: var(--panel); border: 1px solid var(--line); border-radius: 6px; }
figcaption { color: var(--soft); font-size: .9rem; }
figcaption strong { color: var(--text); }
.legends { margin: .4rem 0 0; font-size: .9rem; }
.legend { margin-inline-end: 1.2rem; }
.swatch { display: inline-block; width: 1.6em; border-top: 3px solid; vertical-align: middle; margin-inline-end: .4em; }
.swatch.dashed { border-top-style: dashed; }
.swatch.series-1 { color: var(--series-1); } .swatch.series-2 { color: var(--series-2); } .swatch.series-3 { color: var(--series-3); }
.plot { --plot-background: var(--panel); display: block; max-width: 100%; height: auto; margin: .5rem auto; font: 12px system-ui, sans-serif;
  font-family: inherit; }
.plot.narrow { display: none; }
@media (max-width: 640px) { .plot.wide { display: none; } .plot.narrow { display: block; } figure { padding: .7rem .5rem .5rem; }
  .check { grid-template-columns: 1fr auto; } .check > div { grid-column: 1 / -1; } }
summary { cursor: pointer; color: var(--soft); font-size: .9rem; }
@media print { .scroll { max-height: none; overflow: visible; } figure, tr, .check { break-inside: avoid; } }
`);

/** Renders a whole page, which needs no other file, no network and no script. */
export function page(title: string, main: Content, { lang }: RenderContext): string {
  const body = html`<html lang="${TAGS[lang]}">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="generator" content="umzug-backfill ${PACKAGE_VERSION}">
<meta name="robots" content="noindex">
<title>${title}</title>
<style>${STYLE}</style>
</head>
<body>
<main>
${main}
</main>
</body>
</html>
`;
  return REPORT_FILE.signature + body.text;
}

/** Renders the head of a page: its title and facts, when and by what it was generated. */
export const pageHeader = (
  title: string,
  facts: Facts,
  generatedAt: Date,
  { say }: RenderContext,
): Html => html`<header>
<h1>${title}</h1>
${factList([
  ...facts,
  [say('Generated at'), instant(generatedAt)],
  [say('Generated by'), `umzug-backfill ${PACKAGE_VERSION}`],
])}
<p>${say('All times are in UTC.')}</p>
</header>`;
