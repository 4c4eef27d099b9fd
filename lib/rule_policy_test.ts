/** Which policy is in force for whom, what a rules file may say, and what an instrument's memory says of its ticks. */
import assert from "@std/assert";
import fc from "fast-check";
import { RULES } from "./rule.ts";
import { LIMITS } from "./rule/limits.ts";
import { Memory, PRICES_MIN, see } from "./rule/memory.ts";
import { type Entry, fitsPattern, Policies, RulesFile } from "./rule/policy.ts";
import { Recent } from "./sequence/recent.ts";

const options = { sanitizeOps: true, sanitizeResources: true };
const SECOND = 1_000_000;
const namesOf = (bits: number): string[] => RULES.filter((_, i) => (bits & 1 << i) !== 0).map(({ name }) => name);

Deno.test("of entries that speak of one tick the later counts, name by name", options, () => {
  const entries: Entry[] = [
    { severity: { late: "quarantine", locked: "off" }, limits: { lateMsMax: 9, windowMax: 7 } },
    { venue: "binance", severity: { late: "reject" } },
    { symbol: "BTC*", type: "quote", limits: { lateMsMax: 5 }, calendar: "nse" },
    { venue: "binance", symbol: "BTCUSDT", severity: { late: "flag" } },
  ];
  const policies = new Policies({ ...LIMITS, futureMsMax: 3 }, entries);
  const of = (venue: string, symbol: string, type: "trade" | "quote") => {
    const { limits, refuses, quarantines, ignores, calendar } = policies.of(venue, symbol, type);
    const late = namesOf(quarantines).includes("late")
      ? "quarantine"
      : namesOf(refuses).includes("late")
      ? "reject"
      : "flag";
    return [late, namesOf(ignores).join(), limits.lateMsMax, limits.windowMax, limits.futureMsMax, calendar];
  };
  assert.deepEqual(of("kraken", "ETH/USD", "trade"), ["quarantine", "locked", 9, 7, 3, "24/7"]);
  assert.deepEqual(of("binance", "ETHUSDT", "trade"), ["reject", "locked", 9, 7, 3, "24/7"]);
  assert.deepEqual(of("binance", "BTCUSDT", "trade"), ["flag", "locked", 9, 7, 3, "24/7"]);
  assert.deepEqual(of("kraken", "BTC/USD", "quote"), ["quarantine", "locked", 5, 7, 3, "nse"]);
  assert.equal(policies.most("lateMsMax"), 1_000, "the largest that there is");
  assert.equal(policies.of("a", "b", "trade"), policies.of("c", "d", "trade"), "one policy for all alike");
  assert.deepEqual(
    namesOf(new Policies().ofNone().refuses),
    RULES.filter((r) => r.severity === "reject").map((r) => r.name),
  );
});
Deno.test("a pattern's star stands for any characters, and no pattern takes long", options, () => {
  const cases: readonly (readonly [string, string, boolean])[] = [
    ["BTCUSDT", "BTC*", true],
    ["BTCUSDT", "*USDT", true],
    ["BTCUSDT", "B*S*T", true],
    ["BTCUSDT", "BTC", false],
    ["BTCUSDT", "TC*", false],
    ["", "*", true],
    ["A", "**", true],
    ["NSE_EQ|X", "NSE_EQ|*", true],
    ["a.c", "a?c", false],
  ];
  for (const [text, pattern, fits] of cases) assert.equal(fitsPattern(text, pattern), fits, `${text} ${pattern}`);
  const letters = fc.string({ unit: fc.constantFrom("a", "b", "*"), maxLength: 8 });
  fc.assert(fc.property(letters, letters, (text, pattern) => {
    const plain = text.replaceAll("*", "c");
    assert.equal(fitsPattern(plain, pattern), new RegExp(`^${pattern.replaceAll("*", ".*")}$`).test(plain));
  }));
  assert.equal(fitsPattern("a".repeat(64), "a*".repeat(31) + "b"), false);
});
Deno.test("a file may say everything that its schema names", options, () => {
  const severity = Object.fromEntries(RULES.map(({ name, severity }) => [name, severity]));
  const file = { $schema: "./rules.schema.json", rules: [{ severity, limits: LIMITS, calendar: "none" }, {}] };
  assert.deepEqual(RulesFile.parse(file), file);
});

