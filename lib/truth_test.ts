/** What a truth file says of the verdicts, and that one flag speaks for no other gap than those its tick has closed. */
import assert from "@std/assert";
import type { Books } from "./books.ts";
import { Misuse } from "./failure.ts";
import { Judge } from "./judge.ts";
import { Market } from "./market.ts";
import { LIMITS } from "./rule/limits.ts";
import type { ValidTick } from "./tick.ts";
import { type Score, Truth } from "./truth.ts";

const strict = { sanitizeOps: true, sanitizeResources: true } as const;
const bounds = () => LIMITS;

/** A seeded market as one partition: its truth, and what the judge makes of it. */
function judgedMarket(count: number): { lines: string[]; ticks: ValidTick[]; rejections: Map<number, string[]> } {
  const market = new Market({ seed: 11, symbols: 4, faults: 0.2 });
  const judge = new Judge({ partition: 0 });
  const instruments = { control: "instruments", venue: "sim", instruments: market.instruments };
  judge.judge({ offset: 0, key: null, value: JSON.stringify(instruments), control: true });
  const lines: string[] = [], ticks: ValidTick[] = [];
  const rejections = new Map<number, string[]>();
  let offset = 1;
  for (const { key, value, truth } of market.fill(count)) {
    if (truth !== undefined) lines.push(JSON.stringify({ partition: 0, offset, ...truth }));
    const verdict = judge.judge({ offset, key, value });
    if (verdict.to === "valid") ticks.push(JSON.parse(verdict.text));
    else if (verdict.to === "rejected") rejections.set(offset, [...verdict.reasons]);
    offset++;
  }
  return { lines, ticks, rejections };
}
function booksOf(cut: number, ticks: readonly ValidTick[], rejections: ReadonlyMap<number, readonly string[]>): Books {
  const flagged = new Map(ticks.flatMap(({ origin, flags }) => flags === undefined ? [] : [[origin, flags] as const]));
  return { partition: 0, cut, flagged, rejections } as unknown as Books;
}
function scored(
  lines: readonly string[],
  ticks: readonly ValidTick[],
  rejections: ReadonlyMap<number, readonly string[]> = new Map(),
  cut = Infinity,
): Score {
  const truth = new Truth("t", lines.join("\n"), bounds);
  for (const tick of ticks) if (tick.origin < cut) truth.see(0, tick);
  return truth.score([booksOf(cut, ticks, rejections)]);
}

const gap = (offset: number, sequence: number): string =>
  JSON.stringify({
    ...{ partition: 0, offset, fault: "gap", symbol: "A", type: "trade", sequence },
    ...{ reason: "gap", outcome: "flagged", also: [] },
  });
/** Trades of one series, by number, ms and flags; their origin is their place. */
const trades = (...rows: readonly (readonly [number, number, string?])[]): ValidTick[] =>
  rows.map(([sequence, ms, flag], origin) => ({
    ...{ type: "trade", venue: "sim", symbol: "A", eventTime: ms * 1_000, sequence, origin },
    ...(flag !== undefined && { flags: [flag] }),
  } as unknown as ValidTick));

