/**
 * A judge that had the wrong rule, the mended one, and then its letters again lets pass what one lets pass that had the
 * mended rule from the start: over seeded streams with losses, repeats, numbers from long ago and numbers that begin anew.
 */
import assert from "@std/assert";
import { Chance } from "./chance.ts";
import { Judge } from "./judge.ts";
import { contentsOf, type Letter } from "./letter.ts";
import { isHad, messageOf, type Wanted, withClaim } from "./redrive.ts";
import { type Message, MESSAGE_BYTES_MAX } from "./transport.ts";

const AT = Date.UTC(2026, 10, 20, 10) * 1_000;
const SEEDS = 300;

const stepOf = (tickSize: string): Message => {
  const instruments = [{ symbol: "A", tickSize, lot: "1", negative: false }];
  return { key: null, value: JSON.stringify({ control: "instruments", venue: "sim", instruments }), control: true };
};

/** Ticks of a series that is numbered, or whose ticks have ids. Prices of 5 are off the wrong grid, 0 is none at all. */
function stream(seed: number, isNumbered: boolean): Message[] {
  const chance = Chance.of(seed, 3);
  const list: Message[] = [];
  const add = (fields: Readonly<Record<string, unknown>>) =>
    list.push({ key: "sim:A", value: JSON.stringify({ venue: "sim", symbol: "A", receivedTime: AT, ...fields }) });
  let [next, time, off, run] = [2_000_001, AT, chance.below(100), 0];
  for (let i = 20 + chance.below(150); i > 0; i--) {
    time += 1 + chance.below(50);
    if (chance.below(30) === 0) off = chance.below(100);
    if (chance.below(60) === 0) {
      const common = { type: "status", eventTime: time++, sequence: null, id: null, state: "connected" };
      add({ ...common, firstId: null, lastId: null, detail: null });
      if (isNumbered && chance.below(2) === 0) next = 1;
      run = 0;
    }
    // Where numbers begin, one from long ago would be taken for their beginning.
    const fault = ++run > 5 ? chance.below(20) : -1;
    if (fault === 0) next += 1 + chance.below(3);
    let number = next++;
    if (fault === 2 && number > 600_000) number -= 600_000;
    const isOff = fault === 2 || chance.below(100) < off;
    const price = chance.below(40) === 0 ? "0" : isOff ? "5" : "20";
    const named = isNumbered ? { sequence: number, id: null } : { sequence: null, id: `t${number}` };
    add({ type: "trade", eventTime: time, ...named, price, size: "1", side: "buy" });
    if (chance.below(25) === 0) list.push(list.at(-1)!);
  }
  return list;
}

/** A judge that is put down and taken up again now and then, what it let pass by first place, and its letters. */
class Desk {
  readonly valid: string[] = [];
  readonly letters: Letter[] = [];
  #judge = new Judge({ partition: 0 });
  #offset = 0;

  feed(messages: readonly Message[]): this {
    for (const message of messages) {
      const offset = this.#offset++;
      if (offset % 17 === 5) this.#judge = new Judge({ partition: 0, state: this.#judge.state() });
      const verdict = this.#judge.judge({ ...message, offset });
      if (verdict.to === "control") continue;
      const said = JSON.parse(verdict.text);
      if (verdict.to === "valid") this.valid.push(said.redriven?.first ?? `ticks.raw/0/${offset}`);
      else this.letters.push(said);
    }
    return this;
  }

  /** Feeds letters again. */
  redrive(letters: readonly Letter[]): this {
    return this.feed(letters.map((letter) => messageOf(letter, contentsOf(letter))!));
  }
}

for (const isNumbered of [true, false]) {
  const what = isNumbered ? "numbers" : "ids";
  Deno.test(`all letters of ticks with ${what}, once their rule is mended, become what they would have been`, () => {
    let redriven = 0;
    for (let seed = 1; seed <= SEEDS; seed++) {
      const list = stream(seed, isNumbered);
      const law = new Desk().feed([stepOf("1"), ...list, stepOf("1")]);
      const way = new Desk().feed([stepOf("10"), ...list, stepOf("1")]);
      const before = way.valid.length;
      way.redrive([...way.letters]);
      redriven += way.valid.length - before;
      assert.deepEqual(way.valid.toSorted(), law.valid.toSorted(), `seed ${seed}`);
    }
    assert.ok(redriven > SEEDS * 10, `${redriven} were redriven`);
  });

  Deno.test(`letters of ticks with ${what} that were redriven too early become it as well`, () => {
    for (let seed = 1; seed <= SEEDS / 3; seed++) {
      const list = stream(seed, isNumbered);
      const law = new Desk().feed([stepOf("1"), ...list, stepOf("1"), stepOf("1")]);
      const way = new Desk().feed([stepOf("10"), ...list, stepOf("10")]);
      way.redrive(way.letters.splice(0));
      way.feed([stepOf("1")]);
      way.redrive(way.letters.splice(0));
      assert.deepEqual(way.valid.toSorted(), law.valid.toSorted(), `seed ${seed}`);
      assert.ok(way.letters.every(({ replays }) => replays === 2));
    }
  });
}

