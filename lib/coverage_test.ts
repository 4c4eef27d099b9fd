/** What became of each minute of a day, and what nobody tells of. */
import assert from "@std/assert";
import { coverageOf } from "./coverage.ts";
import { account, DAY, type Facts, FATES, type Told, WINDOW } from "./coverage/account.ts";
import { openLake } from "./lake.ts";
import type { Cell, TableName } from "./table.ts";

const set = (...spans: readonly (readonly [from: number, to: number])[]): Uint8Array => {
  const minutes = new Uint8Array(WINDOW);
  for (const [from, to] of spans) minutes.fill(1, from, to);
  return minutes;
};
const told = (minute: number, state: string, detail: string | null = null): Told => ({ minute, state, detail });
/** An instrument that ticks in each minute of three days, of a market that never rests. */
const BUSY: Facts = {
  present: set([0, WINDOW]),
  prompt: set([0, WINDOW]),
  alive: set([0, WINDOW]),
  told: [],
  before: { line: "subscribed", trading: null },
  isOpen: () => true,
  horizon: WINDOW,
};
const at = (hour: number, minute = 0): number => DAY + hour * 60 + minute;
/** All of its rows in time, unless it says which. */
const accounted = (facts: Partial<Facts>) => account({ ...BUSY, prompt: facts.present ?? BUSY.present, ...facts });
/** The fates as runs: what, and from which to which minute of the day. */
function runsOf(facts: Partial<Facts>): string[] {
  const { fates, holes } = accounted(facts);
  const runs: { fate: string; from: number; to: number }[] = [];
  fates.forEach((fate, m) => {
    const run = runs.at(-1);
    if (run?.fate === fate) run.to = m + 1;
    else runs.push({ fate, from: m, to: m + 1 });
  });
  const covered = holes.reduce((sum, { from, to }) => sum + to - from, 0);
  assert.equal(covered, fates.filter((fate) => fate === "lost" || fate === "unaccounted").length);
  return runs.map(({ fate, from, to }) => `${fate} ${from}-${to}`);
}
const without = (from: number, to: number): Uint8Array => set([0, from], [to, WINDOW]);

Deno.test("a minute with rows is collected, whatever the calendar says", () => {
  assert.deepEqual(runsOf({}), ["collected 0-1440"]);
  assert.deepEqual(runsOf({ isOpen: () => false }), ["collected 0-1440"]);
});

Deno.test("a minute without rows is closed where the calendar or the venue says so, and lost where it is told", () => {
  const hole = { present: without(at(3), at(5)) };
  const isOpen = (minute: number): boolean => minute < at(3) || minute >= at(5);
  assert.deepEqual(runsOf({ ...hole, isOpen }), ["collected 0-180", "closed 180-300", "collected 300-1440"]);
  const halt = [told(at(3), "halted"), told(at(5), "trading")];
  assert.deepEqual(runsOf({ ...hole, told: halt }), ["collected 0-180", "closed 180-300", "collected 300-1440"]);
  const down = [told(at(3), "disconnected", "closed 1006"), told(at(5), "connected"), told(at(5), "subscribed")];
  assert.deepEqual(runsOf({ ...hole, told: down }), ["collected 0-180", "lost 180-301", "collected 301-1440"]);
  assert.equal(accounted({ ...hole, told: down }).holes[0]!.why, "disconnected: closed 1006");
});

Deno.test("what is closed cannot be lost", () => {
  const down = [told(at(2), "disconnected"), told(at(6), "connected")];
  const isOpen = (minute: number): boolean => minute < at(3) || minute >= at(5);
  assert.deepEqual(runsOf({ present: without(at(2), at(6)), isOpen, told: down }), [
    "collected 0-120",
    "lost 120-180",
    "closed 180-300",
    "lost 300-361",
    "collected 361-1440",
  ]);
});

Deno.test("a gap that was told is lost from the last row before it on", () => {
  const facts = { present: without(at(3), at(3, 4)), told: [told(at(3, 4), "gap", "trade")] };
  assert.deepEqual(runsOf(facts), ["collected 0-179", "lost 179-185", "collected 185-1440"]);
});

