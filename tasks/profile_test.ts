/** A profile's suite passes on the days that it was made of, and fails on the same days with a defect. */
import assert from "@std/assert";
import { fileURLToPath } from "node:url";
import simulate from "../cmd/simulate.ts";
import { ledgerOf, pathsOf, type Result, runSuite, type Suite, suiteOf } from "../lib/check.ts";
import { type Lake, openLake } from "../lib/lake.ts";
import { LIMITS } from "../lib/rule/limits.ts";
import type { Cell, TableName } from "../lib/table.ts";
import { flow, run, withData } from "../testdata/flow.ts";

const PROJECT = fileURLToPath(new URL("../", import.meta.url));
const SYMBOL = "TTF-GAS", DATE = "2026-11-20";
const ORIGIN = 1, EVENT = 4, RECEIVED = 5, SEQUENCE = 7, ID = 8;
const PRICE = 12, SIZE = 13, SIDE = 14, BID = 12, ASK = 14;
const SECOND = 1_000_000;

interface Rows {
  trades: Cell[][];
  quotes: Cell[][];
}
const times = (row: Cell[], cell: number, factor: number): void => {
  row[cell] = String(Math.round(Number(row[cell]) * factor * 200) / 200);
};
const middle = <T>(list: readonly T[]): T => list[list.length >> 1]!;
const all = ({ trades, quotes }: Rows): Cell[][] => [...trades, ...quotes];

/** What may be wrong with a day, and the check that is meant for it. */
const DEFECTS: readonly (readonly [name: string, check: string, plant: (rows: Rows) => void])[] = [
  ["a quote is crossed", "crossed", ({ quotes }) => times(middle(quotes), BID, 1.1)],
  ["a quote is locked", "locked", ({ quotes }) => middle(quotes)[ASK] = middle(quotes)[BID]!],
  ["a price lies off the grid", "grid", ({ trades }) => middle(trades)[PRICE] = "31.2341"],
  ["a size is no lot", "lot", ({ trades }) => middle(trades)[SIZE] = "1.5"],
  ["a size is zero", "size", ({ trades }) => middle(trades)[SIZE] = "0"],
  ["a price is negative", "negative", ({ trades }) => middle(trades)[PRICE] = `-${middle(trades)[PRICE]}`],
  ["a side is a word that nobody knows", "set", ({ trades }) => middle(trades)[SIDE] = "none"],
  ["a trade leaps", "outlier", ({ trades }) => times(middle(trades), PRICE, 1.2)],
  ["a size is huge", "oversize", ({ trades }) => middle(trades)[SIZE] = "900000"],
  ["a trade is away from every quote", "away", ({ trades }) => times(middle(trades), PRICE, 0.9)],
  ["spreads are wide", "spread", ({ quotes }) => quotes.forEach((row) => times(row, ASK, 1.02))],
  ["one spread is wide", "wide", ({ quotes }) => times(middle(quotes), ASK, 1.05)],
  ["a trade comes twice", "unique", ({ trades }) => {
    const [one, other] = [middle(trades), trades[(trades.length >> 1) + 1]!];
    other[ID] = one[ID]!;
    other[SEQUENCE] = one[SEQUENCE]!;
  }],
  ["trades are missing, and nobody told", "unrecorded", ({ trades }) => trades.splice(10, 20)],
  [
    "numbers begin again",
    "reset",
    ({ trades }) => trades.forEach((row, i) => row[SEQUENCE] = i < trades.length / 2 ? 1_000_000 + i : i),
  ],
  ["most of the trades are missing", "rows", ({ trades }) => trades.splice(0, Math.ceil(trades.length * 0.7))],
  ["nothing comes for an hour", "silence", (rows) => {
    const from = middle(rows.trades)[EVENT] as number;
    for (const row of all(rows)) {
      if (row[EVENT] as number < from) continue;
      row[EVENT] = row[EVENT] as number + 3_600 * SECOND;
      row[RECEIVED] = row[RECEIVED] as number + 3_600 * SECOND;
    }
  }],
  [
    "all comes a minute late to us",
    "lag",
    (rows) => all(rows).forEach((row) => row[RECEIVED] = row[RECEIVED] as number + 60 * SECOND),
  ],
  [
    "an event lies behind the others",
    "order",
    ({ trades }) => middle(trades)[EVENT] = middle(trades)[EVENT] as number - 60 * SECOND,
  ],
  [
    "an event lies after its receipt",
    "future",
    ({ trades }) => trades.at(-1)![EVENT] = trades.at(-1)![EVENT] as number + 60 * SECOND,
  ],
];

