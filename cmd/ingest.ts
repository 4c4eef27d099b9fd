/**
 * A venue's words into the log, live or recorded. A capture is read once: its position is kept by content hash, so that
 * the same file again adds nothing and an interrupted one goes on.
 *
 * **In** a source of frames and a venue's mapper, **Out** `ticks.raw`, with `--frames` the frames as they came, and every
 * frame counted by kind. **Knows** `bookcount`, `collect`, `source`, `live`, `feed`, `instruments`, `frames`, `venue`, `producer`, `tape`,
 * `stage`, `crew`.
 */
import { Buffer } from "node:buffer";
import { start } from "../lib/crew.ts";
import { BookCount } from "../lib/bookcount.ts";
import { Misuse, Refusal } from "../lib/failure.ts";
import { Collector } from "../lib/collect.ts";
import { FRAMES, messagesOf } from "../lib/frames.ts";
import { Resting } from "../lib/feed/resting.ts";
import { bring, restingOf } from "../lib/instruments.ts";
import { type LiveOptions, LiveSource } from "../lib/live.ts";
import { Resumed } from "../lib/producer.ts";
import { openSource, pathsOf } from "../lib/source.ts";
import { defineStage } from "../lib/stage.ts";
import { assertSame, type Tape } from "../lib/tape.ts";
import { isSymbol, keyOf, type Tick } from "../lib/tick.ts";
import { type Message, MESSAGE_BYTES_MAX, partitionOf, TOPICS } from "../lib/transport.ts";
import { type Channel, CHANNELS, openVenue, type Venue, VENUES } from "../lib/venue.ts";
import type { World } from "../lib/world.ts";

/** Characters that are shown of what is no symbol. */
const SHOWN_MAX = 64;
/** Ticks between two checkpoints. */
const SAVE_EVERY = 50_000;

/** Instruments of the venue whose lane is made but once: there are few, but their names come from outside. */
const LANES_MAX = 100_000;

/** Where an instrument's ticks go. */
interface Lane {
  readonly key: string;
  readonly partition: number;
}

/** How far a source has been read, and the producer's numbers then. */
interface Kept {
  readonly position: number;
  readonly done: boolean;
  /** How often it was asked for again. */
  readonly again: number;
  readonly numbers: readonly number[];
  /** Absent where an earlier version kept it, like all that follows. */
  readonly tape?: Tape;
  /** Where the source began then, whose beginning may expire. */
  readonly low?: number;
  readonly offsets?: readonly number[];
  /** The numbers of the frames that it kept; none where it kept none. */
  readonly frames?: { readonly numbers: readonly number[]; readonly offsets: readonly number[] } | null;
}