Deno.test("a wild price moves no reference, and as many as agree elsewhere move it there", options, () => {
  const memory = new Memory();
  const isFar = (price: number) => memory.isFar(price, 1_000);
  const say = (...prices: number[]) => prices.forEach((price) => memory.price(price, 1_000));
  say(100);
  assert.equal(isFar(1_000), false, "one price is no reference");
  say(...new Array(PRICES_MIN - 1).fill(100));
  assert.deepEqual([90.01, 89.99, 109.99, 110.01].map(isFar), [false, true, false, true]);
  for (let i = 0; i < 50; i++) {
    say(1_000, 100);
    assert.deepEqual([isFar(100), isFar(1_000)], [false, true], `${i}`);
  }
  for (let i = 1; i < 50; i++) {
    say(100 * 2 ** i);
    assert.equal(isFar(100), false, "prices that agree with none are nowhere");
  }
  say(100);
  say(...new Array(PRICES_MIN - 1).fill(200));
  assert.equal(isFar(200), true);
  say(200);
  assert.deepEqual([isFar(200), isFar(100)], [false, true]);
  // A first price that was wild gives way at once.
  const young = new Memory();
  for (const price of [5_000, 100, 100, 100, 100, 100, 100, 100, 100]) young.price(price, 1_000);
  assert.deepEqual([young.isFar(100, 1_000), young.isFar(5_000, 1_000)], [false, true]);
  // It follows a price that moves, step by step.
  let price = 100;
  for (let i = 0; i < 200; i++) {
    price *= 1.01;
    assert.equal(young.isFar(price, 1_000), false, `${i}`);
    young.price(price, 1_000);
  }
});
Deno.test("a quote is frozen when it stays while trades go on outside of it for long", options, () => {
  const frozen = (memory: Memory, price: number, at: number, ms = 1_000) =>
    memory.isFrozen("trade", { bid: NaN, ask: NaN, price }, at, ms);
  const memory = new Memory();
  memory.quote(10, 11, 0);
  memory.trade(12, 1);
  assert.equal(frozen(memory, 12, SECOND + 1), false);
  assert.equal(frozen(memory, 12, SECOND + 2), true);
  assert.equal(frozen(memory, 11, SECOND + 2), false, "at the ask is inside");
  assert.equal(memory.isFrozen("quote", { bid: 10, ask: 11, price: 10.5 }, SECOND + 2, 1_000), true);
  assert.equal(memory.isFrozen("quote", { bid: 10, ask: 12, price: 11 }, SECOND + 2, 1_000), false);
  memory.quote(10, 11, 2 * SECOND);
  assert.equal(frozen(memory, 9, 3 * SECOND), true, "the same once more is no change");
  memory.quote(9, 12, SECOND);
  assert.equal(frozen(memory, 12, 3 * SECOND), true, "nor is one of before");
  memory.trade(10, 3 * SECOND);
  assert.equal(frozen(memory, 12, 9 * SECOND), false, "a trade within ends it");
  memory.trade(12, 4 * SECOND);
  memory.quote(11, 13, 5 * SECOND);
  assert.equal(frozen(memory, 14, 9 * SECOND), false, "and so does another quote");
});
Deno.test("an instrument is halted from its venue's word to the next, or to a new connection", options, () => {
  for (const end of ["trading", "auction", "closed", "connected"]) {
    const memory = new Memory();
    memory.status("silent", 5);
    assert.equal(memory.isHalted(9), false);
    memory.status("halted", 10);
    memory.status("maintenance", 20);
    memory.status("disconnected", 30);
    assert.deepEqual([9, 10, 11, 40].map((at) => memory.isHalted(at)), [false, false, true, true]);
    memory.status(end, 50);
    assert.equal(memory.isHalted(60), false, end);
  }
});
Deno.test("a memory is what it was when it is restored", options, () => {
  const memory = new Memory();
  assert.deepEqual(memory.save(), []);
  memory.quote(NaN, 11, 7);
  memory.price(10.1, 1_000);
  memory.trade(12, 8);
  memory.status("halted", 9);
  const again = Memory.restore(JSON.parse(JSON.stringify(memory.save())));
  assert.deepEqual(again.save(), memory.save());
  assert.deepEqual(again.save(), [10.1, 1, 0, 0, null, 11, 7, 8, 9]);
});
Deno.test("a venue's delay falls at once and grows slowly", options, () => {
  const clock = { delay: 5_000_000 };
  see(clock, -300);
  assert.equal(clock.delay, -300);
  for (let i = 0; i < 10; i++) see(clock, 3_600_000_000);
  assert.equal(clock.delay, 700);
  see(clock, 720);
  assert.equal(clock.delay, 720);
});
Deno.test("an id is remembered until as many others have come, whatever the window does", options, () => {
  const steps = fc.array(fc.tuple(fc.integer({ min: 0, max: 30 }), fc.integer({ min: 1, max: 9 }), fc.boolean()));
  fc.assert(fc.property(steps, (list) => {
    let recent = new Recent();
    let model: string[] = [];
    for (const [n, max, restores] of list) {
      const id = `id-${n}`;
      assert.equal(recent.has(id), model.includes(id));
      if (!recent.has(id)) {
        recent.add(id, max);
        model = [...model, id].slice(-max);
      }
      if (restores) recent = new Recent(recent.save());
      assert.equal(recent.size, model.length);
      assert.deepEqual(model.map((known) => recent.has(known)), model.map(() => true));
    }
  }));
});
