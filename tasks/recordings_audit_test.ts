/** Days of real venues, from their recordings through both stores into the audit: every finding is one that is known. */
import assert from "@std/assert";
import audit from "../cmd/audit.ts";
import ingest from "../cmd/ingest.ts";
import sinkCold from "../cmd/sink-cold.ts";
import sinkHot from "../cmd/sink-hot.ts";
import validate from "../cmd/validate.ts";
import type { Result } from "../lib/check.ts";
import { query, warm } from "../lib/parquet.ts";
import { recorded, RECORDINGS } from "../testdata/recordings.ts";
import { run, withData } from "../testdata/flow.ts";

const options = { ...recorded("audit of recordings"), sanitizeOps: false, sanitizeResources: false };
await warm();

/** What the audit says of a date of a recording, besides what passes. */
async function audited(
  path: string,
  venue: string,
  dates: readonly string[],
  see: (results: readonly Result[], data: string) => Promise<void> | void = () => {},
): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  await withData(async (data) => {
    await run(ingest, data, "--from", `${RECORDINGS}/${path}`, "--venue", venue, "--symbol", "BTCUSDT", "--frames");
    await run(validate, data);
    await run(sinkHot, data);
    await run(sinkCold, data);
    for (const date of dates) {
      const outcome = await run(audit, data, "--date", date);
      assert.deepEqual(outcome.findings, [], "neither the books nor an error");
      const results = outcome.checks as Result[];
      for (const { name, severity, status, table, observed, symbol } of results) {
        if (status === "fail") found[`${date} ${severity} ${name}, ${table}`] = observed;
        assert.ok(symbol !== "" && observed !== "");
      }
      await see(results, data);
    }
  });
  return found;
}

const of = (results: readonly Result[], name: string, table: string): Result =>
  results.find((result) => result.name === name && result.table === table)!;

Deno.test("finnhub: 47 trades in, 47 out, and three equal rows inside a frame are information", options, async () => {
  const path = "finnhub/finnhub_trades_AAPL_2023-03-31_raw_frames.jsonl";
  const found = await audited(path, "finnhub", ["2023-03-31"], async (results, data) => {
    assert.equal(of(results, "rows", "trades").observed, "47 rows");
    assert.equal(of(results, "hot as cold", "trades").status, "pass");
    // 14:15 in New York.
    assert.equal(of(results, "in session", "trades").status, "pass");
    const { evidence } = of(results, "equal rows in a frame", "trades");
    const rows = await query([evidence!], "SELECT origin, price, size FROM ticks ORDER BY origin");
    assert.deepEqual(rows.map(({ price, size }) => [price, size]), [["164.06", "4"], ["164.06", "100"], [
      "164.06",
      "100",
    ]]);
    assert.ok(evidence!.startsWith(data));
  });
  assert.deepEqual(found, {
    // The venue does not say who the aggressor was.
    "2023-03-31 information side known, trades": "100 %, 47 rows of 47",
    "2023-03-31 information equal rows in a frame, trades": "3 rows of 47 equal to another",
  });
});

Deno.test(
  "lobster: 8,974 executions at the best, 2,444 hidden ones inside the spread, none through it",
  options,
  async () => {
    const found = await audited(
      "lobster/AMZN_2012-06-21_level1_message.csv.gz",
      "lobster",
      ["2012-06-21"],
      (results) => {
        const { status, observed } = of(results, "trades through the quote", "trades");
        assert.deepEqual([status, observed], ["pass", "8,974 at the best, 2,444 inside the spread, 0 through it"]);
        // One hidden execution stands before the first quote.
        assert.equal(of(results, "rows", "trades").observed, "11,419 rows");
        assert.equal(of(results, "trades near a quote", "trades").observed, "0 of 11,418 with a quote");
        // The session is closed for most of the day of UTC, and nobody misses anything then.
        for (const table of ["trades", "quotes"]) {
          for (const name of ["in session", "silence"]) assert.equal(of(results, name, table).status, "pass");
        }
      },
    );
    assert.deepEqual(found, {});
  },
);

for (const [venue, file, trades] of [["binance", "spot", 9_757], ["binance-usdm", "usdm", 21_313]] as const) {
  Deno.test(
    `${venue}: what is found is the clock that was behind and how far the channels are apart`,
    options,
    async () => {
      let seen = 0;
      const path = `binance/hftbacktest_${file}_btcusdt_20240808.jsonl.gz`;
      const found = await audited(path, venue, ["2024-08-08", "2024-08-09"], (results) => {
        seen += Number(of(results, "rows", "trades")?.value ?? 0);
        // Numbers are whole, changes follow each other.
        for (const name of ["numbers without a hole", "numbers once", "holes that were told", "chain of changes"]) {
          assert.deepEqual(results.filter((result) => result.name === name && result.status === "fail"), []);
        }
      });
      assert.equal(seen, trades, "on both sides of midnight");
      const names = new Set(Object.keys(found).map((name) => name.slice(11)));
      // The recorder's clock runs about 1.27 s behind the exchange's.
      assert.ok(names.delete("warning clocks, trades"));
      names.delete("warning clocks, quotes");
      // Trades and quotes come by channels of their own, and spot quotes have no time of the venue to be put in order by.
      assert.ok(names.delete("information trades through the quote, trades"));
      assert.deepEqual([...names], []);
    },
  );
}
