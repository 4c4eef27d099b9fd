/** The market is judged without knowing how it draws: same seed, same bytes; runs add up; what is clean is clean. */
import assert from "@std/assert";
import { createHash } from "node:crypto";
import fc from "fast-check";
import { compare, onGrid, sign } from "./decimal.ts";
import { Misuse, Refusal } from "./failure.ts";
import { type Instrument, instruments, listings, priceText, SYMBOLS_MAX } from "./listing.ts";
import { Market, type MarketOptions, SEQUENCE_FIRST, type SimMessage, START_MICROS } from "./market.ts";
import { isTick, keyOf, type Quote, Tick, type Trade } from "./tick.ts";

const strict = { sanitizeOps: true, sanitizeResources: true };
const bytesOf = (messages: readonly SimMessage[]): string =>
  messages.map(({ key, value, symbolIndex, truth }) =>
    JSON.stringify([key, typeof value === "string" ? value : [...value], symbolIndex, truth])
  ).join("\n");
const hashOf = (messages: readonly SimMessage[]): string =>
  createHash("sha256").update(bytesOf(messages)).digest("hex");
const tickOf = ({ value }: SimMessage): Trade | Quote => {
  const tick: unknown = JSON.parse(value as string);
  if (isTick(tick) && (tick.type === "trade" || tick.type === "quote")) return tick;
  throw new assert.AssertionError({ message: `neither trade nor quote: ${value}` });
};
const options = fc.record({
  seed: fc.maxSafeNat(),
  symbols: fc.integer({ min: 1, max: 60 }),
  faults: fc.constantFrom(0, 0.01, 0.2, 1),
  mixed: fc.constantFrom(0, 0, 2, 16),
});

Deno.test("a seed gives the same bytes on every machine", strict, () => {
  const hashes = [
    hashOf(new Market({ seed: 42 }).fill(5_000)),
    hashOf(new Market({ seed: 42, faults: 0.3 }).fill(5_000)),
    hashOf(new Market({ seed: Number.MAX_SAFE_INTEGER, symbols: SYMBOLS_MAX }).fill(5_000)),
  ];
  assert.deepEqual(hashes, [
    "9814c925c18a42e72abb4402bfebf97530e612dd5b24344aeef940d86a6a4d95",
    "9dbbc4fe12a7c6affb129e586bffde6115ff8127d25dc7cf2493f12f4afa7e5d",
    "e217e86518d6e3353229239bc63baa805760e1d6d545e8938853c4d1e46dc520",
  ]);
});

Deno.test("another seed gives other bytes, also where only its high half differs", strict, () => {
  const hashes = [1, 2, 2 ** 32 + 1, 2 ** 33 + 1].map((seed) => hashOf(new Market({ seed }).fill(100)));
  assert.equal(new Set(hashes).size, hashes.length);
});

Deno.test("runs add up wherever the break falls", strict, () => {
  fc.assert(
    fc.property(options, fc.array(fc.nat(200), { maxLength: 6 }), (chosen, parts) => {
      const whole = new Market(chosen);
      let part = new Market(chosen);
      const pieces: SimMessage[] = [];
      for (const count of parts) {
        pieces.push(...part.fill(count));
        part = new Market({ ...chosen, state: part.state() });
      }
      assert.equal(bytesOf(pieces), bytesOf(whole.fill(pieces.length)));
      assert.equal(part.state(), whole.state());
      assert.equal(part.time, whole.time);
    }),
    { numRuns: 40 },
  );
});

Deno.test("a mixed order has the same ticks, each a few places from its own", strict, () => {
  for (const faults of [0, 0.2]) {
    const plain = new Market({ seed: 9, faults }).fill(9_000).map(({ value }) => String(value));
    const mixed = new Market({ seed: 9, faults, mixed: 16 }).fill(9_000);
    const clean = mixed.filter(({ truth }) => truth === undefined).map(({ value }) => String(value));
    if (faults === 0) assert.deepEqual(clean.slice(0, 8_992).sort(), plain.slice(0, 8_992).sort());
    const order = new Map(plain.map((value, i) => [value, i]));
    const moves = clean.flatMap((value, i) =>
      order.has(value) && faults === 0 ? [Math.abs(order.get(value)! - i)] : []
    );
    assert(faults > 0 || Math.max(...moves) === 15);
    const times = mixed.flatMap(({ value, truth }) => truth === undefined ? JSON.parse(value as string).eventTime : []);
    assert(times.some((time, i) => i > 0 && time < times[i - 1]));
  }
  for (const mixed of [1, 17, -2, 2.5]) assert.throws(() => new Market({ seed: 1, mixed }), Misuse);
});

