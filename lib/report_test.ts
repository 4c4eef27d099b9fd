/** The report in a real browser: what it shows, what it asks for, and how it looks. */
import assert from "@std/assert";
import { pathToFileURL } from "node:url";
import { auditedCoverage, auditedRun, HOSTILE } from "../testdata/audited.ts";
import { Browser, browserPath, type Page } from "../testdata/browser.ts";
import type { Result, Run } from "./check.ts";
import { FATES } from "./coverage.ts";
import { coverageReportOf, reportOf } from "./report.ts";

const rowsIn = (table: number): string => `[...document.querySelectorAll("table.results")][${table}].tBodies[0].rows`;
const textsOf = (table: number, cell: string): string =>
  `[...${rowsIn(table)}].map((row) => row.querySelector('${cell}').textContent)`;
const SHOWN = 'document.querySelector("#shown").textContent';
const set = (name: string, value: string): string =>
  `{ const field = document.querySelector(".controls").elements.${name}; field.value = ${JSON.stringify(value)};
    field.dispatchEvent(new Event("input", { bubbles: true })); }`;

/** Opens a report and hands it over; whatever the page complains of or asks the network for is a fault. */
async function onPage(html: string, use: (page: Page, shot: (name: string) => Promise<void>) => Promise<void>) {
  const path = browserPath();
  if (path === null) return console.log("skipped: no Chromium lies in /usr/bin");
  const folder = await Deno.makeTempDir({ prefix: "tapedeck-report-" });
  const shots = Deno.env.get("TAPEDECK_SCREENSHOTS") ?? folder;
  await Deno.mkdir(shots, { recursive: true });
  try {
    await Deno.writeTextFile(`${folder}/report.html`, html);
    await using browser = await Browser.launch(path);
    const page = await browser.page();
    await page.look({});
    const url = pathToFileURL(`${folder}/report.html`).href;
    await page.open(url);
    await use(page, (name) => page.screenshot(`${shots}/${name}.png`));
    assert.deepEqual(page.complaints, []);
    assert.deepEqual(page.requests.filter((request) => request !== url && request !== "data:,"), []);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test(
  "a report shows its verdict, then what failed with the worst first, then the passes folded",
  async () => {
    const run = auditedRun(160);
    await onPage(reportOf(run), async (page, shot) => {
      await shot("report-light");
      assert.equal(await page.value("document.title"), "Failed: market, 2026-11-20");
      assert.equal(await page.value("document.querySelector('h1').textContent"), "Failed");
      assert.equal(await page.value(SHOWN), "160 results");
      const failed = run.results.filter(({ status }) => status === "fail");
      const marks = await page.value<string[]>(textsOf(0, ".mark"));
      assert.deepEqual(marks, [...marks].sort((a, b) => "ewi".indexOf(a[0]!) - "ewi".indexOf(b[0]!)));
      assert.equal(marks.length, failed.length);
      assert.equal(await page.value(`${rowsIn(1)}.length`), 0);
      await page.value("document.querySelector('#passes').open = true");
      const expectations = new Set(
        run.results.filter(({ status }) => status === "pass").map(({ severity, name, table }) =>
          JSON.stringify([severity, name, table])
        ),
      );
      assert.equal(await page.value(`${rowsIn(1)}.length`), expectations.size);
      const links = await page.value<string[]>(
        "[...document.querySelectorAll('tbody a')].map((a) => a.getAttribute('href'))",
      );
      assert.deepEqual(links.toSorted(), failed.map(({ evidence }) => `./${evidence}`).toSorted());
      assert.equal(await page.value("document.querySelectorAll('.day svg').length"), 18);
      await page.value("document.querySelector('#days').scrollIntoView()");
      await shot("report-days");
    });
  },
);

Deno.test("a report is dark where the system is, and its switch turns it", async () => {
  await onPage(reportOf(auditedRun(160)), async (page, shot) => {
    const brightness = `getComputedStyle(document.body).backgroundColor.match(/\\d+/g).slice(0, 3).map(Number)
      .reduce((a, b) => a + b) / 3`;
    assert.ok(await page.value<number>(brightness) > 230);
    await page.look({ dark: true });
    assert.ok(await page.value<number>(brightness) < 40);
    await shot("report-dark");
    await page.value("document.querySelector('#theme').click()");
    assert.ok(await page.value<number>(brightness) > 230);
    await page.value("document.querySelector('#theme').click()");
    assert.ok(await page.value<number>(brightness) < 40);
  });
});

Deno.test(
  "a report is filtered by text, severity, status, venue and symbol, and sorted by any column",
  async () => {
    const run = auditedRun(1_600);
    await onPage(reportOf(run), async (page) => {
      const shown = (of: (result: Run["results"][number]) => boolean): string => {
        const kept = run.results.filter(of);
        const failed = kept.filter(({ status }) => status === "fail").length;
        return `${kept.length} of 1,600 results: ${failed} failed, ${kept.length - failed} passed`;
      };
      const does = async (code: string): Promise<void> => {
        await page.value(`(() => ${code})()`);
      };
      await does(set("severity", "warning"));
      assert.equal(await page.value(SHOWN), shown(({ severity }) => severity === "warning"));
      await does(set("venue", "kraken"));
      assert.equal(
        await page.value(SHOWN),
        shown(({ severity, venue }) => severity === "warning" && venue === "kraken"),
      );
      await does(set("severity", ""));
      await does(set("venue", ""));
      await does(set("symbol", "ETH6USDT"));
      assert.equal(await page.value(SHOWN), shown(({ symbol }) => symbol === "ETH6USDT"));
      await does(set("symbol", ""));
      await does(set("text", "LAG bybit"));
      assert.equal(
        await page.value(SHOWN),
        shown(({ check, venue }) => check === "lag" && venue === "bybit-linear"),
      );
      await does(set("status", "pass"));
      assert.equal(await page.value(`${rowsIn(0)}.length`), 0);
      assert.equal(await page.value("document.querySelector('.nothing').hidden"), false);
      await does(set("text", ""));
      await does(set("status", ""));
      assert.equal(await page.value(SHOWN), "1,600 results");

      const failing = textsOf(0, "td.number");
      await does('{ document.querySelector("thead button[value=failing]").click() }');
      const numbers = (await page.value<string[]>(failing)).map((text) => Number(text.replaceAll(",", "")));
      assert.deepEqual(numbers, numbers.toSorted((a, b) => b - a));
      assert.equal(numbers.length, run.results.filter(({ status }) => status === "fail").length);
      const sorted = "document.querySelector('thead button[value=failing]').closest('th').ariaSort";
      assert.equal(await page.value(sorted), "descending");
      await does('{ document.querySelector("thead button[value=failing]").click() }');
      assert.deepEqual(
        (await page.value<string[]>(failing)).map((text) => Number(text.replaceAll(",", ""))),
        numbers.toReversed(),
      );
      await does('{ document.querySelector("thead button[value=symbol]").click() }');
      const symbols = (await page.value<string[]>(textsOf(0, "[data-label=Symbol]"))).filter(Boolean);
      assert.deepEqual(symbols, symbols.toSorted(new Intl.Collator("en", { numeric: true }).compare));
      assert.equal(await page.value(sorted), null);
    });
  },
);

Deno.test("results of one expectation are one row with the worst of them, which unfolds to the instruments by a key", async () => {
  const { results, ...run } = auditedRun(8, 0);
  const of = (i: number, own: Partial<Result>): Result => ({
    ...{ ...results[0]!, name: "no hole", check: "gap", severity: "warning", status: "fail", table: "trades" },
    ...{ venue: "sim", symbol: `S${i}`, wanted: "no number missing", evidence: "e/rows.parquet" },
    ...{ observed: `${i} missing`, value: i, failing: i, ...own },
  });
  const many = Array.from({ length: 400 }, (_, i) => of(i + 1, {}));
  const rows = Array.from({ length: 3 }, (_, i) => {
    return of(i + 1, {
      name: "rows",
      wanted: "10 or more rows",
      observed: `${i + 1} rows`,
      evidence: `e/${i}.parquet`,
    });
  });
  const alone = of(1, { name: "alone" });
  await onPage(reportOf({ ...run, results: [...many, ...rows, alone] }), async (page) => {
    const cells = (i: number): Promise<string[]> =>
      page.value(`[...${rowsIn(0)}[${i}].cells].map(({ textContent }) => textContent)`);
    assert.equal(await page.value(`${rowsIn(0)}.length`), 3);
    assert.deepEqual(await cells(0), [
      ...["warning", "no holegap", "400 instruments", "sim", "trades", "400 missingthe worst, S400"],
      ...["no number missing", "80,200", "rows"],
    ]);
    // Of what must be many the least is the worst.
    assert.deepEqual((await cells(1)).slice(5), ["1 rowsthe worst, S1", "10 or more rows", "6", ""]);
    assert.deepEqual((await cells(2)).slice(1, 3), ["alonegap", "S1"]);
    const toggle = "document.querySelector('.group button')";
    const press = async (): Promise<void> => {
      await page.value(`${toggle}.focus()`);
      for (const type of ["keyDown", "keyUp"]) {
        await page.ask("Input.dispatchKeyEvent", {
          type,
          key: "Enter",
          code: "Enter",
          windowsVirtualKeyCode: 13,
          text: "\r",
        });
      }
    };
    await press();
    assert.equal(await page.value(`${toggle}.ariaExpanded`), "true");
    assert.deepEqual((await cells(1)).filter(Boolean), ["S400", "400 missing", "400"]);
    assert.ok(await page.value<number>(`${rowsIn(0)}.length`) <= 151, "as many as are looked at");
    await press();
    assert.equal(await page.value(`${rowsIn(0)}.length`), 3);
    // Whoever searches, or sorts by what differs among them, finds single ones.
    const only = async (code: string): Promise<void> => void await page.value(`(() => { ${code} })()`);
    await only(set("text", "S77"));
    assert.deepEqual(await page.value(textsOf(0, "[data-label=Symbol]")), ["S77"]);
    await only(set("text", ""));
    await only(set("symbol", "S2"));
    assert.deepEqual(await page.value(textsOf(0, "[data-label=Observed]")), ["2 missing", "2 rows"]);
    await only(set("symbol", ""));
    const byRows = "document.querySelector('thead button[value=failing]').click()";
    for (const first of ["400", "1"]) {
      await page.value(byRows);
      assert.equal((await page.value<string[]>(textsOf(0, "td.number")))[0], first);
      assert.equal(await page.value(`document.querySelectorAll(".group").length`), 0);
    }
    await page.value(byRows);
    assert.equal(await page.value(`${rowsIn(0)}.length`), 3, "as the suite has them again");
  });
});

Deno.test("of a day of which little was measured that little is drawn, and its hours are named", async () => {
  const run = auditedRun(8, 1);
  const values = (some: Readonly<Record<number, number>>, none: number | null) =>
    Array.from({ length: 96 }, (_, i) => some[i] ?? none);
  const plots = [
    { ...run.plots[0]!, name: "count" as const, minutes: 15, values: values({ 31: 9, 32: 9_715 }, 0) },
    { ...run.plots[0]!, name: "spread" as const, minutes: 15, values: values({ 31: 0.002106, 32: 0.004211 }, null) },
    { ...run.plots[0]!, name: "gap" as const, minutes: 15, values: values({ 32: 0.5 }, null) },
  ];
  const hoursIn = (html: string): string[] =>
    [...html.matchAll(/<div class="hours"[^>]*>(.*?)<\/div>/g)].map(([, spans]) =>
      spans!.replace(/<[^>]*>/g, " ").trim()
    );
  const html = reportOf({ ...run, plots });
  assert.deepEqual(hoursIn(html), Array(3).fill("07:45  08:00  08:15"));
  assert.match(html, /9 to 9,715, median 9,715/);
  const whole = plots.map((plot) => ({ ...plot, values: plot.values.with(80, 1) }));
  assert.deepEqual(hoursIn(reportOf({ ...run, plots: whole })), Array(3).fill("00  06  12  18  24"));
  assert.deepEqual(hoursIn(reportOf({ ...run, plots: [{ ...plots[0]!, values: values({}, 0) }] })), [
    "00  06  12  18  24",
  ]);
  await onPage(html, async (page) => {
    for (const width of [1_400, 1_000, 390]) {
      await page.look({ width });
      const tall = "[...document.querySelectorAll('figcaption')].map((caption) => caption.offsetHeight)";
      assert.equal(new Set(await page.value<number[]>(tall)).size, 1, `${width} px`);
    }
  });
});

Deno.test("time that is unaccounted for stands beside the verdict, and one of a thing is one", () => {
  const { results, ...run } = auditedRun(16, 9);
  const passes = { ...run, results: results.filter(({ status }) => status === "pass") };
  const html = reportOf(passes, [auditedCoverage(16)]);
  assert.match(html, /<h1 class="pass">Passed<\/h1>/);
  assert.match(html, /Besides, 3 h 20 min of 2 of 16 instruments are unaccounted for: <a href="#coverage">/);
  assert.match(html, /<h2 id="coverage">/);
  assert.match(html, /<summary>1 more day<\/summary>/);
  const { instruments, ...coverage } = auditedCoverage(16);
  const sound = { ...coverage, instruments: instruments.slice(2, 4) };
  assert.doesNotMatch(reportOf(passes, [sound]), /Besides,/);
  const hours = instruments[2]!.hours.map((hour) => ({ ...hour, rows: 1 }));
  assert.match(coverageReportOf({ ...coverage, instruments: [{ ...instruments[2]!, hours }] }), / min, 1 row"/);
});

Deno.test("texts of strangers are shown as they are, and nothing in them is obeyed", async () => {
  const { results, ...run } = auditedRun(8, 1);
  const hostile = HOSTILE.map((text) => ({
    ...results[0]!,
    ...{ name: text, check: text, severity: "error" as const, status: "fail" as const, venue: text, symbol: text },
    ...{ table: text, date: text, observed: text, wanted: text, failing: 1, evidence: text },
  }));
  const plots = HOSTILE.map((text) => ({ ...run.plots[0]!, venue: text, symbol: text, date: text }));
  const strange = {
    ...run,
    id: HOSTILE[0]!,
    at: HOSTILE[1]!,
    suite: HOSTILE[0]!,
    dates: HOSTILE,
    results: hostile,
    plots,
  };
  await onPage(reportOf(strange), async (page) => {
    assert.deepEqual(await page.value(textsOf(0, "[data-label=Symbol]")), HOSTILE);
    assert.deepEqual(await page.value(textsOf(0, "[data-label=Observed]")), HOSTILE);
    assert.equal(
      await page.value("document.querySelectorAll('img, body script:not([type]), [onload], [onerror]').length"),
      1,
    );
    const links = await page.value<string[]>(
      "[...document.querySelectorAll('tbody a')].map(({ protocol }) => protocol)",
    );
    assert.deepEqual([...new Set(links)], ["file:"]);
    assert.equal(await page.value(`(() => { ${set("symbol", HOSTILE[1]!)} })()`), undefined);
    assert.equal(await page.value("[...document.querySelectorAll('.day')].filter(({ hidden }) => !hidden).length"), 1);
  });
});

Deno.test(
  "a narrow report has one card a result, nothing beyond its edge, and can be sorted there as well",
  async () => {
    await onPage(reportOf(auditedRun(160)), async (page, shot) => {
      await page.look({ width: 400 });
      assert.equal(await page.value("document.documentElement.scrollWidth <= innerWidth"), true);
      await shot("report-narrow");
      await page.value("document.querySelector('#findings').scrollIntoView()");
      await shot("report-narrow-findings");
      assert.equal(await page.value("getComputedStyle(document.querySelector('.order')).display"), "flex");
      assert.equal(await page.value("getComputedStyle(document.querySelector('tbody tr')).display"), "block");
    });
  },
);

Deno.test(
  "10,000 results make as many rows as are looked at, and all of them once they are asked for",
  async () => {
    const run = auditedRun(10_000, 200);
    await onPage(reportOf(run), async (page, shot) => {
      await shot("report-10000");
      assert.equal(await page.value(SHOWN), "10,000 results");
      assert.ok(await page.value<number>("document.querySelectorAll('tbody tr').length") <= 150);
      await page.value("dispatchEvent(new Event('beforeprint'))");
      assert.equal(await page.value("document.querySelectorAll('tbody tr:not(.group)').length"), 10_000);
    });
  },
);

Deno.test("a run in which nothing failed says so, and one that asked nothing does not boast", () => {
  const run = auditedRun(16, 0);
  const passes = { ...run, results: run.results.filter(({ status }) => status === "pass") };
  assert.match(reportOf(passes), /<h1 class="pass">Passed<\/h1>/);
  const warned = { ...run, results: run.results.map((result) => ({ ...result, severity: "warning" as const })) };
  assert.match(reportOf(warned), /<h1 class="warning">Passed with warnings<\/h1>/);
  assert.match(reportOf({ ...run, results: [] }), /<h1 class="warning">Nothing was checked<\/h1>/);
});

Deno.test("coverage is a heat map: an hour's worst is its colour and, where it counts, its minutes", async () => {
  const html = coverageReportOf(auditedCoverage(16));
  await onPage(html, async (page, shot) => {
    await shot("coverage-light");
    assert.equal(await page.value("document.title"), "Holes that nobody recorded: coverage of 2026-11-20");
    const cells = await page.value<string[]>(
      "[...document.querySelector('.heat tbody tr').cells].slice(1, 25).map((cell) => `${cell.className}${cell.textContent}`)",
    );
    assert.deepEqual(cells.slice(9, 18), [
      ...["collected", "lost42", "collected", "collected", "collected", "collected"],
      ...["unaccounted55", "unaccounted45", "collected"],
    ]);
    const key = "[...document.querySelectorAll('.key i')].map(({ className }) => className)";
    assert.deepEqual((await page.value<string[]>(key)).toSorted(), FATES.toSorted());
    await page.look({ dark: true });
    await shot("coverage-dark");
    await page.look({ width: 400 });
    assert.equal(await page.value("document.documentElement.scrollWidth <= innerWidth"), true);
    const fits = "[...document.querySelectorAll('.wide')].every((wide) => wide.scrollWidth <= wide.clientWidth)";
    assert.equal(await page.value(fits), true, "the whole day is seen");
    const last = "document.querySelector('.heat tbody tr').cells[24].getBoundingClientRect()";
    assert.ok(await page.value<number>(`${last}.width`) > 8 && await page.value<number>(`${last}.right`) <= 400);
    await shot("coverage-narrow");
  });
  const hostile = auditedCoverage(1);
  const [cover] = hostile.instruments as [typeof hostile.instruments[0]];
  const strange = {
    ...{ ...hostile, date: HOSTILE[0]! },
    instruments: HOSTILE.map((text) => ({
      ...{ ...cover, venue: text, symbol: text },
      holes: [{ ...cover.holes[0]!, why: text }],
    })),
  };
  assert.doesNotMatch(
    coverageReportOf(strange).replace(/<script>[^]*?<\/script>/g, ""),
    /<(?:script|img|svg)[^>]*hurt|<\/script>/,
  );
  assert.match(reportOf(auditedRun(8, 0), [hostile]), /class="heat one"/);
  assert.match(coverageReportOf({ ...hostile, instruments: [] }), /Nothing was collected/);
});
