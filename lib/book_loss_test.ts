/**
 * One event is lost: its instrument's book breaks at the next one, no other book does, and a snapshot of a later state
 * heals it. By sequences made by hand for every discipline that can prove a loss, and by recordings.
 */
import assert from "@std/assert";
import { crc32 } from "node:zlib";
import { type BookRead, type Checksum, Keeper, type KeeperOptions } from "./book.ts";
import { readCapture } from "./capture.ts";
import { compare } from "./decimal.ts";
import type { Book, Delta, Quote, Tick } from "./tick.ts";
import { type Mapped, openVenue } from "./venue.ts";

const options = { sanitizeOps: true, sanitizeResources: true } as const;

/** Whole numbers below `end`, the same ones for a seed. */
function chance(seed: number): (end: number) => number {
  let state = seed;
  return (end) => (state = (state * 1_103_515_245 + 12_345) % 2 ** 31) % end;
}

const sum: Checksum = (book) => crc32([...book.asks(10), ...book.bids(10)].flat().join("").replace(/\./g, ""));
const symbolOf = ({ ticks }: Mapped) => ticks[0]!.symbol;
const isDelta = ({ ticks }: Mapped) => ticks[0]!.type === "delta";

/** A snapshot of a whole book as its venue would have sent it. */
function snapshotOf(read: BookRead, like: Tick, checksum?: number): Mapped {
  const { venue, symbol, eventTime, receivedTime } = like;
  const book: Book = {
    ...{ type: "book", venue, symbol, eventTime, receivedTime, sequence: read.id, id: null },
    ...{ bids: read.bids, asks: read.asks },
  };
  return { kind: "snapshot", ticks: [book], ...(checksum === undefined ? {} : { checksums: [checksum] }) };
}

/**
 * Plays the messages without the one at `lost`, which is a delta of a book in sync, and another of its book follows.
 * Where the book breaks a snapshot is cut from the whole one, `later` of its events further on.
 */
function lose(messages: readonly Mapped[], lost: number, later: number, keeping: KeeperOptions): void {
  const symbol = symbolOf(messages[lost]!);
  const symbols = [...new Set(messages.map(symbolOf))];
  const next = messages.findIndex((other, at) => at > lost && symbolOf(other) === symbol && isDelta(other));
  const whole = new Keeper(keeping), damaged = new Keeper(keeping);
  let brokenAt = -1, since = -1;
  for (let i = 0; i < messages.length; i++) {
    const message = messages[i]!;
    const before = symbols.map((name) => [name, damaged.stateOf(name)] as const);
    whole.take(message);
    const kept = i === lost ? undefined : damaged.take(message);
    const gaps = kept?.ticks.filter((tick) => tick.type === "status" && tick.state === "gap") ?? [];
    if (gaps.length > 0) {
      assert.equal(brokenAt, -1, "it breaks once");
      assert.deepEqual(gaps.map((tick) => tick.symbol), [symbol]);
      assert.ok(damaged.wanting.includes(symbol));
      assert.equal(i, next, "at the next message of its book");
      brokenAt = i;
    }
    for (const [name, state] of before) {
      if (name !== symbol && state === "synced") assert.equal(damaged.stateOf(name), "synced", name);
    }
    if (brokenAt >= 0 && symbolOf(message) === symbol && isDelta(message) && ++since === later) {
      const read = whole.read(symbol)!;
      const healed = damaged.take(snapshotOf(read, message.ticks[0]!, message.checksums?.[0]));
      assert.deepEqual(healed.ticks.flatMap((tick) => tick.type === "status" ? [tick.state] : []), ["subscribed"]);
    }
  }
  assert.ok(brokenAt > lost, "it breaks");
  assert.ok(since > later, "it was healed before the end");
  for (const name of symbols) {
    const { bids, asks, id } = damaged.read(name)!, other = whole.read(name)!;
    assert.deepEqual({ bids, asks, id }, { bids: other.bids, asks: other.asks, id: other.id }, name);
  }
}