Deno.test("the clean ticks do not depend on the faults beside them", strict, () => {
  const faulty = new Market({ seed: 7, faults: 0.3 }).fill(8_000);
  // What only leads to a fault has no number.
  const kept = faulty.filter(({ truth }) => truth === undefined || truth.fault === "gap").map(({ value }) => value)
    .filter((value) => typeof value !== "string" || !/"sequence":(?:null|2),/.test(value));
  const missing = faulty.filter(({ truth }) => truth?.fault === "gap").length;
  const clean = new Set(new Market({ seed: 7 }).fill(8_000).map(({ value }) => value));
  assert(missing > 50);
  assert.deepEqual(kept.filter((value) => !clean.has(value)), []);
});

/** Asserts what holds for the clean ticks of any market, and gives them. */
function cleanTicks(chosen: MarketOptions, count: number): (Trade | Quote)[] {
  const market = new Market(chosen);
  const next = new Map<string, number>();
  let event = chosen.start ?? START_MICROS, received = event;
  return market.fill(count).map((message) => {
    const tick = tickOf(message);
    const instrument: Instrument = market.instruments[message.symbolIndex]!;
    const at = message.value as string;
    assert.equal(message.truth, undefined);
    assert(Tick.safeParse(tick).success, at);
    assert.equal(JSON.stringify(tick), at);
    assert.equal(tick.venue, "sim");
    assert.equal(tick.symbol, instrument.symbol);
    assert.equal(message.key, keyOf(tick));
    const series = `${tick.symbol} ${tick.type}`;
    assert.equal(tick.sequence, next.get(series) ?? SEQUENCE_FIRST, at);
    next.set(series, tick.sequence! + 1);
    assert(tick.eventTime >= event && tick.receivedTime >= received, at);
    ({ eventTime: event, receivedTime: received } = tick);
    const delay = tick.receivedTime - tick.eventTime;
    assert(delay >= 200 && delay <= 80_000, at);
    const prices = tick.type === "trade" ? [tick.price] : [tick.bidPrice!, tick.askPrice!];
    const sizes = tick.type === "trade" ? [tick.size] : [tick.bidSize!, tick.askSize!];
    for (const price of prices) {
      assert(onGrid(price, instrument.tickSize) && (instrument.negative || sign(price) > 0), at);
    }
    for (const size of sizes) assert(onGrid(size, instrument.lot) && sign(size) > 0, at);
    if (tick.type === "quote") assert(compare(tick.bidPrice!, tick.askPrice!) < 0 && tick.id === null, at);
    else assert(tick.id === String(tick.sequence) && tick.side !== "unknown", at);
    return tick;
  });
}

Deno.test("every clean tick is a tick: on grid, uncrossed, in sequence and in time, for any seed", strict, () => {
  fc.assert(
    fc.property(fc.maxSafeNat(), fc.integer({ min: 1, max: 300 }), fc.integer({ min: 1e15, max: 2e15 }), (...drawn) => {
      const [seed, symbols, start] = drawn;
      cleanTicks({ seed, symbols, start }, 300);
    }),
    { numRuns: 40 },
  );
});

Deno.test("ten seconds of market have the promised character", strict, () => {
  const ticks = cleanTicks({ seed: 3 }, 100_000);
  const seconds = (ticks.at(-1)!.eventTime - START_MICROS) / 1e6;
  assert(seconds > 9 && seconds < 11, `${seconds} s for 100,000 ticks`);
  const trades = ticks.filter(({ type }) => type === "trade") as Trade[];
  const quotes = ticks.filter(({ type }) => type === "quote") as Quote[];
  assert(Math.abs(trades.length - 25_000) < 1_000, `${trades.length} trades`);
  assert(Math.abs(trades.filter(({ side }) => side === "buy").length / trades.length - 0.5) < 0.03);

  const bySymbol = Map.groupBy(ticks, ({ symbol }) => symbol);
  assert.equal(bySymbol.size, 50);
  const counts = [...bySymbol.values()].map(({ length }) => length);
  assert(Math.max(...counts) > 8 * Math.min(...counts), "some symbols are hot and some are quiet");
  const repeats = ticks.filter((tick, i) => tick.symbol === ticks[i - 1]?.symbol).length;
  assert(repeats > 20_000, `${repeats} ticks follow one of their own symbol, as bursts have it`);
  const delays = ticks.map(({ receivedTime, eventTime }) => receivedTime - eventTime).sort((a, b) => a - b);
  assert(delays[Math.floor(delays.length * 0.95)]! <= 2_000 && delays.at(-1)! > 10_000);

  const widths = new Set(
    quotes.filter(({ symbol }) => symbol === "BTCUSDT").map((q) =>
      Math.round(100 * (Number(q.askPrice) - Number(q.bidPrice)))
    ),
  );
  assert(widths.size > 5, "spreads widen and narrow");
  const power = trades.filter(({ symbol }) => symbol === "PWR-DE-SPREAD");
  assert(power.some(({ price }) => sign(price) < 0) && power.some(({ price }) => sign(price) > 0));
  assert(power.some(({ price }) => sign(price) === 0), "a spread trades at zero");
  assert(trades.some(({ symbol, size }) => symbol === "SHIBUSDT" && size.length >= 13), "sizes of 10^12");
});

