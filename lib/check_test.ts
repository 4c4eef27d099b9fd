/**
 * Every kind of check by a day that passes and one that fails, from `testdata/check/`: the folder is the list of cases. A
 * case names the rows that fail by their place in the file, or how many there are where evidence is no row of a table.
 */
import { fileURLToPath } from "node:url";
import assert from "@std/assert";
import {
  KINDS,
  ledgerOf,
  linesOf,
  MARKET,
  MODULES,
  pathsOf,
  type Result,
  suiteJsonSchema,
  suiteOf,
  type Terms,
} from "./check.ts";
import { psiOf, robustZ } from "./check/counts.ts";
import type { LakeFile, Unit } from "./lake.ts";
import { query, Views, warm, wasmPath } from "./parquet.ts";
import type { TableName } from "./table.ts";
import { isTick } from "./tick.ts";
import { filesOf, runOn, ticksOf } from "../testdata/day.ts";

const strict = { sanitizeOps: true, sanitizeResources: true } as const;
const ROOT = new URL("../testdata/check/", import.meta.url);
const DATE = "2024-08-08";
// The engine opens a message port for good, which the first test would be blamed for.
await warm();

interface Case {
  readonly expectation: Readonly<Record<string, unknown>>;
  readonly failing: number | readonly number[];
  readonly value?: number;
  readonly terms?: readonly Terms[];
  /** Rows that the ledger says, where it is wrong. */
  readonly ledger?: number;
  /** Types of columns, where they are wrong. */
  readonly columns?: Readonly<Record<string, string>>;
}

const textAt = async (path: string): Promise<string | null> => {
  try {
    return await Deno.readTextFile(new URL(path, ROOT));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw error;
  }
};

const names = [...Deno.readDirSync(ROOT)].map(({ name }) => name).sort();

Deno.test("every kind of check has a case", () => {
  assert.deepEqual(names, [...KINDS.map(({ check }) => check), "sql"].sort());
  assert.ok(names.length >= 30);
});

