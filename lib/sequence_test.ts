/** What a series says of its numbers: by example, and against a model that remembers every number there ever was. */
import assert from "@std/assert";
import fc from "fast-check";
import {
  type Arrival,
  type Discipline,
  DISCIPLINES,
  HOLES_MAX,
  type Place,
  Series,
  type Tally,
  type Window,
} from "./sequence.ts";

const options = { sanitizeOps: true, sanitizeResources: true };
const WINDOW: Window = { windowMax: 100, lateMsMax: 1_000 };
const SECOND = 1_000_000;

const at = (sequence: number, at: number, isRefused = false, renews: Arrival["renews"] = "timed"): Arrival => ({
  ...{ sequence, at, isRefused, renews },
});

/** A series that began with number 1,000 at time 0, fed with further ones; `gaps` are the indexes that bear the flag. */
function feed(steps: readonly (readonly [number, number, "refused"?])[], window = WINDOW) {
  const tally: Tally = { holes: 0, missing: 0 };
  const series = Series.start("contiguous", tally, 1_000, 0, window);
  const places: Place[] = [], gaps: number[] = [];
  steps.forEach(([sequence, time, refused], i) => {
    const place = series.place(at(sequence, time, refused !== undefined), window);
    places.push(place);
    if (refused === undefined && (place === "onward" || place === "reordered") && series.owesGap) {
      gaps.push(i);
      series.settleGap();
    }
  });
  return { places, gaps, tally, series };
}