Deno.test("a trade is at the bid or the ask of its symbol, as its side says", strict, () => {
  const last = new Map<string, Quote>();
  let atTouch = 0, all = 0;
  for (const tick of cleanTicks({ seed: 5, symbols: 12 }, 20_000)) {
    if (tick.type === "quote") last.set(tick.symbol, tick);
    else if (last.has(tick.symbol)) {
      const { bidPrice, askPrice } = last.get(tick.symbol)!;
      all++;
      if (tick.price === (tick.side === "buy" ? askPrice : bidPrice)) atTouch++;
    }
  }
  assert(all > 4_000);
  assert.equal(atTouch, all);
});

Deno.test("prices turn back at the bounds of their listing", strict, () => {
  const all = listings(50);
  for (const edge of ["low", "high"] as const) {
    const state = JSON.parse(new Market({ seed: 6 }).state());
    state.bids = all.map((listing) => listing[edge]);
    for (const message of new Market({ seed: 6, state: JSON.stringify(state) }).fill(10_000)) {
      const listing = all[message.symbolIndex]!;
      const tick = tickOf(message);
      if (tick.type === "trade") continue;
      const at = message.value as string;
      assert(compare(tick.bidPrice!, priceText(listing, listing.low)) >= 0, at);
      assert(compare(tick.bidPrice!, priceText(listing, listing.high)) <= 0, at);
    }
  }
});

Deno.test("instruments are distinct, and those that are named have their own grids", strict, () => {
  const all = instruments(SYMBOLS_MAX);
  assert.equal(new Set(all.map(({ symbol }) => symbol)).size, SYMBOLS_MAX);
  const named = Object.fromEntries(all.map(({ symbol, ...rest }) => [symbol, rest]));
  assert.deepEqual(named["TTF-GAS"], { tickSize: "0.005", lot: "1", negative: false });
  assert.deepEqual(named["BTCUSDT"], { tickSize: "0.01", lot: "0.00001", negative: false });
  assert.deepEqual(named["ETHUSDT"], { tickSize: "0.01", lot: "0.0001", negative: false });
  assert.deepEqual(named["SHIBUSDT"], { tickSize: "0.00000001", lot: "1", negative: false });
  assert.deepEqual(named["AAPL"], { tickSize: "0.01", lot: "1", negative: false });
  assert.deepEqual(named["PWR-DE-SPREAD"], { tickSize: "0.01", lot: "0.1", negative: true });
  assert.deepEqual(instruments(3), all.slice(0, 3));
});

Deno.test("a market goes on from the state of an earlier version", strict, () => {
  const whole = new Market({ seed: 5, faults: 0.1 });
  whole.fill(700);
  const { queue: _, stuckAt: __, restartedAt: ___, ...old } = JSON.parse(whole.state());
  const market = new Market({ seed: 5, state: JSON.stringify({ ...old, version: 1 }) });
  assert.equal(market.fill(50).length, 50);
});

Deno.test("a market refuses options out of range and states that are not its own", strict, () => {
  const good = new Market({ seed: 1, symbols: 3 }).state();
  const wrong: MarketOptions[] = [
    { seed: -1 },
    { seed: 0.5 },
    { seed: 1, symbols: 0 },
    { seed: 1, symbols: SYMBOLS_MAX + 1 },
    { seed: 1, faults: 1.1 },
    { seed: 1, faults: NaN },
    { seed: 1, start: 1_795_161_600_000 },
    { seed: 2, symbols: 3, state: good },
    { seed: 1, symbols: 4, state: good },
  ];
  for (const each of wrong) assert.throws(() => new Market(each), Misuse, JSON.stringify(each));
  for (
    const state of [
      "",
      "{}",
      good.slice(0, -1),
      good.replace('"version":2', '"version":3'),
      good.replace("[0,0,0]", "[0]"),
    ]
  ) {
    assert.throws(() => new Market({ seed: 1, symbols: 3, state }), Refusal, state);
  }
});