Deno.test("a thin instrument of a live connection is quiet", () => {
  const minutes = new Uint8Array(WINDOW);
  for (let m = 0; m < WINDOW; m += 13) minutes[m] = 1;
  const { fates, holes } = accounted({ present: minutes });
  assert.deepEqual(new Set(fates), new Set(["collected", "quiet"]));
  assert.deepEqual(holes, []);
});

Deno.test("a busy instrument that falls silent while its venue goes on is unaccounted, and after 4 minutes not yet", () => {
  assert.deepEqual(runsOf({ present: without(at(3), at(3, 4)) }), [
    "collected 0-180",
    "quiet 180-184",
    "collected 184-1440",
  ]);
  const facts = { present: without(at(3), at(3, 20)) };
  assert.deepEqual(runsOf(facts), ["collected 0-180", "unaccounted 180-200", "collected 200-1440"]);
  assert.match(
    accounted(facts).holes[0]!.why,
    /no row for 20 minutes, of which 98 % have rows around it/,
  );
  assert.deepEqual(runsOf({ present: set([0, at(3)]) }), ["collected 0-180", "unaccounted 180-1440"], "for ever");
});

Deno.test("without a calendar a silence may be a close, and is not doubted", () => {
  const facts = { present: without(at(3), at(3, 20)), isOpen: null };
  assert.deepEqual(runsOf(facts), ["collected 0-180", "quiet 180-200", "collected 200-1440"]);
});

Deno.test("a collector that comes back without having told that it was gone leaves a hole that nobody recorded", () => {
  const minutes = new Uint8Array(WINDOW);
  for (let m = 0; m < WINDOW; m += 13) minutes[m] = 1;
  minutes.fill(0, at(3), at(5));
  const alive = without(at(3), at(5));
  const back = [told(at(5), "connected"), told(at(5), "subscribed")];
  const { holes } = accounted({ present: minutes, alive, told: back });
  assert.deepEqual(holes.map(({ fate, from, to }) => [fate, from, to]), [["unaccounted", 180, 300]]);
  assert.match(holes[0]!.why, /nobody had told/);
  // One that lives through it tells by not connecting anew that it only had nothing to hear.
  assert.deepEqual(accounted({ present: minutes, alive }).holes, []);
});

Deno.test("a venue that is never heard again is unaccounted until the day ends, one that ended in order is lost", () => {
  const gone = { present: set([0, at(15)]), alive: set([0, at(15)]) };
  assert.deepEqual(runsOf(gone), ["collected 0-900", "unaccounted 900-1440"]);
  assert.deepEqual(runsOf({ ...gone, told: [told(at(15), "disconnected", "stopped")] }), [
    "collected 0-900",
    "lost 900-1440",
  ]);
});

Deno.test("of data that no collector vouches for, nothing is expected around it, and long silences of the venue are unaccounted", () => {
  const none = { line: null, trading: null };
  const some = set([at(9), at(10)], [at(11), at(12)]);
  const facts = { before: none, present: some, alive: some };
  assert.deepEqual(runsOf(facts), [
    "unasked 0-540",
    "collected 540-600",
    "unaccounted 600-660",
    "collected 660-720",
    "unasked 720-1440",
  ]);
});

Deno.test("what came late neither begins nor ends what was collected, and hides no hole beside it", () => {
  const none = { line: null, trading: null };
  const prompt = set([at(9), at(10)], [at(11), at(12)]);
  const facts = {
    ...{ before: none, prompt, alive: prompt },
    present: set([at(8, 50), at(8, 51)], [at(9), at(10)], [at(10, 30), at(10, 31)], [at(11), at(12)]),
  };
  assert.deepEqual(runsOf(facts), [
    ...["unasked 0-530", "collected 530-531", "unasked 531-540", "collected 540-600"],
    ...["unaccounted 600-630", "collected 630-631", "unaccounted 631-660", "collected 660-720", "unasked 720-1440"],
  ]);
  // A gap reaches back to the last row in time.
  const gap = { ...facts, told: [told(at(11), "gap", "trade")] };
  assert.ok(runsOf(gap).includes("lost 599-661"), String(runsOf(gap)));
});

