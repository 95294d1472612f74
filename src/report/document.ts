import { PACKAGE_VERSION } from '../package.js';
import { REPORT_FILE } from './default-file.js';
import { type Content, html } from './html.js';
import type { Messages } from './messages.js';
import { STYLE } from './style.js';

/** Forbids the page everything but its own style: it loads nothing and runs nothing, whatever a store may hold. */
const POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

/** A whole page: it needs no other file, no network and no script. */
export function page(title: string, main: Content, words: Messages): string {
  const body = html`<html lang="${words.locale}">
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