const stage = defineStage({
  name: "ingest",
  does: "a venue's words as ticks, live or recorded",
  reads: [],
  writes: [TOPICS.raw, FRAMES],
  leaves: ({ frames }) => frames ? [] : [FRAMES],
  needs: [],
  flags: {
    venue: { kind: "choice", of: VENUES, default: VENUES[0]!, does: "whose words they are" },
    symbols: { kind: "text", value: "A,B", does: "live: instruments, as the venue writes them" },
    channels: { kind: "text", value: "C,C", default: CHANNELS.join(), does: "live: of trade, quote and book" },
    base: { kind: "text", value: "URL", does: "live: another websocket, wss://host:port" },
    rest: { kind: "text", value: "URL", does: "live: another REST, https://host:port" },
    from: { kind: "text", value: "FILE", does: "capture, plain or gzip, a frame a line; or log:FOLDER/frames" },
    symbol: { kind: "text", value: "SYMBOL", does: "with --from: whose answers they are that name no instrument" },
    instruments: { kind: "switch", does: "brings tick sizes and lots into force, of --symbols or all, and ends" },
    frames: { kind: "switch", does: "keeps each frame as it came, before it is parsed; ticks name theirs" },
    "book-depth": { kind: "count", min: 1, max: 1_000, does: "builds books of so many levels a side (default none)" },
    "book-every": { kind: "amount", default: 100, unit: "ms", does: "event time between two built books" },
    "crossed-for": {
      kind: "amount",
      default: 1_000,
      unit: "ms",
      does: "event time that a bid may be above the ask untold",
    },
    "compare-every": {
      ...{ kind: "amount", default: 600, max: 1_000_000, unit: "s" },
      does: "live: how often a book is held against a fresh snapshot, 0 for never",
    },
    again: { kind: "switch", does: "reads a capture that was read already; says instruments that are unchanged" },
    to: { kind: "text", value: "URL", does: "another transport for the output; - for stdout" },
  },
  examples: [
    "deno task ingest --venue bybit-linear --symbols BTCUSDT,ETHUSDT --channels trade,quote,book --frames",
    "deno task ingest --venue binance --instruments",
    "deno task ingest --from capture.jsonl.gz --venue binance",
    "deno task ingest --from log:data/log/frames --venue binance --data again",
  ],
  files: ({ from }) => ({ read: from ? pathsOf(from) : [] }),
  async reach({ from, venue, base, rest }) {
    if (from !== undefined) return { hosts: [], secrets: [] };
    const { live } = await openVenue(venue);
    const urls = [base ?? live?.base, rest ?? live?.rest?.base].filter((url) => url !== undefined);
    return { hosts: urls.flatMap(hostOf), secrets: live?.secret === undefined ? [] : [live.secret] };
  },
  async run({ values, send, ranges, log, tape, tally, world, micros, signal }) {
    const { from } = values;
    const venue = await openVenue(values.venue);
    if (values.instruments) {
      if (from !== undefined) throw new Misuse("Cannot ingest instruments: --from is given too, must be one of them");
      const brought = await bring(venue, {
        symbols: values.symbols === undefined ? null : symbolsIn(values.symbols, venue),
        ...{ base: values.rest ?? null, again: values.again, log, send, tape, micros, world, signal },
        places: await ranges(TOPICS.raw),
        shelves: values.frames ? await ranges(FRAMES) : [],
        heard: (kind) => tally.add("frames_total", 1, venue.name, kind),
      });
      return { ...brought };
    }
    if (from === undefined && values.symbols === undefined) {
      throw new Misuse("Cannot ingest: neither --from nor --symbols is given, must name a capture or instruments");
    }
    const recorded = from === undefined ? null : await openSource(from, venue, values.symbol, world);
    const { epoch, checkpoint } = await log.claim("ingest", 0);
    const resting = new Resting(recorded === null ? await restingOf(venue.name, log) : [], micros());
    const isQuiet = (symbol: string): boolean => resting.has(symbol);
    await using source = recorded ??
      new LiveSource(venue, { ...liveOf(values, venue, { epoch, micros, world }), isQuiet });
    const sources: Record<string, Kept> = checkpoint === null ? {} : JSON.parse(checkpoint.state);
    const places = await ranges(TOPICS.raw);
    const shelves = values.frames ? await ranges(FRAMES) : [];
    const before = sources[source.id];
    assertSame("resume ingest", before?.tape ?? {}, tape);
    const low = recorded?.low ?? 0;
    const fresh = { position: 0, done: false, numbers: places.map(() => 0), frames: null, low };
    let kept: Kept = before ?? { ...fresh, again: 0 };
    if (kept.done && !values.again) {
      world.report(`${from} was read before, nothing to add (--again reads it again)`);
      return { lines: 0, notes: 0, ticks: 0, kinds: {} };
    }
    if (kept.done) kept = { ...fresh, again: kept.again + 1 };
    if (kept === before && Boolean(kept.frames) !== values.frames) {
      throw new Misuse(
        `Cannot resume ingest of "${from}": it was begun ${
          kept.frames ? "with" : "without"
        } --frames, must be the same`,
      );
    }
    const isCut = kept === before && low > (kept.low ?? 0);
    if (isCut) {
      const { position } = kept;
      if (position < low) world.report(`frames ${position} to ${low - 1} are gone, and were never read`);
      kept = { ...kept, position: Math.max(position, low), low };
    }
    const id = `ingest-${source.id.slice(0, 16)}-${kept.again}`;
    const resumed = await Resumed.open({
      ...{ id, epoch, numbers: kept.numbers, offsets: kept.offsets ?? null, topic: TOPICS.raw, ranges: places, log },
      send: (partition, messages) => send(TOPICS.raw, partition, messages),
    });
    const shelved = await Resumed.open({
      ...{ id, epoch, numbers: kept.frames?.numbers ?? null, offsets: kept.frames?.offsets ?? null, log },
      ...{ topic: FRAMES, ranges: shelves },
      send: (partition, messages) => send(FRAMES, partition, messages),
    });
    // Without what expired the same messages are not made again, and those that are there cannot be passed over.
    if (isCut && (resumed.repeats || shelved.repeats)) {
      throw new Refusal(
        `Cannot resume ingest of "${from}": an interrupted run appended ticks of frames beyond its checkpoint, and what they were made of expired since, must be read into another tape: --data`,
      );
    }
    let saves = checkpoint?.nextOffset ?? 0;
    const save = async (position: number, done: boolean): Promise<void> => {
      await Promise.all(places.map((_, partition) => log.sync(TOPICS.raw, partition)));
      await Promise.all(shelves.map((_, partition) => log.sync(FRAMES, partition)));
      // What is live has no position to go on from.
      if (source.isLive) return;
      const { numbers, offsets } = resumed;
      const frames = values.frames ? { numbers: shelved.numbers, offsets: shelved.offsets } : null;
      sources[source.id] = { position, done, again: kept.again, numbers, tape, low, offsets, frames };
      await log.save("ingest", 0, { epoch, nextOffset: ++saves, state: JSON.stringify(sources) });
    };
    // Others may append so much before this goes on that what an interrupted run had appended is not found behind it.
    if (kept !== before && !resumed.repeats) await save(kept.position, false);
    const depth = values["book-depth"];
    const collector = new Collector(venue, {
      names: values.frames || (source.grows && !source.isLive),
      crossedForMs: values["crossed-for"],
      ...(depth !== undefined && { depth, everyMs: values["book-every"] }),
    });
    // Books and totals are what all frames before have made of them: those are taken in again, and give nothing twice.
    if (kept.position > 0) {
      for await (const { frames } of source.read(0, signal, kept.position)) {
        for (const frame of frames) collector.take(frame);
      }
    }
    const lanes = new Map<string, Lane>();
    const laneOf = (tick: Tick): Lane => {
      const known = lanes.get(tick.symbol);
      if (known !== undefined) return known;
      const key = keyOf(tick);
      const lane = { key, partition: partitionOf(key, places.length) };
      if (lanes.size < LANES_MAX) lanes.set(tick.symbol, lane);
      return lane;
    };
    const kinds: Record<string, number> = {};
    const books = new BookCount(venue.name, collector.counts, tally);
    let [lines, notes, ticks, saved, position] = [0, 0, 0, 0, kept.position];
    for await (const batch of source.read(kept.position, signal)) {
      // Kept before anything is made of them: whoever finds a tick finds its frame.
      if (values.frames) {
        const shelf = partitionOf(venue.name, shelves.length);
        await shelved.append(shelf, batch.frames.flatMap(messagesOf));
      }
      const lots: Pick<Message, "key" | "value">[][] = places.map(() => []);
      const counts = new Map<string, number>();
      notes += batch.notes;
      for (const frame of batch.frames) {
        const collected = collector.take(frame);
        source.want?.(collected);
        books.note(collected.compared);
        if (source.isLive) resting.hear(collected.ticks);
        let isWhole = true;
        for (const tick of collected.ticks) {
          const value = JSON.stringify(tick);
          // What no message can hold is no tick of this venue; it must not stop those beside it, nor those behind.
          if (!fits(value)) {
            isWhole = false;
            continue;
          }
          const { key, partition } = laneOf(tick);
          lots[partition]!.push({ key, value });
          ticks++;
        }
        if (collected.kind !== null) {
          const kind = isWhole ? collected.kind : "malformed";
          counts.set(kind, (counts.get(kind) ?? 0) + 1);
          lines++;
        }
      }
      for (const [kind, count] of counts) {
        kinds[kind] = (kinds[kind] ?? 0) + count;
        tally.add("frames_total", count, venue.name, kind);
      }
      await Promise.all(lots.map((lot, partition) => lot.length > 0 ? resumed.append(partition, lot) : undefined));
      tally.add("ticks_produced_total", sum(lots.map((lot) => lot.length)));
      books.count();
      position = batch.position;
      if (ticks - saved < SAVE_EVERY) continue;
      await save(position, false);
      saved = ticks;
    }
    await save(position, !signal.aborted && !source.grows);
    const text = [framesText(lines, ticks, kinds), ...books.text()].join("\n");
    return { lines, notes, ticks, kinds, ...books.compared, text };
  },
});