Deno.test("letters that are redriven in two parts lose nothing that all at once would have let pass", () => {
  for (let seed = 1; seed <= SEEDS; seed++) {
    const list = stream(seed, true);
    const law = new Desk().feed([stepOf("1"), ...list, stepOf("1")]);
    const way = new Desk().feed([stepOf("10"), ...list, stepOf("1")]);
    const chance = Chance.of(seed, 4);
    const parts: [Letter[], Letter[]] = [[], []];
    for (const letter of way.letters) parts[chance.below(2)]!.push(letter);
    for (const part of parts) way.redrive(part);
    // Of two that say the same either may be the one that passes.
    const textAt = (place: string): unknown => [null, ...list.map(({ value }) => value)][Number(place.slice(12))];
    const found = new Set(way.valid.map(textAt));
    assert.deepEqual(law.valid.filter((place) => !found.has(textAt(place))), [], `seed ${seed}`);
  }
});

Deno.test("a wild number that is redriven first costs those behind it nothing", () => {
  const trade = (sequence: number, price: string): Message => ({
    key: "sim:A",
    value: JSON.stringify({
      ...{ type: "trade", venue: "sim", symbol: "A", eventTime: AT + sequence % 1_000, receivedTime: AT, sequence },
      ...{ id: null, price, size: "1", side: "buy" },
    }),
  });
  const list = [trade(1, "20"), trade(600_002, "5"), trade(3, "5"), trade(4, "5"), trade(5, "20"), trade(4, "5")];
  const way = new Desk().feed([stepOf("10"), ...list, stepOf("1")]);
  way.redrive(way.letters.splice(0));
  assert.deepEqual(way.valid, [1, 5, 2, 3, 4].map((origin) => `ticks.raw/0/${origin}`));
  assert.deepEqual(way.letters.map(({ reasons }) => reasons), [["duplicate"]]);
});

const letter: Letter = {
  ...{ partition: 0, origin: 7, key: "sim:A", reason: "grid", reasons: ["grid"], severity: "reject", rules: "1" },
  ...{
    replays: 0,
    standing: null,
    raw: '{"venue":"sim","symbol":"A","receivedTime":1763690000000000}',
    rawBase64: null,
  },
};
const wanted: Wanted = { reason: null, venue: null, symbol: null, severity: null, since: null, replaysMax: 5 };

Deno.test("what a run has had is what it wanted, below where it came to", () => {
  const had = (wish: Partial<Wanted>, upTo = 8, change: Partial<Letter> = {}): boolean => {
    const one = { ...letter, ...change };
    return isHad(withClaim([], { wanted: { ...wanted, ...wish }, upTo: [upTo] }), one, contentsOf(one));
  };
  assert.deepEqual([had({}), had({}, 7), had({}, 8, { partition: 1 })], [true, false, false]);
  assert.deepEqual([had({ reason: "grid" }), had({ reason: "price" }), had({ symbol: "B" })], [true, false, false]);
  assert.deepEqual([had({ since: 1763690000000000 }), had({ since: 1763690000000001 })], [true, false]);
  assert.deepEqual([had({ replaysMax: 1 }), had({ replaysMax: 1 }, 8, { replays: 1 })], [true, false]);
});

Deno.test("runs that want the same are one claim, and those that want something else another", () => {
  const first = withClaim([], { wanted, upTo: [5, 9] });
  const second = withClaim(first, { wanted: { ...wanted, reason: "grid" }, upTo: [3, 3] });
  const third = withClaim(second, { wanted: { ...wanted }, upTo: [7, 2] });
  assert.deepEqual(third.map(({ wanted, upTo }) => [wanted.reason, upTo]), [["grid", [3, 3]], [null, [7, 9]]]);
});

Deno.test("what has no room for one more field is no message", () => {
  const of = (length: number) => {
    const one = { ...letter, raw: JSON.stringify({ venue: "sim", detail: "x".repeat(length) }) };
    return messageOf(one, contentsOf(one));
  };
  const { value } = of(1)!;
  const room = MESSAGE_BYTES_MAX - String(value).length + 1;
  assert.equal(String(of(room)!.value).length, MESSAGE_BYTES_MAX);
  assert.equal(of(room + 1), null);
});