Deno.test("numbers that follow each other go onward and leave nothing behind", options, () => {
  const { places, gaps, series, tally } = feed(Array.from({ length: 300 }, (_, i) => [1_001 + i, i]));
  assert.deepEqual(new Set(places), new Set(["onward"]));
  assert.deepEqual(gaps, []);
  assert.equal(series.save().length, 8);
  assert.equal(tally.holes, 0);
});
Deno.test("a number that was seen is a duplicate, also where it filled a hole or its tick was refused", options, () => {
  const { places } = feed([[1_000, 0], [1_003, 1], [1_002, 1], [1_002, 1], [1_001, 1, "refused"], [1_001, 1]]);
  assert.deepEqual(places, ["duplicate", "onward", "reordered", "duplicate", "reordered", "duplicate"]);
});
Deno.test("a number in a hole is reordered, and a hole that is filled is no gap", options, () => {
  const { places, gaps, tally } = feed([[1_005, 0], [1_003, 1], [1_001, 2], [1_004, 3], [1_002, 4], [
    1_006,
    9 * SECOND,
  ]]);
  assert.deepEqual(places, ["onward", "reordered", "reordered", "reordered", "reordered", "onward"]);
  assert.deepEqual([gaps, tally.missing], [[], 0]);
});
Deno.test("a hole is a gap once, on the tick whose time closes the window over it", options, () => {
  const { gaps, tally } = feed([[1_002, 10], [1_003, SECOND + 10], [1_004, SECOND + 11], [1_005, 5 * SECOND]]);
  assert.deepEqual([gaps, tally.missing], [[2], 1]);
});
Deno.test("a hole is a gap once, on the tick whose number leaves it behind", options, () => {
  const { gaps, tally, series } = feed(Array.from({ length: 200 }, (_, i) => [1_003 + i, 1]));
  // The hole ends at 1,002, and 1,103 is the first number from which the window reaches down to 1,003 only.
  assert.deepEqual([gaps, tally.missing, tally.holes], [[100], 2, 0]);
  assert.equal(series.save().length, 8);
});
Deno.test("one tick that closes over several holes bears one flag, and all numbers are counted", options, () => {
  const { gaps, tally } = feed([[1_002, 0], [1_005, 0], [1_009, 0], [1_010, 2 * SECOND]]);
  assert.deepEqual([gaps, tally.missing], [[3], 1 + 2 + 3]);
});
Deno.test("a flag that a refused tick cannot bear waits for the next", options, () => {
  const { gaps } = feed([...[[1_002, 0], [1_101, 1], [1_102, 2, "refused"]] as const, [1_103, 3]]);
  assert.deepEqual(gaps, [3]);
});
Deno.test("a number of old time, or below the window, goes backwards", options, () => {
  const { places } = feed([[1_003, 3 * SECOND], [1_002, 2 * SECOND - 1], [1_001, 2 * SECOND], [1_090, 3 * SECOND], [
    989,
    3 * SECOND,
  ]]);
  assert.deepEqual(places, ["onward", "backwards", "reordered", "onward", "backwards"]);
});
Deno.test("a hole that is declared may still be filled by a tick that is not old", options, () => {
  const { places, gaps } = feed([[1_003, 0], [1_004, 2 * SECOND], [1_001, 2 * SECOND], [1_002, 0]]);
  assert.deepEqual(places, ["onward", "onward", "reordered", "backwards"]);
  assert.deepEqual(gaps, [1]);
});
Deno.test("what lies shortly before the first tick may come late and is not missed", options, () => {
  const { places, gaps, tally } = feed([
    [999, 0],
    [999, 0],
    [900, 0],
    [899, 0],
    ...Array.from({ length: 300 }, (_, i) => [1_001 + i, 5 * SECOND] as const),
  ]);
  assert.deepEqual(places.slice(0, 4), ["reordered", "duplicate", "reordered", "backwards"]);
  assert.deepEqual([gaps, tally.missing, tally.holes], [[], 0, 0]);
  assert.deepEqual(feed([[1_001, 2 * SECOND], [1_000, 0]]).places, ["onward", "duplicate"]);
  const later = feed([[1_001, SECOND], [999, SECOND], [1_002, SECOND + 1], [998, SECOND + 1], [1_000, SECOND + 1]]);
  assert.deepEqual(later.places, ["onward", "reordered", "onward", "backwards", "duplicate"]);
});
Deno.test("a refused tick carries its series ahead by no more than the window, and moves no time", options, () => {
  const wild = feed([[10 ** 12, 1, "refused"], [1_001, 2], [1_101, 10 ** 9, "refused"], [1_050, 3]]);
  assert.deepEqual(wild.places, ["onward", "onward", "onward", "reordered"]);
  assert.deepEqual(wild.gaps, []);
});
Deno.test("a jump that the next tick confirms is one hole, however large", options, () => {
  const { series, tally, gaps } = feed([[10 ** 12, 0], [10 ** 12 + 1, 2 * SECOND]]);
  assert.deepEqual([gaps, tally.missing, tally.holes], [[1], 10 ** 12 - 1_001, 1]);
  assert.equal(series.save().length, 11);
  const turned = feed([[5_001, 1], [5_000, 2], [4_999, 3], [5_002, 4], [5_001, 5]]);
  assert.deepEqual(turned.places, ["onward", "reordered", "reordered", "onward", "duplicate"]);
});
Deno.test(
  "one sound tick with a wild number locks nothing out, and is a duplicate when it comes again",
  options,
  () => {
    const { places, gaps, tally } = feed([
      [10 ** 12, 1],
      [1_001, 2],
      [10 ** 12, 3],
      [1_002, 4],
      [9_000, 5],
      [1_003, 6],
      [
        1_002,
        7,
      ],
    ]);
    assert.deepEqual(places, ["onward", "onward", "duplicate", "onward", "onward", "onward", "duplicate"]);
    assert.deepEqual([gaps, tally.missing, tally.holes], [[], 0, 1], "the hole is the one before the first");
    // A number that was wild once may come in its turn.
    const later = feed([[1_150, 1], ...Array.from({ length: 150 }, (_, i) => [1_001 + i, 2 + i] as const)]);
    assert.deepEqual(new Set(later.places), new Set(["onward"]));
  },
);
Deno.test("rising numbers too may jump by one tick alone and lock nothing out", options, () => {
  const series = Series.start("rising", { holes: 0, missing: 0 }, 5, 0, WINDOW);
  const places = [10 ** 12, 6, 10 ** 12, 7, 10 ** 13, 2 * 10 ** 13, 8, 2 * 10 ** 13 + 1].map((n, i) => {
    return series.place(at(n, i), WINDOW);
  });
  assert.deepEqual(places, ["onward", "onward", "duplicate", "onward", "onward", "onward", "backwards", "onward"]);
});
Deno.test("numbers begin anew where something says so, and by no fall without it", options, () => {
  const start = () => Series.start("contiguous", { holes: 0, missing: 0 }, 1_000, 10, WINDOW);
  const silent = start();
  assert.deepEqual([1, 2, 3].map((n) => silent.place(at(n, 20), WINDOW)), ["backwards", "backwards", "backwards"]);
  const renewed = start();
  renewed.renew();
  assert.equal(renewed.place(at(999, 10), WINDOW), "reordered", "what is told again is no newer than it was");
  assert.equal(
    renewed.place(at(1, 11, true), WINDOW),
    "none",
    "what is rejected begins nothing, and is none of the old",
  );
  assert.equal(renewed.place(at(1, 11, false, null), WINDOW), "backwards", "nor what was fetched afterwards");
  const again = Series.restore(renewed.save(), "contiguous", { holes: 0, missing: 0 });
  for (const series of [renewed, again]) {
    const places = [1, 2, 1, 4, 3].map((n, i) => series.place(at(n, 12 + i), WINDOW));
    assert.deepEqual(places, ["reset", "onward", "duplicate", "onward", "reordered"]);
  }
  const onward = start();
  onward.renew();
  assert.equal(onward.place(at(1_001, 11), WINDOW), "onward");
  assert.equal(onward.place(at(1, 12), WINDOW), "backwards", "they have gone on");
  // Of the time of receipt, which is always newer, a fall within the window says nothing.
  const untimed = start();
  untimed.renew();
  assert.equal(untimed.place(at(1_000, 20, false, "untimed"), WINDOW), "duplicate");
  assert.equal(untimed.place(at(999, 20, false, "untimed"), WINDOW), "reordered");
  assert.equal(untimed.place(at(1, 21, false, "untimed"), WINDOW), "reset");
});
Deno.test("what was missing when numbers begin anew stays missing, and is said", options, () => {
  const { series, tally } = feed([[1_003, 1]]);
  series.renew();
  assert.equal(series.place(at(1, 2), WINDOW), "reset");
  assert.deepEqual([tally.missing, series.owesGap], [2, true]);
});
Deno.test("a state of before has its numbers, and no jump", options, () => {
  const tally: Tally = { holes: 0, missing: 0 };
  const series = Series.restore([1_000, 900, 7, 1, 950, 960, 961, 5], "contiguous", tally, true);
  assert.deepEqual([series.highest, series.newest, series.owesGap, tally.holes], [1_000, 7, true, 1]);
  assert.deepEqual([961, 962].map((n) => series.place(at(n, 7), WINDOW)), ["reordered", "duplicate"]);
});
Deno.test("rising numbers may leave holes, but neither stay nor fall", options, () => {
  const series = Series.start("rising", { holes: 0, missing: 0 }, 5, 0, WINDOW);
  const places = [5, 9, 9, 8, 10 ** 6].map((n) => series.place(at(n, 0, false), WINDOW));
  assert.deepEqual(places, ["duplicate", "onward", "duplicate", "backwards", "onward"]);
  assert.equal(series.place(at(10 ** 12, 0, true), WINDOW), "onward");
  assert.equal(series.place(at(10 ** 6 + 1, 0, false), WINDOW), "onward");
  assert.equal(series.owesGap, false);
});
Deno.test("a window that grows again does not take for seen what a smaller one forgot", options, () => {
  const { series } = feed([[1_002, 0], [1_101, 0], [1_200, 0]]);
  const large = { ...WINDOW, windowMax: 1_000 };
  series.narrow(WINDOW);
  assert.equal(series.place(at(1_001, 0, false), large), "backwards");
  assert.equal(series.place(at(1_150, 0, false), large), "reordered");
});
Deno.test("all series together have so many holes and no more; who needs one more gives up its oldest", options, () => {
  const tally: Tally = { holes: HOLES_MAX - 1, missing: 0 };
  const series = Series.start("contiguous", tally, 0, 0, WINDOW);
  for (const sequence of [2, 4, 6, 8]) {
    assert.equal(series.place(at(sequence, 0, false), WINDOW), "onward");
    assert.equal(tally.holes, HOLES_MAX);
  }
  assert.equal(tally.missing, 3);
  assert.equal(series.owesGap, true);
  assert.deepEqual([1, 5, 7].map((n) => series.place(at(n, 0, false), WINDOW)), [
    "backwards",
    "backwards",
    "reordered",
  ]);
  const rest = Series.start("contiguous", { holes: HOLES_MAX, missing: 0 }, 50, 0, WINDOW);
  assert.deepEqual([50, 52, 51].map((n) => rest.place(at(n, 0, false), WINDOW)), ["duplicate", "onward", "backwards"]);
});
Deno.test("every discipline that is declared is one", options, () => {
  const known: readonly Discipline[] = ["contiguous", "rising", "none"];
  for (const types of Object.values(DISCIPLINES)) {
    for (const discipline of Object.values(types)) assert(known.includes(discipline));
  }
});

