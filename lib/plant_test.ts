/** What is planted is found, by a judge who knows only the rules and not the market; and what is clean is left alone. */
import assert from "@std/assert";
import fc from "fast-check";
import { Chance } from "./chance.ts";
import { compare, fits, onGrid, sign } from "./decimal.ts";
import type { Instrument } from "./listing.ts";
import { Market, SEQUENCE_FIRST, type SimMessage } from "./market.ts";
import { type Fault, FAULT_NAMES, FAULTS, plant, type Planted, type Reason, STAGED, type Truth } from "./plant.ts";
import { isTick, type Quote, type Trade } from "./tick.ts";

const strict = { sanitizeOps: true, sanitizeResources: true };
/** Table order. */
const ORDER: readonly Reason[] = [
  ...["malformed", "shape", "precision", "price", "grid", "crossed", "future", "duplicate", "backwards"] as const,
  ...["gap", "late", "reordered"] as const,
];
const FLAGGING = 9;
/** Faults that only a judge with a memory finds, which this one is not; they are tried in `judge_test.ts`. */
const REMEMBERED: readonly Fault[] = [
  ...["repeated-id", "wide", "empty-side", "old", "outlier", "frozen", "halted", "session", "reset"] as const,
];
/** Whether a message only leads to a fault. */
const isStep = ({ value, truth, symbolIndex }: SimMessage, symbols: number): boolean =>
  truth === undefined &&
  (symbolIndex >= symbols || typeof value === "string" && /"type":"status"|"sequence":null/.test(value));

/** Finds what is wrong with one message after another, rejecting or flagging, in table order. */
function judge(): (message: SimMessage, instrument: Instrument) => Reason[] {
  const last = new Map<string, { readonly seen: Set<number>; highest: number; event: number }>();
  return ({ value }, instrument) => {
    let tick: unknown;
    try {
      tick = JSON.parse(typeof value === "string" ? value : new TextDecoder("utf-8", { fatal: true }).decode(value));
    } catch {
      return ["malformed"];
    }
    if (!isTick(tick)) return ["shape"];
    const found = new Set<Reason>();
    const { type, price, bidPrice, askPrice } = tick as Trade & Quote & { type: string };
    const prices = type === "trade" ? [price] : [bidPrice!, askPrice!];
    if (!prices.every((p) => fits(p))) found.add("precision");
    if (!instrument.negative && prices.some((p) => sign(p) <= 0)) found.add("price");
    if (!prices.every((p) => onGrid(p, instrument.tickSize))) found.add("grid");
    if (type === "quote" && compare(bidPrice!, askPrice!) > 0) found.add("crossed");
    assert(type === "trade" || compare(bidPrice!, askPrice!) !== 0, "nothing is locked");
    if (tick.eventTime > tick.receivedTime + 1e6) found.add("future");
    const name = `${tick.symbol} ${type}`;
    let series = last.get(name);
    if (series === undefined) last.set(name, series = { seen: new Set(), highest: SEQUENCE_FIRST - 1, event: 0 });
    if (tick.sequence !== null) {
      if (series.seen.has(tick.sequence)) found.add("duplicate");
      else if (tick.sequence < series.highest) found.add("backwards");
      else if (tick.sequence > series.highest + 1) found.add("gap");
      series.seen.add(tick.sequence);
      series.highest = Math.max(series.highest, tick.sequence);
    }
    if (tick.eventTime < series.event) found.add("reordered");
    if (tick.eventTime < series.event - 10e6) found.add("late");
    const inOrder = ORDER.filter((reason) => found.has(reason));
    if (!inOrder.some((reason) => ORDER.indexOf(reason) < FLAGGING)) {
      series.event = Math.max(series.event, tick.eventTime);
    }
    return inOrder;
  };
}

Deno.test("every planted fault is found as its truth says, and nothing clean is touched, for any seed", strict, () => {
  fc.assert(
    fc.property(
      fc.maxSafeNat(),
      fc.integer({ min: 1, max: 60 }),
      fc.constantFrom(0.01, 0.2, 1),
      (seed, symbols, faults) => {
        const market = new Market({ seed, symbols, faults });
        const findings = judge();
        for (const message of market.fill(1_500)) {
          const { truth, symbolIndex, key } = message;
          if (isStep(message, symbols) || truth !== undefined && REMEMBERED.includes(truth.fault)) continue;
          const instrument = market.instruments[symbolIndex]!;
          const found = findings(message, instrument);
          assert.equal(key, `sim:${instrument.symbol}`);
          const told = `${String(message.value)} ${JSON.stringify(truth)} found ${found}`;
          if (truth === undefined) assert.deepEqual(found, [], told);
          else {
            assert.equal(found[0], truth.reason, told);
            assert.deepEqual(found.slice(1).filter((reason) => !truth.also.includes(reason)), [], told);
            assert.equal(truth.outcome, ORDER.indexOf(found[0]!) < FLAGGING ? "rejected" : "flagged", told);
          }
        }
      },
    ),
    { numRuns: 60 },
  );
});

