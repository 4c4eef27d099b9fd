/**
 * The page around whatever is shown: one file, that asks the network for nothing and is forbidden to.
 *
 * **In** a title and a body, **Out** HTML. **Knows** nothing.
 */
import { createHash } from "node:crypto";
import { escaped } from "./escape.ts";
import script from "./page.js" with { type: "text" };
import style from "./page.css" with { type: "text" };

const sha256 = (text: string): string => `'sha256-${createHash("sha256").update(text).digest("base64")}'`;

/** Nothing is fetched, and no script or style is obeyed but those of this very page. */
const POLICY = `default-src 'none'; script-src ${sha256(script)}; style-src ${
  sha256(style)
}; img-src data:; base-uri 'none'; form-action 'none'`;

/** A whole page; `bar` says on one line what it is about. All three are HTML but the title. */
export function shell(title: string, bar: string, body: string): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${escaped(POLICY)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${escaped(title)}</title>
<link rel="icon" href="data:,">
<style>${style}</style>
</head>
<body>
<header>
<div class="bar"><span>${bar}</span><button id="theme" type="button" hidden aria-label="Switch between light and dark">Dark</button></div>
${body}
<script>${script}</script>
</body>
</html>
`;
}