/** Two instruments, each a snapshot and changes that change something, in the shape that the discipline asks for. */
function made(discipline: KeeperOptions["discipline"], seed: number): Mapped[] {
  const below = chance(seed);
  const messages: Mapped[] = [];
  const common = { venue: "sim", eventTime: 1_700_000_000_000_000, receivedTime: 1_700_000_000_000_000, id: null };
  const books = ["A", "B"].map((symbol) => {
    const bids = Array.from({ length: 10 }, (_, i) => [`${99 - i}`, `${i + 1}.5`] as [string, string]);
    const asks = Array.from({ length: 10 }, (_, i) => [`${101 + i}`, `${i + 1}.5`] as [string, string]);
    const keeper = new Keeper({ discipline: "trust" });
    const snapshot: Book = { type: "book", symbol, ...common, sequence: 1_000, bids, asks };
    keeper.take({ kind: "snapshot", ticks: [snapshot] });
    messages.push({ kind: "snapshot", ticks: [snapshot], checksums: [sumOf(keeper, symbol)] });
    return { symbol, keeper, id: 1_000, at: -1 };
  });
  for (let n = 0; n < 200; n++) {
    const book = books[below(7) % 2]!;
    // Never the level of the change before: that one would heal what was lost of it.
    book.at = (book.at + 1 + below(19)) % 20;
    const price = String(book.at < 10 ? 90 + book.at : 91 + book.at);
    const levels: [string, string][] = [[price, `${n + 20}.25`]];
    const [bids, asks] = book.at < 10 ? [levels, []] : [[], levels];
    const previousId = book.id, firstId = previousId + 1;
    const lastId = discipline === "chain" ? firstId : firstId + below(3);
    const delta: Delta = {
      ...{ type: "delta", symbol: book.symbol, ...common, sequence: lastId, bids, asks, firstId, lastId, previousId },
    };
    book.id = lastId;
    book.keeper.take({ kind: "delta", ticks: [delta] });
    messages.push({ kind: "delta", ticks: [delta], checksums: [sumOf(book.keeper, book.symbol)] });
  }
  return messages;
}

function sumOf(keeper: Keeper, symbol: string): number {
  const { bids, asks } = keeper.read(symbol)!;
  return sum({ bids: (count) => bids.slice(0, count), asks: (count) => asks.slice(0, count) });
}

for (const discipline of ["splice", "link", "chain", "checksum"] as const) {
  Deno.test(
    `${discipline}: one event that is lost breaks one book, at its next event, until a snapshot`,
    options,
    () => {
      const keeping = { discipline, ...(discipline === "checksum" ? { checksum: sum, depths: [10] } : {}) };
      for (let seed = 1; seed <= 20; seed++) {
        const below = chance(seed * 7_919);
        lose(made(discipline, seed), 2 + below(150), below(5), keeping);
      }
    },
  );
}

// Recordings

const RECORDINGS = Deno.env.get("TAPEDECK_RECORDINGS");
if (RECORDINGS === undefined) console.log("book: recordings are not tried, TAPEDECK_RECORDINGS names no folder");
const recorded = { ...options, ignore: RECORDINGS === undefined };
/** Depth events, those that are applied, those at which a quote is known, and those whose id is a quote's own. */
const CAPTURES = [
  {
    ...{ venue: "binance", symbol: "BTCUSDT", file: "hftbacktest_spot_btcusdt_20240808" },
    ...{ depth: 3_451, applied: 3_449, compared: 3_449, exact: 564 },
  },
  {
    ...{ venue: "binance", symbol: "ETHUSDT", file: "hftbacktest_spot_ethusdt_20240808" },
    ...{ depth: 3_434, applied: 3_432, compared: 3_432, exact: 577 },
  },
  {
    ...{ venue: "binance-usdm", symbol: "BTCUSDT", file: "hftbacktest_usdm_btcusdt_20240808" },
    ...{ depth: 6_551, applied: 6_547, compared: 6_547, exact: 629 },
  },
] as const;
type Capture = typeof CAPTURES[number];

const read = new Map<string, Promise<Mapped[]>>();
/** Books, deltas and quotes of a capture, in order; read once. */
function messagesOf(capture: Capture): Promise<Mapped[]> {
  const { file } = capture;
  const known = read.get(file);
  if (known !== undefined) return known;
  const messages = readMessages(capture);
  read.set(file, messages);
  return messages;
}

async function readMessages({ venue: name, symbol, file }: Capture): Promise<Mapped[]> {
  const venue = await openVenue(name);
  const messages: Mapped[] = [];
  const path = `${RECORDINGS}/binance/${file}.jsonl.gz`;
  for await (const { lines } of readCapture(path, 0, new AbortController().signal)) {
    for (const { frame, receivedTime } of lines) {
      const mapped = venue.map(frame, receivedTime, symbol);
      if (mapped.ticks.length > 0 && mapped.kind !== "trade") messages.push(mapped);
    }
  }
  return messages;
}

const isDepth = ({ ticks }: Mapped) => ticks[0]!.type !== "quote";
const topOf = ({ bids, asks }: { readonly bids: Book["bids"]; readonly asks: Book["asks"] }) =>
  [...bids[0]!, ...asks[0]!].join(" ");
const textOf = ({ bidPrice, bidSize, askPrice, askSize }: Quote) => [bidPrice, bidSize, askPrice, askSize].join(" ");

