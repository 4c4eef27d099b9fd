/**
 * A venue's recorded frames into the log. A capture is read once: its position is kept by content hash, so that the same
 * file again adds nothing and an interrupted one goes on.
 *
 * **In** a source of frames and a venue's mapper, **Out** `ticks.raw`, with `--frames` the frames as they came, and every
 * frame counted by kind. **Knows** `source`, `frames`, `venue`, `producer`, `tape`, `stage`, `crew`.
 */
import { Buffer } from "node:buffer";
import { start } from "../lib/crew.ts";
import { Misuse } from "../lib/failure.ts";
import { FRAMES, messagesOf, nameOf } from "../lib/frames.ts";
import { Resumed } from "../lib/producer.ts";
import { openSource, pathsOf } from "../lib/source.ts";
import { defineStage } from "../lib/stage.ts";
import { assertSame, type Tape } from "../lib/tape.ts";
import { keyOf } from "../lib/tick.ts";
import { type Message, MESSAGE_BYTES_MAX, partitionOf, TOPICS } from "../lib/transport.ts";
import { openVenue, VENUES } from "../lib/venue.ts";

/** Ticks between two checkpoints. */
const SAVE_EVERY = 50_000;

/** How far a source has been read, and the producer's numbers then. */
interface Kept {
  readonly position: number;
  readonly done: boolean;
  /** How often it was asked for again. */
  readonly again: number;
  readonly numbers: readonly number[];
  /** Absent where an earlier version kept it, like all that follows. */
  readonly tape?: Tape;
  readonly offsets?: readonly number[];
  /** The numbers of the frames that it kept; none where it kept none. */
  readonly frames?: { readonly numbers: readonly number[]; readonly offsets: readonly number[] } | null;
}

const stage = defineStage({
  name: "ingest",
  does: "a venue's recorded frames as ticks",
  reads: [],
  writes: [TOPICS.raw, FRAMES],
  leaves: ({ frames }) => frames ? [] : [FRAMES],
  needs: [],
  flags: {
    from: { kind: "text", value: "FILE", does: "capture, plain or gzip, a frame a line; or log:FOLDER/frames" },
    venue: { kind: "choice", of: VENUES, default: VENUES[0]!, does: "whose frames they are" },
    symbol: { kind: "text", value: "SYMBOL", does: "whose answers they are that name no instrument" },
    frames: { kind: "switch", does: "keeps each frame as it came, before it is parsed; ticks name theirs" },
    again: { kind: "switch", does: "reads a capture that was read already" },
    to: { kind: "text", value: "URL", does: "another transport for the output; - for stdout" },
  },
  examples: [
    "deno task ingest --from capture.jsonl.gz --venue binance --frames",
    "deno task ingest --from log:data/log/frames --venue binance --data again",
  ],
  files: ({ from }) => ({ read: from ? pathsOf(from) : [] }),
  async run({ values, send, ranges, log, tape, tally, world, signal }) {
    const { from } = values;
    if (from === undefined) throw new Misuse("Cannot ingest: --from is not given, must name a capture");
    const venue = await openVenue(values.venue);
    await using source = await openSource(from, venue, values.symbol, world);
    const { epoch, checkpoint } = await log.claim("ingest", 0);
    const sources: Record<string, Kept> = checkpoint === null ? {} : JSON.parse(checkpoint.state);
    const places = await ranges(TOPICS.raw);
    const shelves = values.frames ? await ranges(FRAMES) : [];
    const before = sources[source.id];
    assertSame("resume ingest", before?.tape ?? {}, tape);
    const fresh = { position: 0, done: false, numbers: places.map(() => 0), frames: null };
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
    let saves = checkpoint?.nextOffset ?? 0;
    const save = async (position: number, done: boolean): Promise<void> => {
      await Promise.all(places.map((_, partition) => log.sync(TOPICS.raw, partition)));
      await Promise.all(shelves.map((_, partition) => log.sync(FRAMES, partition)));
      const { numbers, offsets } = resumed;
      const frames = values.frames ? { numbers: shelved.numbers, offsets: shelved.offsets } : null;
      sources[source.id] = { position, done, again: kept.again, numbers, tape, offsets, frames };
      await log.save("ingest", 0, { epoch, nextOffset: ++saves, state: JSON.stringify(sources) });
    };
    // Others may append so much before this goes on that what an interrupted run had appended is not found behind it.
    if (kept !== before && !resumed.repeats) await save(0, false);
    const kinds: Record<string, number> = {};
    let [lines, notes, ticks, saved, position] = [0, 0, 0, 0, kept.position];
    for await (const batch of source.read(kept.position, signal)) {
      // Kept before anything is made of them: whoever finds a tick finds its frame.
      if (values.frames) {
        const shelf = partitionOf(venue.name, shelves.length);
        await shelved.append(shelf, batch.frames.flatMap(messagesOf));
      }
      const lots: Pick<Message, "key" | "value">[][] = places.map(() => []);
      notes += batch.notes;
      for (const frame of batch.frames) {
        const mapped = venue.map(frame.frame, frame.receivedTime, frame.symbol);
        const made = values.frames || source.grows ? { frame: nameOf(frame) } : {};
        const messages = mapped.ticks.map((tick) => ({
          key: keyOf(tick),
          value: JSON.stringify({ ...tick, ...made }),
        }));
        // What no message can hold is no tick of this venue; it must not stop those behind it.
        const isWhole = messages.every(({ value }) => fits(value));
        const kind = isWhole ? mapped.kind : "malformed";
        kinds[kind] = (kinds[kind] ?? 0) + 1;
        tally.add("frames_total", 1, venue.name, kind);
        lines++;
        if (!isWhole) continue;
        for (const message of messages) lots[partitionOf(message.key, places.length)]!.push(message);
        ticks += messages.length;
      }
      await Promise.all(lots.map((lot, partition) => lot.length > 0 ? resumed.append(partition, lot) : undefined));
      tally.add("ticks_produced_total", sum(lots.map((lot) => lot.length)));
      position = batch.position;
      if (ticks - saved < SAVE_EVERY) continue;
      await save(position, false);
      saved = ticks;
    }
    await save(position, !signal.aborted && !source.grows);
    return { lines, notes, ticks, kinds, text: framesText(lines, ticks, kinds) };
  },
});

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
