/** The memory of audits: what was put down is found again, and told as trends. */
import assert from "@std/assert";
import { auditedRun, HOSTILE } from "../testdata/audited.ts";
import type { Run } from "./check.ts";
import { Chronicle, folderOf } from "./chronicle.ts";
import { marks, sparkline, trendsOf } from "./chronicle/trend.ts";

async function withChronicle(use: (chronicle: Chronicle, root: string) => Promise<void>): Promise<void> {
  const root = await Deno.makeTempDir({ prefix: "tapedeck-chronicle-" });
  const chronicle = await Chronicle.open(folderOf(root), root);
  try {
    await use(chronicle, root);
  } finally {
    chronicle.close();
    await Deno.remove(root, { recursive: true });
  }
}

/** The run of a day of November; `change` makes its results. */
function dayRun(day: number, change: (result: Run["results"][number]) => Run["results"][number] = (same) => same): Run {
  const date = `2026-11-${String(day).padStart(2, "0")}`;
  const run = auditedRun(24, 2);
  return {
    ...run,
    ...{ id: `run-${day}`, at: `${date}T06:00:00.000Z`, dates: [date] },
    results: run.results.map((result) => change({ ...result, date })),
    plots: run.plots.map((plot) => ({ ...plot, date })),
  };
}

Deno.test("a run that was put down is found again, result for result and plot for plot", () =>
  withChronicle(async (chronicle) => {
    const run = dayRun(3);
    const entry = await chronicle.add(run);
    assert.deepEqual(entry.failed, { error: 0, warning: 0, information: 1 });
    assert.equal(entry.passed, 23);
    assert.deepEqual(await chronicle.runs(), [entry]);
    assert.deepEqual(await chronicle.results([entry]), run.results.map((result) => ({ run: run.id, ...result })));
    assert.deepEqual(await chronicle.plots([entry]), run.plots.map((plot) => ({ run: run.id, ...plot })));
  }));

Deno.test("a run of which no result speaks of an instrument is kept as well", () =>
  withChronicle(async (chronicle) => {
    const run = dayRun(3, (result) => ({ ...result, symbol: null }));
    const found = await chronicle.results([await chronicle.add(run)]);
    assert.deepEqual(found, run.results.map((result) => ({ run: run.id, ...result })));
  }));

Deno.test("runs come in the order of time, whatever the order in which they were put down, and the latest of them first to be kept", () =>
  withChronicle(async (chronicle) => {
    for (const day of [5, 3, 4]) await chronicle.add(dayRun(day));
    assert.deepEqual((await chronicle.runs()).map(({ id }) => id), ["run-3", "run-4", "run-5"]);
    assert.deepEqual((await chronicle.runs(2)).map(({ id }) => id), ["run-4", "run-5"]);
    const results = await chronicle.results(await chronicle.runs(), { name: "crossed of quotes", symbol: "BTCUSDT" });
    assert.deepEqual(results.map(({ run }) => run), ["run-3", "run-4", "run-5"]);
  }));

Deno.test("a run is kept once, by a name that can be a file's", () =>
  withChronicle(async (chronicle) => {
    await chronicle.add(dayRun(3));
    await assert.rejects(chronicle.add(dayRun(3)), /Cannot remember run "run-3": one of that name is kept/);
    await assert.rejects(chronicle.add({ ...dayRun(4), id: "../run" }), /it is no file's name/);
    assert.equal((await chronicle.runs()).length, 1);
  }));

Deno.test("a file that no index names is no run: whoever died in between puts it down again", () =>
  withChronicle(async (chronicle, root) => {
    await Deno.writeTextFile(`${folderOf(root)}/run-3.results.parquet`, "half of it");
    assert.deepEqual(await chronicle.runs(), []);
    await chronicle.add(dayRun(3));
    assert.equal((await chronicle.results(await chronicle.runs())).length, 24);
  }));

Deno.test("a run whose files cannot be written is none", () =>
  withChronicle(async (chronicle, root) => {
    for (const what of ["results", "plots"]) {
      const blocked = `${folderOf(root)}/run-3.${what}.parquet.tmp`;
      await Deno.mkdir(blocked);
      await assert.rejects(chronicle.add(dayRun(3)));
      assert.deepEqual(await chronicle.runs(), [], what);
      await Deno.remove(blocked);
    }
    await chronicle.add(dayRun(3));
    assert.equal((await chronicle.runs()).length, 1);
  }));

Deno.test("what speaks of a whole table is of every symbol, and texts of strangers come back as they were", () =>
  withChronicle(async (chronicle) => {
    const run = dayRun(3, (result) => ({ ...result, observed: HOSTILE.join("'"), symbol: "O'Hare" }));
    const results = [...run.results, { ...run.results[0]!, symbol: null }];
    await chronicle.add({ ...run, results });
    const found = await chronicle.results(await chronicle.runs(), { symbol: "O'Hare" });
    assert.equal(found.length, 25);
    assert.equal(found[0]!.observed, HOSTILE.join("'"));
    assert.equal((await chronicle.results(await chronicle.runs(), { symbol: "BTCUSDT" })).length, 1);
  }));

Deno.test("a trend tells every verdict, the first failure, and since when it fails", () =>
  withChronicle(async (chronicle) => {
    const failing = [4, 6, 7];
    for (const day of [3, 4, 5, 6, 7]) {
      await chronicle.add(dayRun(day, (result) => ({
        ...result,
        status: result.name === "crossed of quotes" && failing.includes(day) ? "fail" : "pass",
        value: result.name === "crossed of quotes" ? day : null,
        observed: `${day} bids above the ask`,
      })));
    }
    const trends = trendsOf(await chronicle.results(await chronicle.runs()));
    const failed = trends.filter(({ failures }) => failures > 0);
    assert.deepEqual(failed.map(({ held }) => marks(held)), ["·×·××", "·×·××"].slice(0, failed.length));
    const { values, first, since, failures } = failed[0]!;
    assert.deepEqual(values, [3, 4, 5, 6, 7]);
    assert.equal(failures, 3);
    assert.deepEqual(first, { run: "run-4", date: "2026-11-04", observed: "4 bids above the ask" });
    assert.deepEqual(since, { run: "run-6", date: "2026-11-06", observed: "6 bids above the ask" });
    assert.equal(trends.filter((trend) => trend.failures === 0).every((trend) => trend.first === null), true);
  }));

Deno.test("a sparkline goes from the least to the greatest, with a dot where there is nothing", () => {
  assert.equal(sparkline([0, 7, null, 3.5]), "▁█·▅");
  assert.equal(sparkline([5, 5]), "▁▁");
  assert.equal(sparkline([]), "");
});
