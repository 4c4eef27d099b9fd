/**
 * The book as it stood, by the command, against a keeper that heard the same capture: after ingest, validate and both
 * sinks, from hot and from the lake alike. And what the command says where there is no book to show.
 */
import assert from "@std/assert";
import { DatabaseSync } from "node:sqlite";
import { fileURLToPath } from "node:url";
import postgres from "postgres";
import book from "../cmd/book.ts";
import ingest from "../cmd/ingest.ts";
import sinkCold from "../cmd/sink-cold.ts";
import sinkHot from "../cmd/sink-hot.ts";
import validate from "../cmd/validate.ts";
import { type BookRead, Keeper } from "../lib/book.ts";
import { canonical, compare } from "../lib/decimal.ts";
import { warm } from "../lib/parquet.ts";
import { openSource } from "../lib/source.ts";
import type { Outcome } from "../lib/stage.ts";
import { type Mapped, openVenue, type Venue } from "../lib/venue.ts";
import { places, run, withData } from "../testdata/flow.ts";
import { RECORDINGS, WRITTEN } from "../testdata/recordings.ts";

const strict = { sanitizeOps: true, sanitizeResources: true } as const;
const recorded = { ...strict, ignore: RECORDINGS === undefined };
if (RECORDINGS === undefined) console.log("books: recordings are not tried, TAPEDECK_RECORDINGS names no folder");
const world = { now: () => 0, env: () => undefined, report: () => {}, retryForMs: 0 } as const;
// The engine opens a message port for good, which the first test would be blamed for.
await warm();

interface Capture {
  readonly venue: string;
  readonly path: string;
  /** Whose answers are those that name no instrument. */
  readonly about?: string;
}
/** What is shown of a book; null where it is not in sync. */
type Shown = Omit<BookRead, "symbol"> | null;

/** A frame, and the time from which its book is there until the next one. */
interface Step {
  readonly frame: number;
  readonly symbol: string;
  readonly time: number;
}

async function framesOf(venue: Venue, { path, about }: Capture): Promise<Mapped[]> {
  const all: Mapped[] = [];
  await using source = await openSource(path, venue, about, world);
  for await (const { frames } of source.read(0, new AbortController().signal)) {
    all.push(...frames.map(({ frame, receivedTime, symbol }) => venue.map(frame, receivedTime, symbol)));
  }
  return all;
}

/** Every change of a book that can be told from the next one by its time. */
function stepsOf(frames: readonly Mapped[]): Step[] {
  const all: Step[] = [];
  const last = new Map<string, Step>();
  const add = (step: Step): void => {
    const before = last.get(step.symbol);
    last.set(step.symbol, step);
    if (before?.time === step.time || before?.frame === step.frame) all.splice(all.lastIndexOf(before), 1);
    all.push(step);
  };
  for (const [frame, { ticks, unread }] of frames.entries()) {
    for (const { type, symbol, eventTime } of ticks) {
      // What our clock dates before the events that it came after is there no earlier than they.
      const time = Math.max(last.get(symbol)?.time ?? 0, eventTime);
      if (type === "book" || type === "delta") add({ frame, symbol, time });
    }
    // What could not be read has no time: the book is gone from its last one on.
    for (const [symbol, { time }] of unread === undefined ? [] : [...last]) {
      if (unread!.length === 0 || unread!.includes(symbol)) add({ frame, symbol, time });
    }
  }
  return all;
}

/** So many of them, evenly, the first and the last among them. */
function some<T>(all: readonly T[], count: number): T[] {
  if (all.length <= count) return [...all];
  return Array.from({ length: count }, (_, i) => all[Math.round(i * (all.length - 1) / (count - 1))]!);
}

/** The books of these steps as they were kept in memory. */
function keptAt(
  { books: discipline, depths, checksum }: Venue,
  frames: readonly Mapped[],
  steps: readonly Step[],
): Shown[] {
  const keeper = new Keeper({
    discipline,
    ...(depths && { depths }),
    ...(checksum && { checksum: (book) => checksum(book.bids(10), book.asks(10)) }),
  });
  const kept: Shown[] = [];
  for (const [i, frame] of frames.entries()) {
    keeper.take(frame);
    steps.forEach(({ frame, symbol }, at) => {
      if (frame === i) kept[at] = storedOf(keeper.read(symbol));
    });
  }
  return kept;
}