/** The same promises with a set of all numbers that were ever seen and a list of all holes that were ever opened. */
class Model {
  readonly seen = new Set<number>();
  readonly holes: {
    readonly numbers: Set<number>;
    readonly to: number;
    readonly openedAt: number;
    declared: boolean;
  }[] = [];
  owed = false;
  readonly first: number;
  readonly start: number;
  awaits = true;
  constructor(public highest: number, public newest: number) {
    this.seen.add(highest);
    this.first = highest;
    this.start = newest;
  }
  place(sequence: number, at: number, refused: boolean): Place {
    const fresh = at >= this.newest - WINDOW.lateMsMax * 1_000;
    if (sequence > this.highest) {
      if (refused && sequence - this.highest > WINDOW.windowMax) return "onward";
      if (!refused) this.newest = Math.max(this.newest, at);
      const numbers = Array.from({ length: sequence - this.highest - 1 }, (_, i) => this.highest + 1 + i);
      if (numbers.length > 0) {
        this.holes.push({ numbers: new Set(numbers), to: sequence - 1, openedAt: this.newest, declared: false });
      }
      this.highest = sequence;
      this.seen.add(sequence);
      this.close();
      return "onward";
    }
    const lowest = Math.max(this.first - (this.awaits ? WINDOW.windowMax : 0), this.highest - WINDOW.windowMax, 0);
    if (sequence < lowest) return "backwards";
    if (this.seen.has(sequence)) return "duplicate";
    this.seen.add(sequence);
    for (const hole of this.holes) hole.numbers.delete(sequence);
    if (!fresh) return "backwards";
    if (!refused && at > this.newest) {
      this.newest = at;
      this.close();
    }
    return "reordered";
  }
  close(): void {
    const before = Array.from({ length: Math.min(WINDOW.windowMax, this.first) }, (_, i) => this.first - 1 - i);
    // As long as a hole is left there, that is; whether all of them were seen or none is missed, is the same.
    const some = before.some((n) => !this.seen.has(n) && n >= this.highest - WINDOW.windowMax);
    if (some && this.newest - this.start > WINDOW.lateMsMax * 1_000) this.awaits = false;
    for (const hole of this.holes) {
      const rest = [...hole.numbers];
      // A hole that was filled in its midst is two, and its lower part falls out of the window first.
      const fallen = rest.some((n) => {
        let end = n;
        while (hole.numbers.has(end + 1)) end++;
        return end < this.highest - WINDOW.windowMax;
      });
      const expired = this.newest - hole.openedAt > WINDOW.lateMsMax * 1_000;
      if (expired && rest.length > 0 && !hole.declared) [hole.declared, this.owed] = [true, true];
      if (fallen) {
        for (const n of rest) {
          let end = n;
          while (hole.numbers.has(end + 1)) end++;
          if (end < this.highest - WINDOW.windowMax) hole.numbers.delete(n);
        }
        if (!hole.declared) this.owed = true;
      }
    }
  }
}