Deno.test("each kind of fault has its even part of the share that was asked for", strict, () => {
  const all = new Market({ seed: 11, faults: 0.05 }).fill(120_000);
  const messages = all.filter((message) => !isStep(message, 50));
  const truths = messages.flatMap(({ truth }) => truth ?? []);
  const gaps = truths.filter(({ fault }) => fault === "gap").length;
  const clean = messages.length - truths.length + 2 * gaps;
  assert(Math.abs(truths.length / clean - 0.05) < 0.003, `${truths.length} faults beside ${clean} clean ticks`);
  // Quotes are stuck for longer than others last, and in few instruments.
  assert(truths.filter(({ fault }) => fault === "frozen").length >= 8);
  for (const name of FAULT_NAMES.filter((name) => name !== "frozen")) {
    const count = truths.filter(({ fault }) => fault === name).length;
    const even = truths.length / FAULT_NAMES.length;
    assert(Math.abs(count / even - 1) < 0.25, `${name} ${count} times of ${truths.length}`);
  }
  const everywhere = new Market({ seed: 11, faults: 1 }).fill(10_000).filter(({ truth }) => truth !== undefined);
  assert(everywhere.length > 4_000);
});

Deno.test("a fault follows the clean tick that it imitates, in the same partition", strict, () => {
  const messages = new Market({ seed: 12, faults: 1 }).fill(5_000);
  for (const [i, { key, symbolIndex, truth }] of messages.entries()) {
    if (truth === undefined || truth.fault === "gap" || symbolIndex >= 50) continue;
    const before = messages.slice(0, i).findLast((message) => !isStep(message, 50))!;
    assert.deepEqual([key, symbolIndex], [before.key, before.symbolIndex]);
    assert(before.truth === undefined || before.truth.fault === "gap");
    const imitated = JSON.parse(before.value as string) as Trade | Quote;
    assert.deepEqual([truth.symbol, truth.type], [imitated.symbol, imitated.type]);
    if (truth.fault === "duplicate") assert.equal(messages[i]!.value, before.value);
  }
});

Deno.test("a gap takes no first tick and never two in a row", strict, () => {
  for (const seed of [1, 2, 3]) {
    const next = new Map<string, number>();
    for (const message of new Market({ seed, faults: 1, symbols: 20 }).fill(5_000)) {
      const { value, truth } = message;
      if (isStep(message, 20) || truth !== undefined && truth.fault !== "gap") continue;
      const { symbol, type, sequence } = JSON.parse(value as string) as Trade;
      const expected = next.get(`${symbol} ${type}`) ?? SEQUENCE_FIRST;
      assert.equal(sequence, truth === undefined ? expected : expected + 1);
      if (truth !== undefined) assert.deepEqual([truth.sequence, expected > SEQUENCE_FIRST], [expected, true]);
      next.set(`${symbol} ${type}`, sequence! + 1);
    }
  }
});

const TRADE =
  '{"type":"trade","venue":"sim","symbol":"TTF-GAS","eventTime":1795161600000001,"receivedTime":1795161600000401,' +
  '"sequence":1000007,"id":"1000007","price":"35.005","size":"3","side":"buy"}';
const QUOTE =
  '{"type":"quote","venue":"sim","symbol":"PWR-DE-SPREAD","eventTime":1795161600000001,"receivedTime":1795161600000401,' +
  '"sequence":1000007,"id":null,"bidPrice":"-0.05","bidSize":"0.3","askPrice":"-0.04","askSize":"1"}';

/** The faulty one among the messages of a fault. */
function planted(
  fault: Exclude<Fault, "gap">,
  line: string,
  chance: Chance,
): Required<Pick<Planted, "value" | "truth">> {
  const faulty = plant(fault, line, SEQUENCE_FIRST, chance, 3).filter(({ truth }) => truth !== undefined);
  assert.equal(faulty.length, 1);
  const { value, truth } = faulty[0]!;
  return { value, truth: truth! };
}

Deno.test("no-json is no JSON in three ways, one of which is not UTF-8", strict, () => {
  const chance = Chance.of(1, 1);
  const ways = { cut: 0, noise: 0, encoding: 0 };
  for (let i = 0; i < 300; i++) {
    const { value, truth } = planted("no-json", QUOTE, chance);
    const bytes = value as Uint8Array<ArrayBuffer>;
    assert(bytes instanceof Uint8Array && bytes.length > 0);
    assert.equal(truth.sequence, null);
    const way = bytes[0] === 0 ? "noise" : bytes.length < QUOTE.length ? "cut" : "encoding";
    ways[way]++;
    if (way === "encoding") assert.throws(() => new TextDecoder("utf-8", { fatal: true }).decode(bytes), TypeError);
    else assert.throws(() => JSON.parse(new TextDecoder().decode(bytes)), SyntaxError);
  }
  assert(Math.min(...Object.values(ways)) > 60, JSON.stringify(ways));
});