/** As stores have it, amounts in their one spelling; and as far as it is known, since beyond nobody can tell. */
function storedOf(read: BookRead | undefined): Shown {
  if (read === undefined) return null;
  const plain = (levels: BookRead["bids"], worst: string | null, side: 1 | -1): BookRead["bids"] =>
    levels.map(([price, size]): [string, string] => [canonical(price), canonical(size)])
      .filter(([price]) => worst === null || compare(price, worst) * side >= 0);
  const { id, eventTime, known: { bid, ask } } = read;
  const known = { bid: bid === null ? null : canonical(bid), ask: ask === null ? null : canonical(ask) };
  return { id, eventTime, bids: plain(read.bids, bid, 1), asks: plain(read.asks, ask, -1), known };
}

async function take(data: string, { venue, path, about }: Capture): Promise<void> {
  await run(ingest, data, "--from", path, "--venue", venue, ...(about === undefined ? [] : ["--symbol", about]));
  for (const stage of [validate, sinkHot, sinkCold]) await run(stage, data);
}

/** How many steps each store is asked about. */
type Counts = Readonly<Record<"hot" | "lake", number>>;

/** Holds books of a capture against what each store shows; gives how many of them were in sync. */
async function compareBooks(capture: Capture, data: string, counts: Counts, stepsMax = Infinity): Promise<number> {
  await take(data, capture);
  const venue = await openVenue(capture.venue);
  const frames = await framesOf(venue, capture);
  let synced = 0;
  for (const store of ["hot", "lake"] as const) {
    const steps = some(stepsOf(frames).slice(0, stepsMax), counts[store]);
    const kept = keptAt(venue, frames, steps);
    for (const [i, { symbol, time }] of steps.entries()) {
      const asked = ["--venue", venue.name, "--symbol", symbol, "--at", String(time), "--depth", "10000"];
      const outcome = await run(book, data, ...asked, "--store", store);
      const { id, eventTime, bids, asks, known } = outcome;
      const shown = outcome.synced === true ? { id, eventTime, bids, asks, known } : null;
      assert.deepEqual(shown, kept[i], `${symbol} at ${time} from ${store}`);
      if (shown !== null) synced++;
    }
  }
  return synced;
}

const FEW: Counts = { hot: 20, lake: 5 };
for (
  const [venue, file, synced, stepsMax] of [
    // Its last snapshot has fewer levels than the one that the keeper stays with.
    ["binance", "depth.jsonl", 2, 3],
    ["bybit", "depth.jsonl", 12],
    ["kraken", "depth10.jsonl", 25],
    ["coinbase", "level2.jsonl", 10],
    ["coinbase-advanced", "level2.jsonl", 4],
    ["lobster", "books.jsonl", 10],
  ] as const
) {
  const path = `${WRITTEN}/${venue}/${file}`;
  Deno.test(
    `the books of ${venue}/${file} are shown as they were kept, from hot and from the lake`,
    strict,
    () =>
      withData(async (data) => {
        assert.equal(await compareBooks({ venue, path, about: "AAAUSD" }, data, FEW, stepsMax), synced);
      }),
  );
}

for (
  const [venue, file, synced] of [
    // The first events come before their snapshot.
    ["binance", "binance/hftbacktest_spot_btcusdt_20240808.jsonl.gz", 9],
    ["binance-usdm", "binance/hftbacktest_usdm_btcusdt_20240808.jsonl.gz", 9],
    ["coinbase", "coinbase/cryptofeed_exchange_COINBASE.ws.28.0.txt.gz", 11],
    ["kraken", "kraken/kraken_v2_btcusd_depth25_2026-08-26_raw_frames_first50.jsonl", 11],
    ["lobster", "lobster/AAPL_2012-06-21_level10_first_rows_message.csv.gz", 11],
  ] as const
) {
  const capture = { venue, path: `${RECORDINGS}/${file}`, about: "BTCUSDT" };
  Deno.test(
    `the books of ${file} are shown as they were kept, from hot and from the lake`,
    recorded,
    () =>
      withData(async (data) => {
        assert.equal(await compareBooks(capture, data, { hot: 8, lake: 3 }), synced);
      }),
  );
}