/** How the flags want the venue followed. @throws {Misuse} for a channel that there is not */
function liveOf(
  values: {
    readonly symbols?: string | undefined;
    readonly channels: string;
    readonly base?: string | undefined;
    readonly rest?: string | undefined;
    readonly "compare-every": number;
  },
  venue: Venue,
  { epoch, micros, world }: { readonly epoch: number; readonly micros: () => number; readonly world: World },
): LiveOptions {
  const { name, live } = venue;
  const channels = values.channels.split(",");
  const strange = channels.find((channel) => !(CHANNELS as readonly string[]).includes(channel));
  if (strange !== undefined) {
    throw new Misuse(`Cannot ingest channel "${strange}": it is unknown, must be one of ${CHANNELS.join(", ")}`);
  }
  const { trying } = world;
  if (trying === undefined) throw new Error("Cannot ingest live: nobody waits here, must be run by a crew");
  const token = live?.secret === undefined ? undefined : world.env(live.secret);
  return {
    // Of those that are asked for by default, the ones that the venue has.
    subscription: {
      symbols: symbolsIn(values.symbols!, venue),
      channels: values.channels === CHANNELS.join() ? live?.channels ?? CHANNELS : channels as readonly Channel[],
    },
    run: `${name}-${epoch}`,
    ...(values.base !== undefined && { base: values.base }),
    ...(values.rest !== undefined && { rest: values.rest }),
    ...(token !== undefined && { token }),
    compareEveryMs: values["compare-every"] * 1_000,
    micros,
    world: { ...world, trying },
  };
}