Deno.test(
  "a series says what a model says that forgets nothing, and goes on so when it is restored at any point",
  options,
  () => {
    const step = fc.record({
      jump: fc.oneof(
        { weight: 6, arbitrary: fc.constant(1) },
        fc.integer({ min: -130, max: 8 }),
        // What jumps further is another matter.
        fc.integer({ min: -5, max: 100 }),
      ),
      wait: fc.oneof(
        { weight: 5, arbitrary: fc.integer({ min: -20_000, max: 60_000 }) },
        fc.integer({ min: -1_200_000, max: 1_200_000 }),
      ),
      refused: fc.integer({ min: 0, max: 9 }).map((n) => n === 0),
      restores: fc.integer({ min: 0, max: 20 }).map((n) => n === 0),
    });
    const found: Record<string, number> = {};
    fc.assert(
      fc.property(fc.constantFrom(3, 1_000), fc.array(step, { minLength: 30, maxLength: 200 }), (first, steps) => {
        let time = 50 * SECOND;
        let tally: Tally = { holes: 0, missing: 0 };
        let series = Series.start("contiguous", tally, first, time, WINDOW);
        const model = new Model(first, time);
        for (const { jump, wait, refused, restores } of steps) {
          const sequence = Math.max(0, model.highest + jump);
          time = Math.max(0, time + wait);
          const place = series.place(at(sequence, time, refused), WINDOW);
          assert.equal(place, model.place(sequence, time, refused));
          assert.equal(series.owesGap, model.owed);
          found[place] = (found[place] ?? 0) + 1;
          if (!refused && (place === "onward" || place === "reordered") && model.owed) {
            found.gap = (found.gap ?? 0) + 1;
            series.settleGap();
            model.owed = false;
          }
          if (restores) {
            const { missing } = tally;
            tally = { holes: 0, missing };
            series = Series.restore(JSON.parse(JSON.stringify(series.save())), "contiguous", tally);
          }
          assert.equal(tally.holes, (series.save().length - 8) / 3);
          assert(tally.holes <= WINDOW.windowMax);
        }
      }),
      { numRuns: 500, seed: 7 },
    );
    for (const name of ["onward", "reordered", "duplicate", "backwards", "gap"]) {
      assert(
        found[name]! > 500,
        `${name}: ${found[name]}`,
      );
    }
  },
);
