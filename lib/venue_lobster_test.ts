import assert from "@std/assert";
import { Judge } from "./judge.ts";
import { isTick, type Tick } from "./tick.ts";
import { openVenue } from "./venue.ts";
import { mappedLines, recorded, RECORDINGS } from "../testdata/recordings.ts";

const options = { sanitizeOps: true, sanitizeResources: true } as const;
const recording = recorded("lobster");
const AMZN = `${RECORDINGS}/lobster/AMZN_2012-06-21_level1_message.csv.gz`;
const AAPL = `${RECORDINGS}/lobster/AAPL_2012-06-21_level10_first_rows_message.csv.gz`;

const venue = await openVenue("lobster");

function ticksOf(frame: string): readonly Tick[] {
  const { ticks } = venue.map(frame, null);
  assert.ok(ticks.length > 0 && ticks.every(isTick), frame);
  return ticks;
}

Deno.test(
  "lobster's seconds count from midnight in New York, in summer and in winter, days in any order",
  options,
  () => {
    const timeOf = (date: string) =>
      ticksOf(`ACME ${date} 34200.123456789,1,1,1,10000,1 | 20000,1,10000,1`)[0]!.eventTime;
    for (let round = 0; round < 2; round++) {
      for (
        const [date, utc] of [
          ["2012-06-21", "13:30"],
          ["2024-03-08", "14:30"],
          ["2024-03-11", "13:30"],
          ["2024-11-01", "13:30"],
          ["2024-11-04", "14:30"],
        ] as const
      ) assert.equal(timeOf(date), Date.parse(`${date}T${utc}:00Z`) * 1000 + 123_456, date);
    }
  },
);

Deno.test("lobster's ticks are ticks, whatever is missing in a book", options, () => {
  for (
    const row of ["9999999999,0,-9999999999,0", "20000,1,-9999999999,0", "9999999999,0,10000,1", "20000,1,10000,1"]
  ) {
    for (const more of ["", ",9999999999,0,-9999999999,0", ",30000,1,5000,1"]) {
      for (const event of ["1,1,1,10000,1", "4,1,1,10000,-1", "5,0,1,10000,1", "6,-1,1,10000,0", "7,0,0,-1,-1"]) {
        const ticks = ticksOf(`ACME 2024-03-11 34200,${event} | ${row}${more}`);
        assert.equal(ticks.at(-1)!.type, more === "" ? "quote" : "book");
      }
    }
  }
});

Deno.test("a book has the levels that there are, and no more than a tick may have", options, () => {
  const frame = (levels: number) => `ACME 2024-03-11 34200,1,1,1,1,1 | ${Array(levels).fill("2,1,1,1").join()}`;
  const [book] = ticksOf(frame(10_000));
  assert.equal(book?.type === "book" && book.bids.length, 10_000);
  assert.equal(venue.map(frame(10_001), null).kind, "malformed");
});

interface Known {
  /** Rows by kind. */
  readonly kinds: Record<string, number>;
  /** Ticks by type, trades by side and condition as well. */
  readonly ticks: Record<string, number>;
  readonly verdicts: Record<string, number>;
  /** Of all trades together. */
  readonly shares: bigint;
}

async function knownOf(path: string): Promise<Known> {
  const kinds: Record<string, number> = {}, counted: Record<string, number> = {}, verdicts: Record<string, number> = {};
  const judge = new Judge({ partition: 0 });
  let offset = 0, shares = 0n, last = 0;
  for await (const { frame, kind, ticks } of mappedLines(venue, path)) {
    kinds[kind] = (kinds[kind] ?? 0) + 1;
    for (const tick of ticks) {
      assert.ok(isTick(tick) && tick.receivedTime === tick.eventTime && tick.eventTime >= last, frame);
      last = tick.eventTime;
      const type = tick.type === "trade" ? `trade ${tick.side} ${tick.conditions?.join() ?? "visible"}` : tick.type;
      counted[type] = (counted[type] ?? 0) + 1;
      if (tick.type === "trade") shares += BigInt(tick.size);
      const { to } = judge.judge({ offset: offset++, key: null, value: JSON.stringify(tick) });
      verdicts[to] = (verdicts[to] ?? 0) + 1;
    }
  }
  return { kinds, ticks: counted, verdicts, shares };
}

Deno.test("the recorded AMZN day is known whole, and all of it is sound", recording, async () => {
  assert.deepEqual(await knownOf(AMZN), {
    kinds: { newOrder: 27_845, partialCancel: 16, deletion: 18_235, execution: 8_974, hiddenExecution: 2_445 },
    ticks: {
      quote: 57_515,
      "trade buy visible": 4_808,
      "trade sell visible": 4_166,
      "trade buy hidden": 1_096,
      "trade sell hidden": 1_349,
    },
    verdicts: { valid: 68_934 },
    shares: 810_755n,
  });
});

Deno.test("the recorded ten levels of AAPL are known whole, and all of them are sound", recording, async () => {
  assert.deepEqual(await knownOf(AAPL), {
    kinds: { newOrder: 471, deletion: 369, execution: 98, hiddenExecution: 61 },
    ticks: {
      book: 999,
      "trade buy visible": 45,
      "trade sell visible": 53,
      "trade buy hidden": 33,
      "trade sell hidden": 28,
    },
    verdicts: { valid: 1_158 },
    shares: 10_592n,
  });
});