/** The rows of the instrument in a lake. */
async function rowsOf(lake: Lake): Promise<Rows> {
  const rows: Rows = { trades: [], quotes: [] };
  for (const file of ledgerOf(await lake.units(), DATE)) {
    if (file.table !== "trades" && file.table !== "quotes") continue;
    rows[file.table].push(...(await lake.rows(file)).filter((row) => row[3] === SYMBOL).map((row) => [...row]));
  }
  return rows;
}

const world = { now: () => 0, env: () => undefined, report: () => {}, retryForMs: 0 };

/** What a suite says of rows, laid into a lake of their own. */
async function judged(root: string, suite: Suite, rows: Rows): Promise<readonly Result[]> {
  const lake = await openLake(`file:${root}`, world);
  try {
    const sheet = lake.sheet(await lake.begin({ sink: "sink-cold", topic: "ticks.valid", partition: 0 }, "log", 0));
    const tagged = (["trades", "quotes"] as TableName[]).flatMap((table) =>
      rows[table as keyof Rows].map((row) => [table, [0, ...row.slice(1)]] as const)
    ).sort(([, a], [, b]) => (a[ORIGIN] as number) - (b[ORIGIN] as number));
    for (const [table, row] of tagged) sheet.add(table, row);
    const [held] = await lake.holdings();
    await lake.publish(held!, sheet, tagged.length);
    const units = await lake.units();
    const { results } = await runSuite(suite, {
      ...{ dates: [DATE], symbol: SYMBOL, terms: [], limits: LIMITS, texts: new Map(), shelf: null, draws: false },
      files: (date) => Promise.resolve(pathsOf(lake.root, ledgerOf(units, date))),
      ledger: (date) => ledgerOf(units, date),
      signal: new AbortController().signal,
    });
    return results;
  } finally {
    await lake.close();
  }
}

Deno.test("a profile's suite passes on its own day, and names each of twenty defects by the check that is meant for it", () =>
  withData(async (data) => {
    await run(simulate, data, "--ticks", "20_000", "--symbols", "3", "--faults", "0");
    await flow(data);
    const audit = async (...args: string[]) => {
      const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
        args: ["run", "-A", "--no-check", "cmd/audit.ts", ...args, "--data", data],
        cwd: PROJECT,
      }).output();
      const text = new TextDecoder();
      return { code, out: text.decode(stdout), told: text.decode(stderr) };
    };
    const profiled = await audit("profile", "--symbol", SYMBOL, "--days", "7");
    assert.equal(profiled.code, 0, profiled.told);
    const suite = suiteOf(profiled.out, "suite.json");
    await Deno.writeTextFile(`${data}/suite.json`, profiled.out);
    const same = await audit("--symbol", SYMBOL, "--date", DATE, "--suite", `${data}/suite.json`, "--strict");
    assert.equal(same.code, 0, same.told);

    const lake = await openLake(`file:${data}/lake`, world);
    const clean = await rowsOf(lake);
    await lake.close();
    const results = await judged(`${data}/clean`, suite, clean);
    assert.deepEqual(results.filter(({ status }) => status === "fail"), []);
    for (const [i, [name, check, plant]] of DEFECTS.entries()) {
      const rows = structuredClone(clean);
      plant(rows);
      const meant = { ...suite, expectations: suite.expectations.filter((each) => each.check === check) };
      const found = await judged(`${data}/defect-${i}`, meant, rows);
      assert.ok(found.some(({ status, severity }) => status === "fail" && severity === "error"), name);
    }
    const unknown = await audit("profile", "--symbol", "NONE");
    assert.equal(unknown.code, 2);
    assert.match(unknown.told, /Cannot profile "NONE": the lake has no row of it/);
  }));
