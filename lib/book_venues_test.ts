/** Books of recorded feeds, from the venue's own words to the book: what each venue lets one prove of it. */
import assert from "@std/assert";
import { Keeper, type KeeperOptions } from "./book.ts";
import { openSource } from "./source.ts";
import type { Tick } from "./tick.ts";
import { type Mapped, openVenue, type Venue } from "./venue.ts";
import { recorded, RECORDINGS, WRITTEN } from "../testdata/recordings.ts";

const strict = { sanitizeOps: true, sanitizeResources: true } as const;
const recording = recorded("books");
const world = { now: () => 0, env: () => undefined, report: () => {}, retryForMs: 0 } as const;

async function framesOf(venue: Venue, path: string): Promise<Mapped[]> {
  const all: Mapped[] = [];
  await using source = await openSource(path, venue, undefined, world);
  for await (const { frames } of source.read(0, new AbortController().signal)) {
    for (const { frame, receivedTime, symbol } of frames) all.push(venue.map(frame, receivedTime, symbol));
  }
  return all;
}

/** A keeper as the venue wants it, and how many checksums it has looked at. */
function keep(venue: Venue, options: Partial<KeeperOptions> = {}): { keeper: Keeper; checks: () => number } {
  let checked = 0;
  const { books: discipline, depths, checksum } = venue;
  const keeper = new Keeper({
    discipline,
    ...(depths && { depths }),
    ...(checksum && {
      checksum: (book) => {
        checked++;
        return checksum(book.bids(10), book.asks(10));
      },
    }),
    ...options,
  });
  return { keeper, checks: () => checked };
}

const broken = (keeper: Keeper): number => Object.values(keeper.counts.broken).reduce((sum, n) => sum + n, 0);
const isGap = (ticks: readonly Tick[]): boolean => ticks.some((tick) => tick.type === "status" && tick.state === "gap");

for (
  const [file, sums] of [["btcusd_depth25_2026-08-26_raw_frames_first50", 43], ["single_frames_2025-2026", 2]] as const
) {
  Deno.test(`kraken: every checksum of ${file} is that of the book`, recording, async () => {
    const venue = await openVenue("kraken");
    const { keeper, checks } = keep(venue);
    for (const mapped of await framesOf(venue, `${RECORDINGS}/kraken/kraken_v2_${file}.jsonl`)) keeper.take(mapped);
    assert.deepEqual([checks(), broken(keeper)], [sums, 0]);
  });
}

Deno.test(
  "kraken: a book of ten levels agrees with its checksums if it is cut to ten, and only then",
  strict,
  async () => {
    const venue = await openVenue("kraken");
    const frames = await framesOf(venue, `${WRITTEN}/kraken/depth10.jsonl`);
    const cut = keep(venue);
    for (const mapped of frames) cut.keeper.take(mapped);
    assert.deepEqual([cut.checks(), broken(cut.keeper)], [81, 0]);
    const whole = keep(venue, { depths: [1_000] });
    for (const mapped of frames) whole.keeper.take(mapped);
    assert.equal(broken(whole.keeper), 1);
  },
);

Deno.test(
  "kraken: a lost update is noticed at the first message whose true top ten is not ours",
  recording,
  async () => {
    const venue = await openVenue("kraken");
    const recordings = [
      `${RECORDINGS}/kraken/kraken_v2_btcusd_depth25_2026-08-26_raw_frames_first50.jsonl`,
      `${WRITTEN}/kraken/depth10.jsonl`,
    ];
    let noticed = 0;
    for (const path of recordings) {
      const frames = (await framesOf(venue, path)).filter(({ kind }) =>
        kind === "bookSnapshot" || kind === "bookUpdate"
      );
      const { symbol } = frames[0]!.ticks[0]!;
      for (let lost = 1; lost < frames.length - 1; lost++) {
        const whole = keep(venue).keeper, ours = keep(venue).keeper;
        // The same as ours, but nobody checks it.
        const { checksum: _, ...unchecked } = venue;
        const shadow = keep(unchecked).keeper;
        const topOf = (keeper: Keeper): string => {
          const { bids, asks } = keeper.read(symbol, 10)!;
          return JSON.stringify([bids, asks]);
        };
        for (const [i, mapped] of frames.entries()) {
          whole.take(mapped);
          if (i === lost) continue;
          shadow.take(mapped);
          const isNoticed = isGap(ours.take(mapped).ticks);
          const isOther = i > lost && topOf(shadow) !== topOf(whole);
          assert.equal(isNoticed, isOther, `${path}: ${lost} lost, ${i}`);
          if (!isNoticed) continue;
          noticed++;
          break;
        }
      }
    }
    assert.ok(noticed > 20, String(noticed));
  },
);

Deno.test("bybit: of 337 recorded quotes 61 are repeats, which give no tick", recording, async () => {
  let quotes = 0, repeats = 0, sent = 0;
  for (const [name, file] of [["bybit-linear", "1.0"], ["bybit", "2.0"]] as const) {
    const venue = await openVenue(name);
    const { keeper } = keep(venue);
    const path = `${RECORDINGS}/bybit/cryptofeed_v5_orderbook1_2025-06-13_BYBIT.ws.${file}.txt`;
    for (const mapped of await framesOf(venue, path)) {
      quotes += mapped.ticks.length;
      sent += keeper.take(mapped).ticks.length;
    }
    repeats += keeper.counts.repeats;
    assert.equal(broken(keeper), 0);
  }
  assert.deepEqual([quotes, repeats, sent], [337, 61, 337 - 61]);
});

Deno.test(
  "bybit: fifty recorded levels are chained, and without the first change the second breaks them",
  recording,
  async () => {
    const venue = await openVenue("bybit");
    const frames = await framesOf(venue, `${RECORDINGS}/bybit/bybit_v5_spot_orderbook50_2026-03-17_frames.jsonl`);
    assert.equal(frames.length, 3);
    const whole = keep(venue).keeper, ours = keep(venue).keeper;
    for (const mapped of frames) assert.ok(!isGap(whole.take(mapped).ticks));
    assert.equal(whole.stateOf("BTCUSDT"), "synced");
    ours.take(frames[0]!);
    assert.ok(isGap(ours.take(frames[2]!).ticks));
  },
);

Deno.test(
  "coinbase: ten recorded books and 9,719 updates never cross, and delete nothing that is not there",
  recording,
  async () => {
    const venue = await openVenue("coinbase");
    const { keeper } = keep(venue);
    let books = 0, deltas = 0;
    for (const mapped of await framesOf(venue, `${RECORDINGS}/coinbase/cryptofeed_exchange_COINBASE.ws.28.0.txt.gz`)) {
      for (const { type } of keeper.take(mapped).ticks) {
        if (type === "book") books++;
        if (type === "delta") deltas++;
      }
    }
    const { crossed, unknownDeletes, differing } = keeper.counts;
    assert.deepEqual([books, deltas, broken(keeper), crossed, unknownDeletes, differing], [10, 9_719, 0, 0, 0, 0]);
  },
);
