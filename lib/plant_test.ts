/** What is planted is found, by a judge who knows only the rules and not the market; and what is clean is left alone. */
import assert from "@std/assert";
import fc from "fast-check";
import { Chance } from "./chance.ts";
import { compare, fits, onGrid, sign } from "./decimal.ts";
import type { Instrument } from "./listing.ts";
import { Market, SEQUENCE_FIRST, type SimMessage } from "./market.ts";
import { type Fault, FAULT_NAMES, FAULTS, plant, type Reason, type Truth } from "./plant.ts";
import { isTick, type Quote, type Trade } from "./tick.ts";

const strict = { sanitizeOps: true, sanitizeResources: true };
/** Table order. */
const ORDER: readonly Reason[] = [
  ...["malformed", "shape", "precision", "price", "grid", "crossed", "future", "duplicate", "backwards"] as const,
  ...["gap", "late", "reordered"] as const,
];
const FLAGGING = 9;

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
  const messages = new Market({ seed: 11, faults: 0.05 }).fill(120_000);
  const truths = messages.flatMap(({ truth }) => truth ?? []);
  const gaps = truths.filter(({ fault }) => fault === "gap").length;
  const clean = messages.length - truths.length + 2 * gaps;
  assert(Math.abs(truths.length / clean - 0.05) < 0.003, `${truths.length} faults beside ${clean} clean ticks`);
  for (const name of FAULT_NAMES) {
    const count = truths.filter(({ fault }) => fault === name).length;
    const even = truths.length / FAULT_NAMES.length;
    assert(Math.abs(count / even - 1) < 0.25, `${name} ${count} times of ${truths.length}`);
  }
  const everywhere = new Market({ seed: 11, faults: 1 }).fill(10_000).filter(({ truth }) => truth !== undefined);
  assert(everywhere.length > 4_500);
});

Deno.test("a fault follows the clean tick that it imitates, in the same partition", strict, () => {
  const messages = new Market({ seed: 12, faults: 1 }).fill(5_000);
  for (const [i, { key, symbolIndex, truth }] of messages.entries()) {
    if (truth === undefined || truth.fault === "gap") continue;
    const before = messages[i - 1]!;
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
    for (const { value, truth } of new Market({ seed, faults: 1, symbols: 20 }).fill(5_000)) {
      if (truth !== undefined && truth.fault !== "gap") continue;
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

Deno.test("no-json is no JSON in three ways, one of which is not UTF-8", strict, () => {
  const chance = Chance.of(1, 1);
  const ways = { cut: 0, noise: 0, encoding: 0 };
  for (let i = 0; i < 300; i++) {
    const { value, truth } = plant("no-json", QUOTE, SEQUENCE_FIRST, chance);
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
  fc.assert(
    fc.property(fc.maxSafeNat(), fc.constantFrom(...kinds), fc.constantFrom(TRADE, QUOTE), (seed, fault, line) => {
      const { value, truth } = plant(fault, line, SEQUENCE_FIRST, Chance.of(seed, 1));
      const text = value as string;
      assert(!text.includes("\n"));
      const { sequence } = JSON.parse(text) as { sequence?: unknown };
      assert.equal(truth.sequence, typeof sequence === "number" ? sequence : null);
      assert.equal(truth.reason, FAULTS[fault].reason);
    }),
  );
});

Deno.test("the details of faults are as far off as they promise", strict, () => {
  const planted = (fault: Exclude<Fault, "gap">, line: string): [Record<string, unknown>, Truth] => {
    const { value, truth } = plant(fault, line, SEQUENCE_FIRST, Chance.of(5, 5));
    return [JSON.parse(value as string), truth];
  };
  assert.equal(planted("future", TRADE)[0].eventTime, 1795161600000401 + 3_600e6);
  const [late] = planted("late", TRADE);
  assert.deepEqual([late.eventTime, late.sequence, late.id], [1795161540000001, null, null]);
  const [backwards] = planted("backwards", TRADE);
  assert.deepEqual([backwards.sequence, backwards.id], [500_007, "500007"]);
  const [far, truth] = planted("backwards", QUOTE.replace("1000007", "1600000"));
  assert.deepEqual([far.sequence, far.id, truth.also], [1_100_000, null, ["duplicate"]]);
  const [crossed] = planted("crossed", QUOTE);
  assert.deepEqual([crossed.bidPrice, crossed.askPrice], ["-0.04", "-0.05"]);
  assert.equal(String(planted("long-decimal", QUOTE)[0].bidPrice).replace(/\D/g, "").length, 40);
  assert.equal(planted("bad-symbol", QUOTE)[0].symbol, "../../x");
  assert.equal(Object.keys(planted("missing-field", TRADE)[0]).length, Object.keys(JSON.parse(TRADE)).length - 1);
});