const server = Deno.env.get("POSTGRES_URL");
if (server === undefined) console.log("books: Postgres is not tried, POSTGRES_URL is not set");
Deno.test({
  name: "the books of kraken/depth10.jsonl are shown as they were kept, from Postgres",
  ...strict,
  ignore: server === undefined,
  fn: () =>
    withData(async (data) => {
      const schema = `tapedeck_book_${Deno.pid}`;
      const sql = postgres(server!, { max: 1, onnotice: () => {}, fetch_types: false });
      try {
        const hot = `${server}${server!.includes("?") ? "&" : "?"}schema=${schema}`;
        places.set(data, { transport: `log:${data}/log?fsync=never`, hot });
        const never = await run(book, data, "--venue", "kraken", "--symbol", "X").catch((error) => error);
        assert.match(String(never), /nothing is stored in "postgres:\/\/\*\*\*@[^"]+" and "file:/);
        const path = `${WRITTEN}/kraken/depth10.jsonl`;
        assert.equal(await compareBooks({ venue: "kraken", path }, data, { hot: 5, lake: 0 }), 5);
      } finally {
        places.delete(data);
        await sql.unsafe(`drop schema if exists ${schema} cascade`);
        await sql.end();
      }
    }),
});

const DEPTH = { venue: "binance", path: `${WRITTEN}/binance/depth.jsonl`, about: "AAAUSD" };
const AAA = ["--venue", "binance", "--symbol", "AAAUSD"];

Deno.test(
  "people are shown both sides, where they stand and how far they are known",
  strict,
  () =>
    withData(async (data) => {
      await take(data, DEPTH);
      const { text } = await run(book, data, ...AAA, "--at", "2023-11-14T23:13:20.323456+01:00", "--depth", "1");
      assert.deepEqual(String(text).split("\n"), [
        "binance AAAUSD  2023-11-14T22:13:20.323456Z  in sync",
        "update 504   event 2023-11-14T22:13:20.323456Z, 0.000 s before   from hot",
        "known    bids down to 12.32, asks up to 12.36   begun 2023-11-14T22:13:20.323456Z at 504",
        "",
        "bid size    bid    ask  ask size",
        "       4  12.32  12.35         1",
      ]);
      const whole = { venue: "coinbase", path: `${WRITTEN}/coinbase/level2.jsonl` };
      await take(data, whole);
      const asked = ["--venue", "coinbase", "--symbol", "AAA-USD", "--at", "1700000001000000"];
      assert.deepEqual(String((await run(book, data, ...asked)).text).split("\n").slice(2), [
        "known    bids to their end, asks to their end   begun 2023-11-14T22:13:21.000000Z",
        "",
        "bid size    bid     ask  ask size",
        "     2    12.34   12.36         2",
        "     0.1   9.5    12.4          1",
        "                 100            1",
      ]);
    }),
);

Deno.test(
  "levels beyond what the snapshot told are not shown, nor more than are asked for",
  strict,
  () =>
    withData(async (data) => {
      const frames = [
        '1700000000100000000 {"lastUpdateId":500,"bids":[["10","1"],["9","1"]],"asks":[["11","1"],["12","1"]]}',
        '1700000000200000000 {"e":"depthUpdate","E":1700000000190,"s":"BBBUSD","U":501,"u":501,' +
        '"b":[["8","1"],["9.5","1"]],"a":[["11.5","1"],["13","1"]]}',
      ];
      await Deno.writeTextFile(`${data}/narrow.jsonl`, frames.join("\n"));
      await take(data, { venue: "binance", path: `${data}/narrow.jsonl`, about: "BBBUSD" });
      const { known, bids, asks } = await run(book, data, "--symbol", "BBBUSD");
      assert.deepEqual(known, { bid: "9", ask: "12" });
      assert.deepEqual([bids, asks], [[["10", "1"], ["9.5", "1"], ["9", "1"]], [["11", "1"], ["11.5", "1"], [
        "12",
        "1",
      ]]]);
      const two = await run(book, data, "--symbol", "BBBUSD", "--depth", "2");
      assert.deepEqual([two.bids, two.asks], [[["10", "1"], ["9.5", "1"]], [["11", "1"], ["11.5", "1"]]]);
    }),
);