for (const capture of CAPTURES) {
  const { venue, symbol, depth, applied } = capture;
  const title = `${venue} ${symbol}`;

  Deno.test(
    `the recording of ${title} is spliced as it came, never breaks and is never crossed`,
    recorded,
    async () => {
      const { books: discipline } = await openVenue(venue);
      const keeper = new Keeper({ discipline });
      let deltas = 0, buffered = 0, crossed = 0, sent = 0;
      const messages = (await messagesOf(capture)).filter(isDepth);
      for (const message of messages) {
        const { ticks } = keeper.take(message);
        sent += ticks.length;
        const top = keeper.read(symbol, 1);
        if (message.ticks[0]!.type === "delta") {
          deltas++;
          if (top === undefined) buffered++;
        }
        if (top !== undefined && compare(top.bids[0]![0], top.asks[0]![0]) >= 0) crossed++;
      }
      const { counts } = keeper;
      assert.ok(buffered > 0, "events came before the snapshot");
      assert.deepEqual([deltas, deltas - counts.skipped, crossed, counts.syncs], [depth, applied, 0, 1]);
      assert.deepEqual([counts.crossed, counts.stale, counts.late], [0, 0, 0]);
      assert.deepEqual(Object.values(counts.broken).filter((times) => times > 0), []);
      assert.equal(sent, depth + 1 + 1, "every event, the snapshot, and that the book is there");
    },
  );

  Deno.test(`the best of ${title} is the venue's own quote of that update id, at every event`, recorded, async () => {
    const { books: discipline } = await openVenue(venue);
    const keeper = new Keeper({ discipline });
    const messages = await messagesOf(capture);
    const quotes = messages.flatMap(({ ticks: [tick] }) => tick!.type === "quote" ? [tick] : []);
    const depths = messages.filter(isDepth);
    // The snapshot first: so every event that is applied can be looked at, those too that came before it.
    const snapshot = depths.findIndex((message) => !isDelta(message));
    depths.unshift(...depths.splice(snapshot, 1));
    let compared = 0, at = 0, exact = 0;
    for (const message of depths) {
      const { skipped } = keeper.counts;
      keeper.take(message);
      const top = keeper.read(symbol, 1)!;
      if (!isDelta(message) || keeper.counts.skipped > skipped) continue;
      // A quote tells of every change of the best, so the last one until an id holds at that id.
      while (at < quotes.length && quotes[at]!.sequence! <= top.id!) at++;
      const quote = quotes[at - 1];
      if (quote === undefined) continue;
      assert.equal(topOf(top), textOf(quote), `at ${top.id}`);
      compared++;
      if (quote.sequence === top.id) exact++;
    }
    assert.deepEqual([compared, exact], [capture.compared, capture.exact]);
  });

  Deno.test(`the book of ${title} agrees with a snapshot cut from another keeper, ahead of it`, recorded, async () => {
    const { books: discipline } = await openVenue(venue);
    const ahead = new Keeper({ discipline }), behind = new Keeper({ discipline });
    const messages = (await messagesOf(capture)).filter(isDepth);
    const half = messages.length >> 1;
    for (const message of messages.slice(0, half)) ahead.take(message), behind.take(message);
    for (const message of messages.slice(half, half + 50)) ahead.take(message);
    const { ticks: [book] } = snapshotOf(ahead.read(symbol)!, messages[half]!.ticks[0]!);
    assert.deepEqual(behind.compare(book as Book).compared, []);
    const compared = messages.slice(half, half + 60).flatMap((message) => behind.take(message).compared);
    assert.equal(compared.length, 1);
    assert.equal(compared[0]!.id, (book as Book).sequence);
    assert.ok(compared[0]!.levels > 1_000);
    assert.equal(compared[0]!.outcome, "equal");
  });
}

Deno.test("one recorded event that is lost breaks its book alone, until a snapshot", recorded, async () => {
  const [bitcoin, ether, futures] = CAPTURES;
  const receivedAt = ({ ticks }: Mapped) => ticks[0]!.receivedTime;
  const spot = [...await messagesOf(bitcoin), ...await messagesOf(ether)].filter(isDepth)
    .sort((a, b) => receivedAt(a) - receivedAt(b));
  const below = chance(20_240_808);
  for (
    const [messages, discipline] of [[spot, "splice"], [(await messagesOf(futures)).filter(isDepth), "link"]] as const
  ) {
    for (let n = 0; n < 6; n++) {
      // Some hundred messages around the loss: after the splice, and not the last.
      const from = messages.findLastIndex((message) => !isDelta(message)) + 20;
      const lost = from + below(messages.length - from - 200);
      lose(messages.slice(0, lost + 200), lost, below(20), { discipline });
    }
  }
});