for (const name of names) {
  Deno.test(`${name} passes what is sound and gives every row that fails`, strict, async () => {
    const it = JSON.parse((await textAt(`${name}/expectation.json`))!) as Case;
    const suite = suiteOf(JSON.stringify({ suite: name, expectations: [it.expectation] }), name);
    const sql = await textAt(`${name}/query.sql`);
    const folder = await Deno.makeTempDir({ prefix: "tapedeck-check-" });
    try {
      const on = async (what: "pass" | "fail", isBroken: boolean, partRows?: number) => {
        const ticks = ticksOf((await textAt(`${name}/${what}.ndjson`))!);
        for (const tick of ticks) {
          const { flags: _flags, ...sent } = tick as typeof tick & { readonly flags?: unknown };
          assert.ok(isTick(sent), JSON.stringify(tick));
        }
        const files: Partial<Record<TableName, (Uint8Array | string)[]>> = await filesOf(ticks);
        if (isBroken && it.columns) files.trades = [await retyped(files.trades![0]!, it.columns, folder)];
        const hot = await textAt(`${name}/${what}.hot.ndjson`);
        return await runOn(suite, DATE, files, {
          terms: it.terms ?? [],
          shelf: { folder, href: "evidence" },
          texts: new Map(sql === null ? [] : [["query.sql", sql]]),
          ledger: () => [{ table: "trades", path: "a.parquet", rows: isBroken && it.ledger || ticks.length }],
          ...(hot !== null && { hot: () => filesOf(ticksOf(hot)) }),
          ...(partRows !== undefined && { partRows }),
        });
      };
      const sound = await on("pass", false);
      assert.ok(sound.results.length > 0);
      for (const { status, failing, evidence, observed } of sound.results) {
        assert.deepEqual([status, evidence], ["pass", null], observed);
        assert.ok(failing === 0 || it.value !== undefined || /share|quantile/.test(JSON.stringify(it.expectation)));
      }
      const broken = await on("fail", true);
      const failed = broken.results.filter(({ status }) => status === "fail");
      const rows = await evidenceOf(failed, folder);
      if (typeof it.failing === "number") assert.equal(rows.length, it.failing);
      else assert.deepEqual(rows.map(({ origin }) => origin).sort((a, b) => Number(a) - Number(b)), it.failing);
      assert.equal(failed.reduce((sum, { failing }) => sum + failing, 0), rows.length);
      if (it.value !== undefined) assert.equal(failed[0]!.value, it.value);
      // An instrument of many rows is looked at a few of them at a time.
      const inSpans = await on("fail", true, 2);
      const told = ({ results }: typeof broken) => results.map((result) => ({ ...result, evidence: null }));
      assert.deepEqual(told(inSpans), told(broken));
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  });
}

/** Every row that the results name as evidence. */
async function evidenceOf(failed: readonly Result[], folder: string) {
  const rows = [];
  for (const path of new Set(failed.map(({ evidence }) => evidence!))) {
    rows.push(...await query([`${folder}/${path.replace("evidence/", "")}`], "SELECT * FROM ticks"));
  }
  return rows;
}

/** The file with some columns of other types. */
async function retyped(file: string | Uint8Array, types: Readonly<Record<string, string>>, folder: string) {
  using views = await Views.open();
  await views.define("file", [file]);
  const casts = Object.entries(types).map(([name, type]) => `CAST(${name} AS ${type}) AS ${name}`);
  await views.copy(`SELECT * REPLACE (${casts.join(", ")}) FROM file`, `${folder}/retyped.parquet`);
  return `${folder}/retyped.parquet`;
}

const NOON = Date.UTC(2024, 7, 8, 12) * 1_000;
const trade = (n: number, fields: object = {}) => ({
  ...{ type: "trade", venue: "sim", symbol: "A", eventTime: NOON + n * 1_000_000, receivedTime: NOON + n * 1_000_000 },
  ...{ sequence: null, id: null, price: "1", size: "1", side: "buy", ...fields },
});
const ticks = (...list: readonly object[]) => ticksOf(list.map((tick) => JSON.stringify(tick)).join("\n"));
const suite = (...expectations: readonly object[]) => suiteOf(JSON.stringify({ suite: "s", expectations }), "s");

Deno.test("what is tolerated passes, as rows or as a share, and one more fails", strict, async () => {
  const files = await filesOf(ticks(...[0, 1, 2, 3].map((n) => trade(n, { size: n < 2 ? "0" : "1" }))));
  const asked = [{ rows: 2 }, { rows: 1 }, { share: 0.5 }, { share: 0.49 }].map((tolerance, i) => {
    return { name: `${i}`, check: "size", tables: ["trades"], tolerance };
  });
  const { results } = await runOn(suite(...asked), DATE, files);
  assert.deepEqual(results.map(({ status, failing }) => [status, failing]), [
    ["pass", 2],
    ["fail", 2],
    ["pass", 2],
    ["fail", 2],
  ]);
});

Deno.test(
  "instruments are meant by venue and symbol, and parts of them come to the same as all at once",
  strict,
  async () => {
    const symbols = ["A", "AB", "B", "B/C", "Z"];
    const files = await filesOf(ticks(...symbols.flatMap((symbol, i) => [
      trade(i * 2, { symbol, price: "0" }),
      trade(i * 2 + 1, { symbol, venue: "binance", price: i === 2 ? "0" : "1" }),
    ])));
    const asked = suite(
      { name: "some", check: "negative", tables: ["trades"], venue: "sim", symbol: "B*" },
      { name: "all", check: "negative", tables: ["trades"], per: "table" },
      { name: "there", check: "rows", tables: ["trades"], venue: "sim", symbol: "C" },
    );
    const whole = await runOn(asked, DATE, files);
    const some = (name: string) =>
      whole.results.filter((result) => result.name === name).map((r) => [r.venue, r.symbol, r.status, r.failing]);
    assert.deepEqual(some("some"), [["sim", "B", "fail", 1], ["sim", "B/C", "fail", 1]]);
    assert.deepEqual(some("all"), [["binance", null, "fail", 1], ["sim", null, "fail", 5]]);
    assert.deepEqual(some("there"), [["sim", "C", "fail", 0]]);
    for (const threads of [1, 2]) assert.deepEqual(await runOn(asked, DATE, files, { partRows: 1, threads }), whole);
    const { results } = await runOn(asked, DATE, files, { symbol: "B/C" });
    assert.deepEqual(
      [...new Set(results.map(({ symbol }) => symbol))].sort(),
      ["B/C", null],
      "who is not asked for is not missed",
    );
  },
);

Deno.test("a table's evidence holds the rows of all its instruments, and an instrument's its own", strict, async () => {
  const folder = await Deno.makeTempDir({ prefix: "tapedeck-check-" });
  try {
    const files = await filesOf(
      ticks(...["A", "B", "C"].map((symbol, n) => trade(n, { symbol, size: n === 2 ? "1" : "0" }))),
    );
    const asked = suite(
      { name: "whole: table", check: "size", tables: ["trades"], per: "table" },
      { name: "each", check: "size", tables: ["trades"] },
    );
    const { results } = await runOn(asked, DATE, files, { shelf: { folder, href: "evidence" } });
    const failed = (name: string) => results.filter((result) => result.name === name && result.status === "fail");
    assert.deepEqual((await evidenceOf(failed("whole: table"), folder)).map(({ symbol }) => symbol), ["A", "B"]);
    assert.deepEqual((await evidenceOf(failed("each"), folder)).map(({ symbol }) => symbol), ["A", "B"]);
    assert.deepEqual(failed("whole: table").map(({ evidence }) => evidence), [
      `evidence/whole-table/trades-${DATE}-sim.parquet`,
    ]);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("evidence stays beside the report, whatever an expectation is called", strict, async () => {
  const folder = await Deno.makeTempDir({ prefix: "tapedeck-check-" });
  try {
    const asked = suite({ name: "up/../../x/.y", check: "size", tables: ["trades"] });
    const shelf = { folder: `${folder}/shelf`, href: "evidence" };
    const { results } = await runOn(asked, DATE, await filesOf(ticks(trade(0, { size: "0" }))), { shelf });
    const path = `up/-/-/x/-y/trades-${DATE}.parquet`;
    assert.deepEqual(results.map(({ evidence }) => evidence), [`evidence/${path}`]);
    assert.equal((await Deno.stat(`${folder}/shelf/${path}`)).isFile, true);
    assert.deepEqual([...Deno.readDirSync(folder)].map(({ name }) => name), ["shelf"]);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test(
  "what one row or one id shows is suspected: nothing that a check would find is passed by",
  strict,
  async () => {
    const found = async (expectation: object, ...list: readonly object[]) => {
      const files = await filesOf(ticks(...list));
      const told = async (ground: object) => {
        const { results } = await runOn(suite({ name: "n", ...expectation }), DATE, files, ground);
        return results.map(({ status, failing }) => [status, failing]);
      };
      const whole = await told({});
      assert.deepEqual(await told({ partRows: 1 }), whole);
      return whole;
    };
    const received = trade(1, { timeSource: "received" });
    const late = trade(-2, { receivedTime: NOON });
    assert.deepEqual(await found({ check: "order", tables: ["trades"] }, trade(0), received, late), [["fail", 1]]);
    const named = trade(0, { id: "a" });
    assert.deepEqual(await found({ check: "repeated" }, named, named), [["fail", 1]]);
    const quote = (n: number) => ({
      ...{ type: "quote", venue: "sim", symbol: "A", eventTime: NOON + n * 1e6, receivedTime: NOON + n * 1e6 },
      ...{ sequence: n, id: null, bidPrice: "1", bidSize: "1", askPrice: "2", askSize: "1" },
    });
    const frozen = { check: "frozen", tables: ["quotes"], secondsMax: 60 };
    assert.deepEqual(await found(frozen, quote(1), quote(62)), [["fail", 1]]);
    assert.deepEqual(await found(frozen, quote(1), quote(61)), [["pass", 0]]);
  },
);

Deno.test("a date stands on the files that the ledger names for it", () => {
  const file = (date: string, origin: number): LakeFile => ({
    ...{
      table: "trades",
      date,
      path: `trades/date=${date}/${origin}`,
      rows: 1,
      sha256: "",
      first: origin,
      last: origin,
    },
  } as unknown as LakeFile);
  const units = [[file("2024-08-07", 1), file(DATE, 2)], [file(DATE, 3), file("2024-08-09", 4)]];
  const named = ledgerOf(units.map((files) => ({ files })) as unknown as readonly Unit[], DATE);
  assert.deepEqual(pathsOf("/lake", named).trades, [2, 3].map((n) => `/lake/trades/date=${DATE}/${n}`));
});

Deno.test("quotes without a time of the venue are held against trades by receipt", strict, async () => {
  const quote = (n: number, bid: string) => ({
    ...{ type: "quote", venue: "binance", symbol: "A", eventTime: NOON + n * 1e6, receivedTime: NOON + n * 1e6 },
    ...{
      timeSource: "received",
      sequence: n,
      id: null,
      bidPrice: bid,
      bidSize: "1",
      askPrice: `${Number(bid) + 1}`,
      askSize: "1",
    },
  });
  // The venue's clock is five seconds behind ours.
  const late = trade(10, { venue: "binance", price: "200", eventTime: NOON + 5e6, receivedTime: NOON + 10e6 });
  const { results } = await runOn(
    suite({ name: "away", check: "away" }),
    DATE,
    await filesOf(ticks(quote(1, "100"), quote(9, "200"), late)),
  );
  assert.deepEqual(results.map(({ status, observed }) => [status, observed]), [["pass", "0 of 1 with a quote"]]);
});

Deno.test("a day is drawn by the quarter of an hour", strict, async () => {
  const { plots } = await runOn(
    suite({ name: "rows", check: "rows" }),
    DATE,
    await filesOf(ticks(trade(0), trade(7), trade(900))),
    { draws: true },
  );
  const values = Object.fromEntries(plots.map(({ name, values }) => [name, values]));
  assert.deepEqual(plots.map(({ minutes, values }) => [minutes, values.length]), [[15, 96], [15, 96], [15, 96]]);
  assert.deepEqual(values.count!.slice(47, 51), [0, 2, 1, 0]);
  assert.deepEqual(values.gap!.slice(47, 51), [null, 7, 893, null]);
  assert.deepEqual(new Set(values.spread), new Set([null]));
});

Deno.test("a frozen quote is found although late ones tell of its time", strict, async () => {
  const quote = (minute: number, bidPrice: string, fields: object = {}) => ({
    ...{ type: "quote", venue: "sim", symbol: "A", eventTime: NOON + minute * 60_000_000, sequence: null, id: null },
    ...{ receivedTime: NOON + 3_000_000_000, bidPrice, bidSize: "1", askPrice: "9", askSize: "1", ...fields },
  });
  const minutes = Array.from({ length: 40 }, (_, minute) => minute);
  const rows = [
    ...minutes.map((minute) => quote(minute, "1")),
    ...minutes.map((minute) => quote(minute, `${2 + minute % 2}`, { flags: ["late"] })),
  ];
  const asked = suite({ name: "frozen", check: "frozen", tables: ["quotes"], secondsMax: 900 });
  const { results } = await runOn(asked, DATE, await filesOf(ticks(...rows)));
  assert.deepEqual(results.map(({ status, failing }) => [status, failing]), [["fail", 24]]);
});

Deno.test("what came late ends no silence of the hour that it belongs to", strict, async () => {
  const { plots } = await runOn(
    suite({ name: "rows", check: "rows" }),
    DATE,
    await filesOf(ticks(trade(900), trade(0), trade(60))),
    { draws: true },
  );
  const gap = plots.find(({ name }) => name === "gap")!;
  assert.deepEqual(gap.values.slice(47, 51), [null, 0, null, null]);
});

Deno.test("rows are counted on days with a session alone, where the calendar is known", strict, async () => {
  const DAY = 86_400_000_000;
  const asked = suite({ name: "rows", check: "rows", tables: ["trades"], min: 2 });
  for (
    const [days, venue, symbol, found] of [
      [1, "finnhub", "ACME", ["fail"]],
      [2, "finnhub", "ACME", []],
      [2, "finnhub", "BINANCE:ACME", ["fail"]],
      [2, "finnhub", "AC.ME", ["fail"]],
    ] as const
  ) {
    const at = NOON + days * DAY;
    const files = await filesOf(ticks(trade(0, { venue, symbol, eventTime: at, receivedTime: at })));
    const { results } = await runOn(asked, new Date(at / 1_000).toISOString().slice(0, 10), files);
    assert.deepEqual(results.map(({ status }) => status), found, `${symbol} ${days}`);
    // Where it is named and there are rows of others alone, it is missed on such days too.
    const named = suite({ name: "rows", check: "rows", tables: ["trades"], venue, symbol, min: 1 });
    const others = await filesOf(ticks(trade(0, { eventTime: at, receivedTime: at })));
    const { results: missed } = await runOn(named, new Date(at / 1_000).toISOString().slice(0, 10), others);
    assert.deepEqual(missed.map(({ status }) => status), found, `${symbol} ${days}`);
  }
});

Deno.test("threads look at their shares inside a sandbox that may read nothing but modules", strict, async () => {
  const symbols = ["A", "B", "C"];
  const files = await filesOf(ticks(...symbols.map((symbol, n) => trade(n, { symbol, price: n === 1 ? "0" : "1" }))));
  const asked = suite({ name: "n", check: "negative", tables: ["trades"] });
  const code = `
    import { runSuite } from ${JSON.stringify(import.meta.resolve("./check.ts"))};
    onmessage = async ({ data: { suite, files, ...ground } }) => {
      const signal = new AbortController().signal;
      postMessage(await runSuite(suite, { ...ground, files: () => Promise.resolve(files), signal }).catch(String));
    };`;
  const names = [":memory:", ":memory:.wal"];
  const read = [...names, wasmPath(), fileURLToPath(MODULES)];
  const permissions = { read, write: names, sys: ["cpus" as const], net: false, env: false, run: false, ffi: false };
  const worker = new Worker(`data:text/javascript,${encodeURIComponent(code)}`, {
    type: "module",
    deno: { permissions },
  });
  try {
    const found = await new Promise((resolve, reject) => {
      worker.onmessage = ({ data }) => resolve(data);
      worker.onerror = (event) => (event.preventDefault(), reject(new Error(event.message)));
      worker.postMessage({
        ...{ suite: asked, files, dates: [DATE], symbol: null, terms: [], texts: new Map(), shelf: null, draws: false },
        ...{ limits: { lateMsMax: 1_000, futureMsMax: 5_000 }, partRows: 1, threads: 2 },
      });
    });
    assert.deepEqual(found, await runOn(asked, DATE, files));
  } finally {
    worker.terminate();
  }
});

Deno.test("what an expectation finds of several instruments is one line, with the worst of them", () => {
  const result = (symbol: string, failing: number): Result => ({
    ...{
      name: "n",
      check: "grid",
      severity: "error",
      status: "fail",
      venue: "sim",
      table: "trades",
      date: DATE,
      value: 0,
    },
    ...{ symbol, failing, observed: `${failing} rows`, wanted: "none", evidence: null },
  });
  const [, ...lines] = linesOf([result("A", 1), result("B", 3), result("C", 2), {
    ...result("A", 5),
    table: "quotes",
  }]);
  assert.deepEqual(lines.map((line) => line.split(/ {2,}/).slice(1, 6)), [
    ["n", "sim", "3 symbols", "trades", "B: 3 rows"],
    ["n", "sim", "A", "quotes", "5 rows"],
    [],
  ]);
});

Deno.test(
  "expectations that name whom they speak of and meet nobody are told, and so is a suite that says nothing",
  strict,
  async () => {
    const files = await filesOf(ticks(trade(0)));
    const told = async (symbol: string | null, ...expectations: readonly object[]) => {
      const asked = suite(
        ...expectations.map((each, i) => ({
          name: `e${i}`,
          check: "range",
          column: "price",
          min: "0",
          tables: ["trades"],
          ...each,
        })),
      );
      const { unmet, isMute, results } = await runOn(asked, DATE, files, { symbol });
      return [unmet, isMute, results.length];
    };
    const rows = { venue: "sim" };
    assert.deepEqual(await told(null, rows, { ...rows, symbol: "N*" }, { venue: "nope" }), [["e1", "e2"], false, 1]);
    assert.deepEqual(await told(null, { ...rows, symbol: "N*" }), [["e0"], true, 0]);
    // What is missed is told by a result of its own.
    const missed = suite({ name: "r", check: "rows", tables: ["trades"], venue: "sim", symbol: "NOPE" });
    const { unmet, isMute, results } = await runOn(missed, DATE, files);
    assert.deepEqual([unmet, isMute, results.map(({ status }) => status)], [[], false, ["fail"]]);
    // Who asks of one symbol alone asks nothing of others.
    assert.deepEqual(await told("A", rows, { symbol: "N*" }, { symbol: "A", venue: "nope" }), [["e2"], false, 1]);
    // Kinds that have nothing to say of what is there are not named, but a suite of them alone says nothing.
    assert.deepEqual(await told(null, { tables: ["quotes"], column: "bid_price" }), [[], true, 0]);
  },
);

Deno.test("a suite that is none is refused with path and reason", () => {
  const refused = (text: string, message: RegExp) => assert.throws(() => suiteOf(text, "s.json"), message);
  const of = (expectation: object) => JSON.stringify({ suite: "s", expectations: [{ name: "n", ...expectation }] });
  refused("{", /^Misuse: Cannot read suite "s.json": it is no JSON: .*, must be as its schema says$/);
  refused(of({ check: "crosed" }), /suite\/expectations\/0\/check: /);
  refused(of({ check: "crossed", tables: ["trades"] }), /suite\/expectations\/0\/tables\/0: /);
  refused(of({ check: "lag" }), /suite\/expectations\/0\/msMax: /);
  refused(of({ check: "crossed", color: 1 }), /suite\/expectations\/0: .*color/);
  refused(of({ check: "sql", file: "../x.sql" }), /suite\/expectations\/0\/file: /);
  const twice = { name: "n", check: "crossed" };
  refused(JSON.stringify({ suite: "s", expectations: [twice, twice] }), /expectation "n" is there twice/);
  const alike = ["Wide: A", "wide a"].map((name) => ({ ...twice, name }));
  refused(
    JSON.stringify({ suite: "s", expectations: alike }),
    /expectation "wide a" has the files of "Wide: A", where/,
  );
  refused(of({ check: "spread", bpsMax: 1, per: "table" }), /expectation "n" is per table, .* instrument/);
});

Deno.test("the published schema is that of the kinds, and the shipped suite is one", async () => {
  const published = await Deno.readTextFile(new URL("check/schema.json", import.meta.url));
  assert.deepEqual(JSON.parse(published), JSON.parse(JSON.stringify(suiteJsonSchema())));
  assert.ok(MARKET.expectations.length >= 30);
});

Deno.test("a stability index is none between equals, and a z-score counts robust deviations", () => {
  assert.equal(psiOf([50, 30, 20], [0.5, 0.3, 0.2]), 0);
  assert.ok(Math.abs(psiOf([20, 30, 50], [0.5, 0.3, 0.2]) - 0.5498) < 0.0001);
  assert.equal(robustZ(100, [90, 100, 110]), 0);
  assert.ok(Math.abs(robustZ(1_000, [100, 100, 100]) - 90) < 1e-9, "at least the root of the count");
});