Deno.test("the best of LOBSTER's first level is a book of one level", strict, () =>
  withData(async (data) => {
    await take(data, { venue: "lobster", path: `${WRITTEN}/lobster/quotes.jsonl` });
    const shown = async (...args: string[]) => {
      const { synced, eventTime, bids, asks } = await run(
        book,
        data,
        "--venue",
        "lobster",
        "--symbol",
        "ACME",
        ...args,
      );
      return [synced, eventTime, bids, asks];
    };
    const at = Date.UTC(2024, 2, 11, 13, 30) * 1000;
    assert.deepEqual(await shown("--at", String(at + 249_999)), [true, at, [["123.45", "100"]], [["123.5", "200"]]]);
    const next = [true, at + 500_000, [["123.45", "100"]], [["123.49", "300"]]];
    assert.deepEqual(await shown("--at", String(at + 500_000), "--store", "lake"), next);
  }));

const findingsOf = ({ findings }: Outcome) => findings as readonly { finding: string; place: string; detail: string }[];

Deno.test(
  "where there is no book to show it is found why: lost, not begun, or not yet there",
  strict,
  () =>
    withData(async (data) => {
      await take(data, DEPTH);
      const place = "binance AAAUSD";
      const lost = await run(book, data, ...AAA);
      assert.deepEqual(findingsOf(lost), [{
        finding: "not in sync",
        place,
        detail:
          "not in sync since 2023-11-14T22:13:20.520000Z: book unnumbered: an event without numbers came after 504; " +
          "it was last with --at 2023-11-14T22:13:20.519999Z",
      }]);
      assert.equal(lost.last, 1_700_000_000_519_999);
      assert.equal((await run(book, data, ...AAA, "--at", "2023-11-14T22:13:20.519999Z")).synced, true);
      assert.deepEqual([lost.synced, lost.since, lost.at, lost.bids], [false, 1_700_000_000_520_000, null, undefined]);
      const early = await run(book, data, ...AAA, "--at", "1700000000323455");
      const detail = "no snapshot is stored up to then, the first one after it is of 2023-11-14T22:13:20.323456Z";
      assert.deepEqual(findingsOf(early), [{ finding: "no snapshot", place, detail }]);
      assert.equal(early.text, `${place}  2023-11-14T22:13:20.323455Z  ${detail}`);
      const stale = [
        '1700000000100000000 {"e":"depthUpdate","E":1700000000090,"s":"BBBUSD","U":500,"u":503,"b":[],"a":[]}',
        '1700000000200000000 {"lastUpdateId":498,"bids":[["1","1"]],"asks":[]}',
      ];
      await Deno.writeTextFile(`${data}/stale.jsonl`, stale.join("\n"));
      await take(data, { venue: "binance", path: `${data}/stale.jsonl`, about: "BBBUSD" });
      const refused = findingsOf(await run(book, data, "--symbol", "BBBUSD"));
      assert.match(
        refused[0]!.detail,
        /^no snapshot up to then can begin it, the last one is of 2023-11-14T22:13:20\.2/,
      );
    }),
);