/** @throws {Misuse} for what can be no symbol */
function symbolsIn(list: string, { live }: Pick<Venue, "live">): string[] {
  const symbols = list.split(",").map((symbol) => symbol.trim()).filter((symbol) => symbol !== "")
    .map((symbol) => live?.spelled?.(symbol) ?? symbol);
  const strange = symbols.find((symbol): boolean => !isSymbol(symbol));
  if (strange === undefined) return symbols;
  const shown = strange.length > SHOWN_MAX ? `${strange.slice(0, SHOWN_MAX)}…` : strange;
  throw new Misuse(
    `Cannot ingest symbol "${shown}": no tick can have it, must be as the venue writes it, of 64 characters at most`,
  );
}

/** The host of a URL with its port; nothing for what is no URL, which its door refuses. */
function hostOf(url: string): string[] {
  const { protocol, hostname, port } = URL.parse(url) ?? {};
  if (hostname === undefined || hostname === "") return [];
  return [`${hostname}:${port || (protocol === "ws:" || protocol === "http:" ? 80 : 443)}`];
}

/** What became of a source's frames, by kind, the most frequent first. */
function framesText(lines: number, ticks: number, kinds: Readonly<Record<string, number>>): string {
  const shown = (n: number): string => n.toLocaleString("en");
  const byKind = Object.entries(kinds).sort(([, a], [, b]) => b - a).map(([kind, n]) => `${kind} ${shown(n)}`);
  return `frames   ${[`${shown(lines)} lines, ${shown(ticks)} ticks`, ...byKind].join("   ")}`;
}

const sum = (numbers: readonly number[]): number => numbers.reduce((total, n) => total + n, 0);

const fits = (value: string): boolean =>
  value.length * 3 <= MESSAGE_BYTES_MAX || Buffer.byteLength(value) <= MESSAGE_BYTES_MAX;

export default stage;
if (import.meta.main) await start(stage, import.meta.url);