Deno.test("an instrument is expected as long as its neighbours are, whatever venue or book say of it alone", () => {
  const some = set([at(9), at(10)]);
  const facts = { before: { line: null, trading: null }, present: some, alive: some };
  const expected = ["unasked 0-540", "collected 540-600", "unasked 600-1440"];
  assert.deepEqual(runsOf(facts), expected);
  assert.deepEqual(runsOf({ ...facts, told: [told(at(9, 30), "connected")] }), expected);
  assert.deepEqual(runsOf({ ...facts, told: [told(at(9, 30), "subscribed", "book synced")] }), expected);
  // A collector's connection has a name, and is expected to go on.
  assert.deepEqual(runsOf({ ...facts, told: [told(at(9), "connected", "c1")] }), [
    ...["unasked 0-540", "collected 540-600", "unaccounted 600-1440"],
  ]);
});

Deno.test("what is not over, or came before it was first asked for, is unasked", () => {
  const facts = { horizon: at(12), present: set([0, at(12)]), alive: set([0, at(12)]) };
  assert.deepEqual(runsOf(facts), ["collected 0-720", "unasked 720-1440"]);
  const begun = {
    before: { line: null, trading: null },
    present: set([at(6, 2), WINDOW]),
    told: [told(at(6), "connected"), told(at(6, 1), "subscribed")],
  };
  assert.deepEqual(runsOf(begun), ["unasked 0-360", "quiet 360-362", "collected 362-1440"]);
});

const MIDNIGHT = Date.UTC(2026, 10, 20) * 1_000;
const world = { now: () => 0, env: () => undefined, report: () => {}, retryForMs: 0 };

Deno.test("the lake's rows, words and calendars come to hours of sixty minutes, the worst instrument first", async () => {
  const root = await Deno.makeTempDir({ prefix: "tapedeck-coverage-" });
  const lake = await openLake(`file:${root}/lake`, world);
  try {
    let held = await lake.begin({ sink: "sink-cold", topic: "ticks.valid", partition: 0 }, "log", 0);
    const sheet = lake.sheet(held);
    let origin = 0;
    const add = (table: TableName, venue: string, symbol: string, minute: number, ...own: Cell[]): void => {
      const time = MIDNIGHT + minute * 60_000_000 + 1_000_000;
      sheet.add(table, [0, origin++, venue, symbol, time, time, null, null, null, null, null, null, ...own]);
    };
    const trade = (venue: string, symbol: string, minute: number) =>
      add("trades", venue, symbol, minute, "1", "1", "buy", null);
    for (let minute = -60; minute < 1_500; minute++) {
      if (minute === -60) {
        for (const symbol of ["BTCUSDT", "ETHUSDT"]) {
          add("status", "binance", symbol, minute, "subscribed", null, null, null);
        }
      }
      if (minute === 600) add("status", "binance", "ETHUSDT", minute, "disconnected", null, null, "closed 1006");
      if (minute === 630) add("status", "binance", "ETHUSDT", minute, "connected", null, null, "c2");
      if (minute < 120 || minute >= 180) trade("binance", "BTCUSDT", minute);
      if (minute < 600 || minute >= 630) trade("binance", "ETHUSDT", minute);
      // Of New York, from 14:30 to 21:00 UTC.
      if (minute >= 870 && minute < 1_260) trade("finnhub", "AAPL", minute);
    }
    held = (await lake.publish(held, sheet, origin)).held;
    const files = (await lake.units()).flatMap((unit) => unit.files);
    const { instruments, until } = await coverageOf(lake.root, files, "2026-11-20", MIDNIGHT + 172_800_000_000);
    assert.equal(until, DAY);
    assert.deepEqual(instruments.map(({ symbol }) => symbol), ["BTCUSDT", "ETHUSDT", "AAPL"]);
    const [btc, eth, aapl] = instruments as [typeof instruments[0], typeof instruments[0], typeof instruments[0]];
    for (const { hours, expected, minutes } of instruments) {
      for (const hour of hours) assert.equal(FATES.reduce((sum, fate) => sum + hour.minutes[fate], 0), 60);
      assert.equal(expected, DAY - minutes.closed - minutes.unasked);
    }
    assert.deepEqual([btc.hours[1]!.rows, btc.hours[2]!.rows, btc.hours[3]!.rows], [60, 0, 60]);
    assert.equal(btc.hours[2]!.minutes.unaccounted, 60);
    assert.equal(btc.minutes.unaccounted, 60);
    assert.equal(eth.minutes.lost, 31);
    assert.deepEqual(eth.holes, [{ fate: "lost", from: 600, to: 631, why: "disconnected: closed 1006" }]);
    assert.deepEqual([aapl.calendar, aapl.minutes.collected, aapl.holes.length], ["us-equities", 390, 0]);
    assert.equal(aapl.minutes.closed + aapl.minutes.unasked, DAY - 390);
    // Nobody told that it was to end: a hole on the next days, and forgotten after a week.
    const after = async (days: number): Promise<number[]> => {
      const date = new Date(MIDNIGHT / 1_000 + days * 86_400_000).toISOString().slice(0, 10);
      const later = await coverageOf(lake.root, files, date, MIDNIGHT + 40 * 86_400_000_000);
      return later.instruments.map(({ minutes }) => minutes.unaccounted);
    };
    assert.deepEqual([await after(3), await after(9)], [[DAY, DAY], []]);
  } finally {
    await lake.close();
    await Deno.remove(root, { recursive: true });
  }
});

