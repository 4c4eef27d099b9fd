/**
 * A venue's words into the log, live or recorded. A capture is read once: its position is kept by content and venue, so
 * that the same file again adds nothing and an interrupted one goes on.
 *
 * **In** a source of frames and a venue's mapper, **Out** `ticks.raw`, with `--frames` the frames as they came, and every
 * frame counted by kind. **Knows** `bookcount`, `collect`, `source`, `live`, `following`, `feed`, `instruments`, `intake`, `frames`,
 * `venue`, `stage`, `crew`.
 */
import { Buffer } from "node:buffer";
import { BookCount } from "../lib/bookcount.ts";
import { Collector } from "../lib/collect.ts";
import { start } from "../lib/crew.ts";
import { Misuse, printable } from "../lib/failure.ts";
import { Resting } from "../lib/feed/resting.ts";
import { hostsOf, liveOf, restOf, symbolsIn } from "../lib/following.ts";
import { FRAMES } from "../lib/frames.ts";
import { bring, restingOf } from "../lib/instruments.ts";
import { Intake } from "../lib/intake.ts";
import { LiveSource } from "../lib/live.ts";
import { openSource, pathsOf, type Source } from "../lib/source.ts";
import { defineStage } from "../lib/stage.ts";
import { keyOf, type Tick } from "../lib/tick.ts";
import { type Message, MESSAGE_BYTES_MAX, partitionOf, TOPICS } from "../lib/transport.ts";
import { CHANNELS, openVenue, VENUES } from "../lib/venue.ts";

/** Ticks between two checkpoints. */
const SAVE_EVERY = 50_000;
/** Instruments of the venue whose lane is made but once: there are few, but their names come from outside. */
const LANES_MAX = 100_000;

/** Where an instrument's ticks go. */
interface Lane {
  readonly key: string;
  readonly partition: number;
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
    rest: { kind: "text", value: "URL", does: "live: another REST, https://host:port (with --base its host)" },
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
    return { hosts: hostsOf({ base, rest }, { live }), secrets: live?.secret === undefined ? [] : [live.secret] };
  },
  async run({ values, send, ranges, log, tape, tally, world, micros, signal }) {
    const { from } = values;
    const venue = await openVenue(values.venue);
    if (values.instruments) {
      if (from !== undefined) throw new Misuse("Cannot ingest instruments: --from is given too, must be one of them");
      const brought = await bring(venue, {
        symbols: values.symbols === undefined ? null : symbolsIn(values.symbols, venue),
        ...{ base: restOf(values) ?? null, again: values.again, log, send, tape, micros, world, signal },
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
    const claim = await log.claim("ingest", 0);
    const resting = new Resting(recorded === null ? await restingOf(venue.name, log) : [], micros());
    const isQuiet = (symbol: string): boolean => resting.has(symbol);
    await using source = recorded ??
      new LiveSource(venue, { ...liveOf(values, venue, { epoch: claim.epoch, micros, world }), isQuiet });
    const { again, frames } = values;
    const intake = await Intake.open({ source, from, again, frames, claim, log, ranges, send, tape, world });
    if (intake === null) {
      world.report(`${from} was read before, nothing to add (--again reads it again)`);
      return { lines: 0, notes: 0, ticks: 0, kinds: {} };
    }
    const depth = values["book-depth"];
    const collector = new Collector(venue, {
      names: values.frames || (source.grows && !source.isLive),
      crossedForMs: values["crossed-for"],
      ...(depth !== undefined && { depth, everyMs: values["book-every"] }),
    });
    // Books and totals are what all frames before have made of them: those are taken in again, and give nothing twice.
    if (intake.position > 0) {
      for await (const { frames } of source.read(0, signal, intake.position)) {
        for (const frame of frames) collector.take(frame);
      }
    }
    const lanes = new Map<string, Lane>();
    const laneOf = (tick: Tick): Lane => {
      const known = lanes.get(tick.symbol);
      if (known !== undefined) return known;
      const key = keyOf(tick);
      const lane = { key, partition: partitionOf(key, intake.partitions) };
      if (lanes.size < LANES_MAX) lanes.set(tick.symbol, lane);
      return lane;
    };
    const kinds: Record<string, number> = {};
    const books = new BookCount(venue.name, collector.counts, tally);
    let [lines, notes, ticks, saved, position] = [0, 0, 0, 0, intake.position];
    for await (const batch of source.read(intake.position, signal)) {
      // Kept before anything is made of them: whoever finds a tick finds its frame.
      await intake.keep(batch.frames);
      const lots: Pick<Message, "key" | "value">[][] = Array.from({ length: intake.partitions }, () => []);
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
      await intake.append(lots);
      tally.add("ticks_produced_total", sum(lots.map((lot) => lot.length)));
      books.count();
      position = batch.position;
      if (ticks - saved < SAVE_EVERY) continue;
      await intake.save(position, false);
      saved = ticks;
    }
    if (lines === 0 && intake.position === 0 && !signal.aborted) await assertSpoken(source, from, venue.name);
    await intake.save(position, !signal.aborted && !source.grows);
    // Who was heard live is who was asked; of a file the user alone says whose words it holds.
    const isStrange = from !== undefined && intake.position === 0 && lines > 0 && Object.keys(kinds).every(isNothing);
    const findings = isStrange ? [strangeOf(from, venue.name)] : [];
    const text = [
      framesText(lines, ticks, kinds),
      ...books.text(),
      ...findings.map(({ finding, place, detail }) => printable(`${finding}: ${place}: ${detail}`)),
    ].join("\n");
    return { lines, notes, ticks, kinds, ...books.compared, ...(isStrange && { findings }), text };
  },
});

/** What became of a source's frames, by kind, the most frequent first. */
function framesText(lines: number, ticks: number, kinds: Readonly<Record<string, number>>): string {
  const shown = (n: number): string => n.toLocaleString("en");
  const byKind = Object.entries(kinds).sort(([, a], [, b]) => b - a).map(([kind, n]) => `${kind} ${shown(n)}`);
  return `frames   ${[`${shown(lines)} lines, ${shown(ticks)} ticks`, ...byKind].join("   ")}`;
}

/** @throws {Misuse} where the source holds words, and none of this venue */
async function assertSpoken(source: Source, from: string | undefined, venue: string): Promise<void> {
  const venues = await source.venues?.();
  if (venues === undefined || venues.includes(venue)) return;
  const wanted = venues.length === 0 ? "what ingest --frames keeps" : `--venue ${venues.join(" or ")}`;
  throw new Misuse(`Cannot read frames "${from}" of "${venue}": none are kept there, must be ${wanted}`);
}

/** What a line is that says nothing to its venue's mapper. */
const isNothing = (kind: string): boolean => kind === "malformed" || kind === "unknown";

const strangeOf = (from: string, venue: string) => ({
  finding: "nothing understood",
  place: from,
  detail: `no line of it is one of ${venue}, must be read with --venue of who said it`,
});

const sum = (numbers: readonly number[]): number => numbers.reduce((total, n) => total + n, 0);

const fits = (value: string): boolean =>
  value.length * 3 <= MESSAGE_BYTES_MAX || Buffer.byteLength(value) <= MESSAGE_BYTES_MAX;

export default stage;
if (import.meta.main) await start(stage, import.meta.url);
