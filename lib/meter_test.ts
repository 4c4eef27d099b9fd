import assert from "@std/assert";
import { FAULTS, OUTCOMES } from "./book.ts";
import { Board, type MeterName, METERS, OBSERVATIONS_MAX, OTHER, Tally } from "./meter.ts";
import { RULES } from "./rule.ts";
import { TABLE_NAMES } from "./table.ts";
import { TOPICS } from "./transport.ts";
import { openVenue, VENUES } from "./venue.ts";

const options = { sanitizeOps: true, sanitizeResources: true } as const;

/** The value lines of an exposition, by name and labels. */
async function shown(board: Board): Promise<Map<string, number>> {
  const lines = (await board.text()).split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return new Map(lines.map((line) => [line.slice(0, line.lastIndexOf(" ")), Number(line.split(" ").at(-1))]));
}

Deno.test("a board shows the sum of what the tallies of several stages handed over", options, async () => {
  const board = new Board();
  const hot = new Tally(), cold = new Tally();
  for (let round = 0; round < 3; round++) {
    hot.add("stage_received_total", 10, "sink-hot");
    hot.add("db_inserts_total", 7, "trades");
    hot.add("db_inserts_total", 2, "quotes");
    cold.add("stage_received_total", 5, "sink-cold");
    cold.set("stage_lag_records", 100 - round, "sink-cold");
    board.apply(structuredClone(hot.take()));
    board.apply(structuredClone(cold.take()));
  }
  const values = await shown(board);
  assert.equal(values.get('stage_received_total{stage="sink-hot"}'), 30);
  assert.equal(values.get('stage_received_total{stage="sink-cold"}'), 15);
  assert.equal(values.get('db_inserts_total{table="trades"}'), 21);
  assert.equal(values.get('db_inserts_total{table="quotes"}'), 6);
  assert.equal(values.get('stage_lag_records{stage="sink-cold"}'), 98);
});

Deno.test("a tally hands over each count once", options, () => {
  const tally = new Tally();
  tally.add("ticks_valid_total", 3);
  assert.deepEqual(tally.take().sums, [{ name: "ticks_valid_total", values: [], sum: 3 }]);
  assert.deepEqual(tally.take(), { sums: [], levels: [], observations: [] });
  tally.add("ticks_valid_total", 1);
  tally.add("ticks_valid_total", 1);
  assert.deepEqual(tally.take().sums, [{ name: "ticks_valid_total", values: [], sum: 2 }]);
});

Deno.test("a histogram counts each observation in its bucket and above, lag up to ten minutes", options, async () => {
  const board = new Board(), tally = new Tally();
  for (const seconds of [2 ** -11, 2 ** -10, 0.75, 599, 601]) tally.observe("ingestion_lag_seconds", seconds);
  board.apply(tally.take());
  const values = await shown(board);
  const bucket = (le: string) => values.get(`ingestion_lag_seconds_bucket{le="${le}"}`);
  assert.deepEqual(["0.001", "0.5", "1", "600", "+Inf"].map(bucket), [2, 2, 3, 4, 5]);
  assert.equal(values.get("ingestion_lag_seconds_count"), 5);
  assert.equal(values.get("ingestion_lag_seconds_sum"), 1200.75146484375);
});

Deno.test("what is not in a label's set becomes other, and a label left out as well", options, async () => {
  const board = new Board(), tally = new Tally();
  for (const hostile of ['BTC"} 1\nevil_total 1', "", "__proto__", "Trades", "trades\n", "☃".repeat(1000)]) {
    tally.add("db_inserts_total", 1, hostile);
  }
  tally.add("db_inserts_total", 1);
  tally.add("frames_total", 1, "binance");
  board.apply(tally.take());
  const values = await shown(board);
  assert.equal(values.get(`db_inserts_total{table="${OTHER}"}`), 7);
  assert.equal(values.get(`frames_total{venue="binance",kind="${OTHER}"}`), 1);
  assert.ok([...values.keys()].every((name) => /^[a-z_]+(\{[a-z]+="[\w.+-]+"(,[a-z]+="[\w.-]+")*\})?$/i.test(name)));
});

