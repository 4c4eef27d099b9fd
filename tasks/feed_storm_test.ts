/**
 * A live feed never lies about what it missed: through faults of every kind, one after the other, each trade of a venue is
 * collected once or lies in a gap that was told, nothing is invented, and no book is built that the venue did not have.
 *
 * Some of each here; `TAPEDECK_STORM_FAULTS=500` for as many of every venue.
 */
import assert from "@std/assert";
import { type Deed, type Found, type Storm, storm } from "./storm/feed.ts";

const strict = { sanitizeOps: true, sanitizeResources: true } as const;
const FAULTS = Number(Deno.env.get("TAPEDECK_STORM_FAULTS") ?? 40);
/** Faults of one seed. */
const ROUND = 20;

const LINES: readonly Deed[] = ["stall", "halfOpen", "close", "abort", "refused", "rollover", "rollover struck"];
const FRAMES: readonly Deed[] = ["drop", "twice", "swap"];
const EVERY = ["trade", "quote", "book"] as const;
const ANSWERS = { faults: ["html", "tooMany", "stale"], after: "book" } as const;

const STORMS: readonly Storm[] = [
  { as: "binance", frames: EVERY, deeds: [...LINES, ...FRAMES, "shutdown", "unanswered"], answers: ANSWERS, depth: 20 },
  { as: "binance-usdm", frames: EVERY, deeds: [...LINES, ...FRAMES, "unanswered"], answers: ANSWERS, depth: 20 },
  // Its trades have no counter: one that is lost while all else comes is missed by nobody.
  { as: "bybit", frames: ["book"], deeds: [...LINES, ...FRAMES, "reset"], depth: 50 },
  { as: "kraken", frames: EVERY, deeds: [...LINES, ...FRAMES, "checksum"], depth: 10 },
  { as: "coinbase-advanced", frames: EVERY, deeds: [...LINES, ...FRAMES], depth: 20 },
  // Nothing shows that a change of its book was lost; that the connection was does.
  {
    as: "coinbase",
    frames: ["trade"],
    deeds: [...LINES, ...FRAMES, "unanswered"],
    answers: { faults: ["html", "tooMany"], after: "trade" },
    depth: 20,
  },
];

for (const plan of STORMS) {
  Deno.test(`${plan.as}: through ${FAULTS} faults no trade is lost unsaid and no book is wrong`, strict, async () => {
    const found: Found[] = [];
    for (let seed = 1; seed <= FAULTS / ROUND; seed++) {
      const one = await storm(plan, seed, ROUND);
      assert.deepEqual(one.wrong, [], `seed ${seed}`);
      found.push(one);
    }
    const sum = (of: (one: Found) => number): number => found.reduce((total, one) => total + of(one), 0);
    const struck = new Map<string, number>();
    for (const one of found) {
      for (const [fault, count] of Object.entries(one.struck)) struck.set(fault, (struck.get(fault) ?? 0) + count);
    }
    const [trades, gaps, books] = [sum((one) => one.trades), sum((one) => one.gaps), sum((one) => one.books)];
    assert.ok(trades > 100 && gaps > 0 && books > 500, `${trades} trades, ${gaps} gaps, ${books} books`);
    if (FAULTS <= 40) return;
    console.log(
      [
        `${plan.as}: ${trades} trades, ${sum((one) => one.collected)} collected, ${sum((one) => one.missed)} missed`,
        `in ${gaps} gaps, ${sum((one) => one.doubled)} doubled; ${books} books, ${sum((one) => one.bookGaps)} gaps`,
        `of books and quotes; ${[...struck].sort().map(([fault, count]) => `${fault} ${count}`).join(", ")}`,
      ].join(" "),
    );
  });

  Deno.test(
    `${plan.as}: one connection after the other loses nothing, doubles nothing and tells no gap`,
    strict,
    async () => {
      const { wrong, struck, trades, missed, doubled, gaps, bookGaps } = await storm(
        { ...plan, deeds: ["rollover"] },
        1,
        5,
      );
      assert.deepEqual(wrong, []);
      assert.ok(struck.rollover! >= 4 && trades > 20, `${struck.rollover} times, ${trades} trades`);
      assert.deepEqual({ missed, doubled, gaps, bookGaps }, { missed: 0, doubled: 0, gaps: 0, bookGaps: 0 });
    },
  );
}