Deno.test("everything that a judge says of a planted market is found caught", strict, () => {
  const { lines, ticks, rejections } = judgedMarket(24_000);
  const { planted, caught, missed, open, wronglyRejected } = scored(lines, ticks, rejections);
  assert.deepEqual([missed, wronglyRejected], [[], []]);
  assert.equal(Object.values(caught).reduce((sum, n) => sum + n, 0) + open, planted);
  assert.ok(caught.gap! > 50, `${caught.gap} ${open}`);
});
Deno.test("a judge that keeps any one of its gap flags to itself is found out", strict, () => {
  const { lines, ticks, rejections } = judgedMarket(24_000);
  const whole = scored(lines, ticks, rejections);
  const flagged = ticks.filter(({ flags }) => flags?.includes("gap"));
  assert.ok(flagged.length > 50);
  for (const silent of flagged) {
    const changed = ticks.map((tick) => tick === silent ? { ...tick, flags: ["other"] } : tick);
    const { missed, caught } = scored(lines, changed, rejections);
    assert.ok(missed.length > 0, `${silent.origin}`);
    assert.equal(caught.gap! + missed.length, whole.caught.gap);
  }
});
Deno.test("a flag speaks for the gaps that its tick has closed, and for no earlier one", strict, () => {
  const lines = [gap(1, 2), gap(2, 4), gap(3, 6)];
  const rows = (...flags: readonly (string | undefined)[]) =>
    trades([1, 0], [3, 1], [5, 600], [7, 1_200, flags[0]], [8, 1_700, flags[1]], [9, 2_300, flags[2]]);
  const places = ({ missed }: Score) => missed.map(({ place }) => place);
  assert.deepEqual(places(scored(lines, rows("gap", "gap", "gap"))), []);
  assert.deepEqual(places(scored(lines, rows(undefined, undefined, "gap"))), ["0/1", "0/2"]);
  assert.deepEqual(places(scored(lines, rows("gap", "late", undefined))), ["0/2", "0/3"]);
  assert.equal(scored(lines, rows("gap", "gap", "gap")).caught.gap, 3);
  // One tick that closes several bears one flag for all of them.
  const together = trades([1, 0], [3, 1], [5, 2], [7, 3], [8, 9_000, "gap"]);
  assert.deepEqual(scored(lines, together).caught, { gap: 3 });
});
Deno.test("a gap closes by number too, and is open until it has closed", strict, () => {
  const far = LIMITS.windowMax + 2;
  assert.deepEqual(scored([gap(1, 2)], trades([1, 0], [3, 1], [far, 2])).open, 1);
  assert.deepEqual(scored([gap(1, 2)], trades([1, 0], [3, 1], [far + 1, 2, "gap"])).caught, { gap: 1 });
  assert.deepEqual(scored([gap(1, 2)], trades([1, 0], [3, 1], [far + 1, 2])).missed, [
    { place: "0/1", fault: "gap", found: "nothing" },
  ]);
  assert.equal(scored([gap(1, 2)], trades([1, 0], [3, 1], [4, 1_001])).open, 1);
  assert.equal(scored([gap(1, 2)], trades([1, 0], [3, 1], [4, 1_002])).missed.length, 1);
});
Deno.test("what lies beyond the cut is behind, and a fault under another's reason is missed", strict, () => {
  const fault = (offset: number) =>
    JSON.stringify({
      ...{ partition: 0, offset, fault: "crossed", symbol: "A", type: "quote", sequence: 1 },
      ...{ reason: "crossed", outcome: "rejected", also: ["duplicate"] },
    });
  const rejections = new Map([[0, ["crossed", "duplicate"]], [1, ["duplicate"]], [2, ["crossed", "grid"]], [3, [
    "size",
  ]]]);
  assert.deepEqual(scored([0, 1, 2, 9].map(fault), [], rejections, 9), {
    ...{ planted: 4, caught: { crossed: 1 }, open: 0, behind: 1 },
    missed: [
      { place: "0/1", fault: "crossed", found: "duplicate" },
      { place: "0/2", fault: "crossed", found: "crossed,grid" },
    ],
    wronglyRejected: [{ place: "0/3", found: "size" }],
    wronglyFlagged: [],
  });
});
Deno.test("a flag that nobody planted is told, but of a gap and of an order", strict, () => {
  const late = JSON.stringify({
    ...{ partition: 0, offset: 3, fault: "late", symbol: "A", type: "trade", sequence: null },
    ...{ reason: "late", outcome: "flagged", also: [] },
  });
  const ticks = trades([1, 0, "gap"], [2, 1, "reordered"], [3, 2, "outlier"], [4, 3, "late"]);
  const { missed, wronglyFlagged, caught } = scored([late], ticks);
  assert.deepEqual([missed, caught, wronglyFlagged], [[], { late: 1 }, [{ place: "0/2", found: "outlier" }]]);
});
Deno.test("a line that is no truth is misuse, named by file and number", strict, () => {
  const refuses = (text: string, message: RegExp) =>
    assert.throws(
      () => new Truth("t.ndjson", text, bounds),
      (e: unknown) => e instanceof Misuse && message.test(e.message),
    );
  refuses(
    `${gap(1, 2)}\n\n{"partition":0`,
    /^Cannot read truth "t\.ndjson": line 3 is no truth \(.+\), must be as simulate wrote/,
  );
  refuses(gap(1, 2).replace('"offset":1', '"offset":-1'), /line 1 is no truth \(offset: /);
  refuses("7", /line 1 is no truth \(its value: /);
});