Deno.test("a tally refuses what would make a counter fall", options, () => {
  for (const n of [-1, NaN, Infinity]) {
    assert.throws(() => new Tally().add("ticks_valid_total", n), /^RangeError: Cannot add to counter "ticks_valid_/);
  }
});

Deno.test("a tally that nobody takes from does not grow without bound", options, () => {
  const tally = new Tally();
  for (let i = 0; i < OBSERVATIONS_MAX + 10; i++) tally.observe("ingestion_lag_seconds", 1);
  assert.equal(tally.take().observations[0]?.seconds.length, OBSERVATIONS_MAX);
});

Deno.test("a board shows memory and processor time of the process and its Deno", options, async () => {
  const values = await shown(new Board());
  assert.equal(values.get(`tapedeck_info{deno="${Deno.version.deno}"}`), 1);
  assert.ok(values.get("process_resident_memory_bytes")! > 1e6);
  assert.ok(values.get("process_cpu_seconds_total")! > 0);
});

Deno.test("every metric is named by the rules: base units, total on counters alone, rising buckets", options, () => {
  for (const [name, meter] of Object.entries(METERS)) {
    assert.match(name, /^[a-z]+(_[a-z]+)+$/);
    assert.equal(name.endsWith("_total"), meter.type === "counter", name);
    assert.ok(!/_(ms|millis|micros|us|minutes|kb|mb)(_|$)/.test(name), name);
    assert.ok(!/[.\n]$/.test(meter.help) && meter.help.length > 10, name);
    if (meter.type !== "histogram") continue;
    assert.ok(name.endsWith("_seconds"));
    assert.ok(meter.buckets.every((bound, i) => i === 0 || bound > meter.buckets[i - 1]!));
  }
});

Deno.test("every metric is fed by somebody", options, () => {
  const root = new URL("../", import.meta.url);
  const fed = new Set<string>();
  for (const folder of ["cmd", "lib"]) {
    for (const { name } of Deno.readDirSync(new URL(folder, root))) {
      if (!name.endsWith(".ts") || name.endsWith("_test.ts") || name === "meter.ts") continue;
      const text = Deno.readTextFileSync(new URL(`${folder}/${name}`, root));
      for (const [, metric] of text.matchAll(/"([a-z]+(?:_[a-z]+)+)"/g)) fed.add(metric!);
    }
  }
  const own = ["process_resident_memory_bytes", "process_cpu_seconds_total", "tapedeck_info"];
  assert.deepEqual(Object.keys(METERS).filter((name) => !fed.has(name)), own);
});

Deno.test("the names that dashboards elsewhere rely on are kept", options, () => {
  const kept: readonly MeterName[] = [
    "ticks_produced_total",
    "ticks_valid_total",
    "ticks_invalid_total",
    "db_inserts_total",
    "ingestion_lag_seconds",
  ];
  for (const name of kept) assert.ok(Object.hasOwn(METERS, name), name);
});

Deno.test(
  "the labels' sets hold every table, topic, rule, venue and kind of frame that there is",
  options,
  async () => {
    const has = (set: readonly string[], values: readonly string[]) =>
      assert.deepEqual(values.filter((value) => !set.includes(value)), []);
    has(METERS.db_inserts_total.labels.table, [...TABLE_NAMES, "rejected"]);
    has(METERS.stage_sent_total.labels.topic, Object.values(TOPICS));
    has(METERS.frames_total.labels.venue, VENUES);
    has(METERS.books_broken_total.labels.fault, FAULTS);
    has(METERS.books_compared_total.labels.outcome, OUTCOMES);
    const named = (severity: string) => RULES.filter((rule) => rule.severity === severity).map(({ name }) => name);
    has(METERS.ticks_invalid_total.labels.reason, named("reject"));
    has(METERS.ticks_flagged_total.labels.flag, named("flag"));
    for (const name of VENUES) has(METERS.frames_total.labels.kind, (await openVenue(name)).kinds);
  },
);