Deno.test("every other fault is one JSON line, and its truth has the sequence that it carries", strict, () => {
  const kinds = FAULT_NAMES.filter((name): name is Exclude<Fault, "gap"> => name !== "gap" && name !== "no-json");
  // Not of every tick: their market asks which can bear them.
  const quoted: readonly Fault[] = ["crossed", "wide", "empty-side"];
  fc.assert(
    fc.property(fc.maxSafeNat(), fc.constantFrom(...kinds), fc.constantFrom(TRADE, QUOTE), (seed, fault, line) => {
      const { value, truth } = planted(fault, quoted.includes(fault) ? QUOTE : line, Chance.of(seed, 1));
      const text = value as string;
      assert(!text.includes("\n"));
      const { sequence } = JSON.parse(text) as { sequence?: unknown };
      assert.equal(truth.sequence, typeof sequence === "number" ? sequence : null);
      assert.equal(truth.reason, FAULTS[fault].reason);
    }),
  );
});

Deno.test("the details of faults are as far off as they promise", strict, () => {
  const made = (fault: Exclude<Fault, "gap">, line: string): [Record<string, unknown>, Truth] => {
    const { value, truth } = planted(fault, line, Chance.of(5, 5));
    return [JSON.parse(value as string), truth];
  };
  assert.equal(made("future", TRADE)[0].eventTime, 1795161600000401 + 3_600e6);
  const [late] = made("late", TRADE);
  assert.deepEqual([late.eventTime, late.sequence, late.id], [1795161540000001, null, null]);
  const [backwards] = made("backwards", TRADE);
  assert.deepEqual([backwards.sequence, backwards.id], [500_007, "500007"]);
  const [far, truth] = made("backwards", QUOTE.replace("1000007", "1600000"));
  assert.deepEqual([far.sequence, far.id, truth.also], [1_100_000, null, ["duplicate"]]);
  const [crossed] = made("crossed", QUOTE);
  assert.deepEqual([crossed.bidPrice, crossed.askPrice], ["-0.04", "-0.05"]);
  assert.equal(String(made("long-decimal", QUOTE)[0].bidPrice).replace(/\D/g, "").length, 40);
  assert.equal(made("bad-symbol", QUOTE)[0].symbol, "../../x");
  assert.equal(Object.keys(made("missing-field", TRADE)[0]).length, Object.keys(JSON.parse(TRADE)).length - 1);
  const [wide] = made("wide", QUOTE.replace("-0.05", "12.50").replace("-0.04", "12.52"));
  assert.deepEqual([wide.bidPrice, wide.askPrice, wide.sequence], ["12.50", "25.04", null]);
  assert.equal(made("outlier", TRADE)[0].price, "70.010");
  assert.equal(made("old", TRADE)[0].eventTime, 1795161000000001);
  const [night, at] = made("session", TRADE);
  assert.deepEqual([night.symbol, at.symbol, new Date(night.eventTime as number / 1_000).toISOString().slice(11, 16)], [
    ...["NIGHT-GAS", "NIGHT-GAS"],
    "00:34",
  ]);
});

Deno.test("a fault of several messages names where each goes, and is about the one that bears it", strict, () => {
  const steps = (fault: Exclude<Fault, "gap">, line: string) =>
    plant(fault, line, SEQUENCE_FIRST, Chance.of(5, 5), 3).map(({ value, truth, staged }) => {
      const { type, state, sequence, symbol } = JSON.parse(value as string);
      return [staged === undefined ? symbol : STAGED[staged]!.symbol, state ?? type, sequence, truth?.reason ?? null];
    });
  assert.deepEqual(steps("halted", TRADE), [
    ["TTF-GAS", "halted", null, null],
    ["TTF-GAS", "trade", null, "halted"],
    ["TTF-GAS", "trading", null, null],
  ]);
  assert.deepEqual(steps("reset", TRADE), [
    ["RESTART", "trade", 2, null],
    ["RESTART", "connected", null, null],
    ["RESTART", "trade", 1, "reset"],
  ]);
  assert.deepEqual(steps("frozen", QUOTE).map(([symbol, type, , reason]) => [symbol, type, reason]), [
    ["STUCK-4", "quote", null],
    ["STUCK-4", "trade", null],
    ["STUCK-4", "trade", "frozen"],
  ]);
  assert.deepEqual(steps("repeated-id", TRADE), [["TTF-GAS", "trade", null, null], [
    "TTF-GAS",
    ...["trade", null, "duplicate"],
  ]]);
});