Deno.test("of a venue whose collector tells nothing, late rows and a word about one instrument change nothing for it", async () => {
  const root = await Deno.makeTempDir({ prefix: "tapedeck-coverage-" });
  const lake = await openLake(`file:${root}/lake`, world);
  try {
    let held = await lake.begin({ sink: "sink-cold", topic: "ticks.valid", partition: 0 }, "log", 0);
    const sheet = lake.sheet(held);
    let origin = 0;
    const timeOf = (minute: number): number => MIDNIGHT + minute * 60_000_000 + 1_000_000;
    const common = (symbol: string, event: number, received: number, source: string | null, flags: string | null) => [
      ...[0, origin++, "sim", symbol, timeOf(event), timeOf(received), null, null, null, source, null, flags],
    ];
    const trade = (symbol: string, received: number, event = received, flags: string | null = null, source?: string) =>
      sheet.add("trades", [...common(symbol, event, received, source ?? null, flags), "1", "1", "buy", null]);
    for (const minute of [...Array(10).keys(), ...Array(10).keys().map((i) => i + 30)]) {
      for (const symbol of ["BTCUSDT", "ETHUSDT", "RESTART"]) trade(symbol, 480 + minute);
    }
    trade("BTCUSDT", 485, 470, "late");
    trade("BTCUSDT", 485, 455, "old,late");
    trade("BTCUSDT", 485, 80, "session");
    trade("ETHUSDT", 485, 100, null, "backfill");
    sheet.add("status", [...common("RESTART", 485, 485, null, null), "connected", null, null, null]);
    held = (await lake.publish(held, sheet, origin)).held;
    const files = (await lake.units()).flatMap((unit) => unit.files);
    const { instruments } = await coverageOf(lake.root, files, "2026-11-20", MIDNIGHT + 172_800_000_000);
    const holes = instruments.map(({ symbol, holes }) => [symbol, ...holes.map(({ from, to }) => [from, to])]);
    assert.deepEqual(holes, ["BTCUSDT", "ETHUSDT", "RESTART"].map((symbol) => [symbol, [490, 510]]));
    assert.deepEqual(instruments.map(({ expected }) => expected), [43, 41, 40]);
    const later = await coverageOf(lake.root, files, "2026-11-22", MIDNIGHT + 40 * 86_400_000_000);
    assert.deepEqual(later.instruments, []);
  } finally {
    await lake.close();
    await Deno.remove(root, { recursive: true });
  }
});
