/**
 * How long a report of many results takes to open in a real browser: from the navigation until its first rows are drawn.
 *
 * **In** how many runs, **Out** a spread of milliseconds. **Knows** everything.
 */
import { pathToFileURL } from "node:url";
import type { Ending } from "../lib/crew.ts";
import { Misuse } from "../lib/failure.ts";
import { reportOf } from "../lib/report.ts";
import { auditedRun } from "../testdata/audited.ts";
import { Browser, browserPath } from "../testdata/browser.ts";
import { shownRange, shownWhole, spread } from "./spread.ts";

const RESULTS = 10_000;
/** Days of instruments with plots. */
const DAYS = 200;

/** What opening the report came to. @throws {Misuse} where there is no browser */
export async function benchReport(runs: number): Promise<Ending> {
  const path = browserPath();
  if (path === null) throw new Misuse("Cannot open reports: no browser lies in /usr/bin, must be Chromium");
  const file = await Deno.makeTempFile({ suffix: ".html" });
  try {
    const html = reportOf(auditedRun(RESULTS, DAYS));
    await Deno.writeTextFile(file, html);
    await using browser = await Browser.launch(path);
    const times: number[] = [];
    for (let i = 0; i < runs; i++) {
      // A page of its own each time: what one has laid out and compiled is not the next one's.
      const page = await browser.page();
      await page.look({});
      const began = performance.now();
      await page.open(pathToFileURL(file).href);
      const rows = await page.value<number>("document.querySelectorAll('tbody tr').length");
      times.push(performance.now() - began);
      if (rows === 0) throw new Error("Cannot open report: it shows no rows, must show some");
    }
    const openMs = spread(times);
    const bytes = new TextEncoder().encode(html).length;
    const text = `${shownWhole(RESULTS)} results and ${DAYS} days of plots, ${shownWhole(bytes)} bytes: opens in ${
      shownRange(openMs, shownWhole)
    } ms, median and range of ${runs} runs`;
    return { text, summary: { results: RESULTS, days: DAYS, bytes, openMs, runs }, findings: 0 };
  } finally {
    await Deno.remove(file);
  }
}