Deno.test(
  "the lake is asked where hot has nothing of that time, and alone when that is wanted",
  strict,
  () =>
    withData(async (data) => {
      await take(data, DEPTH);
      const stores = async (...args: string[]) =>
        (await run(book, data, ...AAA, "--at", "1700000000323456", ...args)).store;
      assert.deepEqual([await stores(), await stores("--store", "lake")], ["hot", "lake"]);
      const db = new DatabaseSync(`${data}/hot.db`);
      db.exec("delete from books");
      db.close();
      assert.deepEqual([await stores(), await stores("--store", "hot")], ["lake", undefined]);
      await Deno.remove(`${data}/hot.db`);
      assert.equal(await stores(), "lake");
      // Looking makes nothing.
      await assert.rejects(Deno.stat(`${data}/hot.db`), Deno.errors.NotFound);
      await assert.rejects(stores("--store", "hot"), /nothing is stored in "sqlite:[^"]+hot\.db", must be what a sink/);
    }),
);

Deno.test("what cannot be asked is misuse, and says what can", strict, () =>
  withData(async (data) => {
    const misuse = (message: RegExp, ...args: string[]) =>
      assert.rejects(run(book, data, ...args), (error: Error) => {
        assert.equal(error.name, "Misuse");
        assert.match(error.message, message);
        return true;
      });
    await misuse(/nothing is stored in "sqlite:.*hot\.db" and "file:.*lake", must be what a sink wrote$/, ...AAA);
    await take(data, DEPTH);
    await misuse(/^Cannot use --venue "nyse": it is unknown, must be one of binance, /, "--venue", "nyse");
    await misuse(/^Cannot show book of "finnhub": it has none, must be/, "--venue", "finnhub", "--symbol", "AAPL");
    await misuse(/no --symbol is given, must be/);
    await misuse(/^Cannot show book of "\.\.": no tick can have it/, "--symbol", "..");
    await misuse(
      /^Cannot show book of "AAA": nothing of it is stored of binance, must be one of AAAUSD$/,
      "--symbol",
      "AAA",
    );
    await misuse(
      /must be one whose books were recorded, and of kraken there is none$/,
      "--venue",
      "kraken",
      "--symbol",
      "X",
    );
    await misuse(/--depth "0": it shows nothing/, ...AAA, "--depth", "0");
    for (const at of ["tomorrow", "2024-08-08T23:57:00", "2024-02-30T00:00:00Z", "1700000000", "1e15", "-1"]) {
      await misuse(/^Cannot show book --at ".*": it is no time of a market, must be like 2024-/, ...AAA, `--at=${at}`);
    }
  }));

Deno.test("many symbols are not all named", strict, () =>
  withData(async (data) => {
    const frame = (i: number) =>
      `1700000000100000000 {"stream":"aaa${
        String.fromCharCode(97 + i)
      }@depth5","data":{"lastUpdateId":5,"bids":[["1","1"]],"asks":[]}}`;
    await Deno.writeTextFile(`${data}/many.jsonl`, Array.from({ length: 21 }, (_, i) => frame(i)).join("\n"));
    await take(data, { venue: "binance", path: `${data}/many.jsonl` });
    await assert.rejects(run(book, data, "--symbol", "X"), /must be one of AAAA, AAAB, .*, AAAT and others$/);
  }));

Deno.test("the process ends with 0 for a book, 3 for none, 2 for misuse, and its JSON is one line", () =>
  withData(async (data) => {
    await take(data, DEPTH);
    const ended = async (...args: string[]) => {
      const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
        args: ["run", "-A", fileURLToPath(import.meta.resolve("../cmd/book.ts")), "--data", data, ...args],
        env: { NO_COLOR: "1" },
      }).output();
      return { code, out: new TextDecoder().decode(stdout), heard: new TextDecoder().decode(stderr) };
    };
    const [found, none, wrong] = await Promise.all([
      ended(...AAA, "--at", "1700000000323456", "--json", "--store", "lake"),
      ended(...AAA),
      ended("--symbol", "AAA"),
    ]);
    assert.deepEqual([found.code, none.code, wrong.code], [0, 3, 2], found.heard + none.heard + wrong.heard);
    assert.deepEqual(JSON.parse(found.out).bids, [["12.32", "4"]]);
    assert.match(none.out, /^binance AAAUSD {2}the newest {2}not in sync since /);
  }));
