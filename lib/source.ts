/**
 * Where recorded frames come from: a capture, or the tape of frames of a log, `log:FOLDER/frames`. Read again from a
 * position, either gives the same frames in the same order.
 *
 * **In** what the user named, **Out** frames. **Knows** `pairing`, `frames`, `manifest`, `transport`, `venue`,
 * `failure`, `world`.
 */
import { createHash } from "node:crypto";
import { Misuse } from "./failure.ts";
import { type Frame, FRAMES, readFrames } from "./frames.ts";
import { goneText } from "./manifest/expiry.ts";
import { survey } from "./manifest/survey.ts";
import { filesOf, pairHash, readPair } from "./pairing.ts";
import { openTransport, partitionOf } from "./transport.ts";
import type { Venue } from "./venue.ts";
import type { World } from "./world.ts";

/** Frames in order, and the position to resume at once they are dealt with. */
export interface SourceBatch {
  readonly frames: readonly Frame[];
  /** Lines among them that were the recorder's own notes. */
  readonly notes: number;
  readonly position: number;
}

/** What is to be asked of the venue: snapshots of books, and trades from an id on. */
export interface Wanted {
  readonly wants: readonly string[];
  readonly missing: readonly { readonly symbol: string; readonly fromId: number }[];
}

export interface Source {
  /** Hex, the same for the same content of the same venue, wherever it lies. */
  readonly id: string;
  /** What an earlier version knew it by: its content alone, whosever words they were taken for. */
  readonly formerId?: string;
  /** Whether more may come later. */
  readonly grows: boolean;
  /** Whether it cannot be read again. */
  readonly isLive: boolean;
  /** The position that it begins at by now, since what came before expired; absent where nothing does. */
  readonly low?: number;
  /** Whose frames it holds by now, where it may be others' alone. */
  venues?(): Promise<readonly string[]>;
  /** Has snapshots and missed trades asked for, where somebody can be asked. */
  want?(wanted: Wanted): void;
  /** From a position on, up to another one if that is given. */
  read(from: number, signal: AbortSignal, to?: number): AsyncGenerator<SourceBatch>;
  [Symbol.asyncDispose](): Promise<void>;
}

const TAPE = /^log:(.+)\/([^/]+)$/s;

/** The files, or the folder, that a source lies in. */
export function pathsOf(from: string): readonly string[] {
  const folder = TAPE.exec(from)?.[1];
  return folder === undefined ? filesOf(from) : [folder];
}

/** Opens the source that `from` names; `symbol` is the instrument of answers that name none. @throws {Misuse} when it is none */
export async function openSource(
  from: string,
  venue: Venue,
  symbol: string | undefined,
  world: World,
): Promise<Source> {
  return from.startsWith("log:") ? await openTape(from, venue, world) : await openCapture(from, venue, symbol);
}

async function openCapture(path: string, venue: Venue, symbol: string | undefined): Promise<Source> {
  const content = await pairHash(path);
  const connection = content.slice(0, 16);
  return {
    id: createHash("sha256").update(`${content}/${venue.name}`).digest("hex"),
    formerId: content,
    grows: false,
    isLive: false,
    async *read(from, signal, to = Infinity) {
      for await (const { lines, notes, position } of readPair(path, from, signal)) {
        const frames = lines.filter(({ number }) => number < to).map(
          ({ number, receivedTime, frame, request }): Frame => {
            const about = request === undefined ? symbol : venue.symbolOf?.(request);
            return {
              ...{ venue: venue.name, connection, number, receivedTime },
              ...(request !== undefined && { request }),
              ...(about !== undefined && { symbol: about }),
              frame,
            };
          },
        );
        yield { frames, notes, position };
        if (position >= to) return;
      }
    },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

async function openTape(url: string, venue: Venue, world: World): Promise<Source> {
  const [, folder, topic] = TAPE.exec(url) ?? [];
  if (topic !== FRAMES) {
    throw new Misuse(`Cannot read frames "${url}": names topic "${topic ?? ""}", must be log:FOLDER/${FRAMES}`);
  }
  const log = await openTransport(`log:${folder}`, { ...world, isLooking: true }).catch((error) => {
    const { cause } = error;
    if (!(cause instanceof Deno.errors.NotFound || cause instanceof Deno.errors.NotADirectory)) throw error;
    throw new Misuse(`Cannot read frames "${url}": there is no log, must be log:FOLDER/${FRAMES} of one`, { cause });
  });
  const { identity, partitions } = await log.topic(FRAMES);
  const partition = partitionOf(venue.name, partitions);
  const lowest = async (): Promise<number> => (await log.ranges(FRAMES))[partition]!.low;
  return {
    low: await lowest(),
    id: createHash("sha256").update(`${identity}/${venue.name}`).digest("hex"),
    grows: true,
    isLive: false,
    async venues() {
      const surveys = await Promise.all(
        log.folders!(FRAMES).map((folder, partition) => survey(folder, `${FRAMES}/${partition}`, false)),
      );
      const there = surveys.flatMap(({ rows }) => rows).filter(({ state }) => state !== "expired");
      return [...new Set(there.flatMap(({ held }) => Object.keys(held?.frames ?? {})))].sort();
    },
    async *read(from, signal, to) {
      const low = await lowest();
      if (from < low) {
        world.report(await goneText(log.folders!(FRAMES)[partition]!, `${FRAMES}/${partition}`, from, low));
      }
      for await (const { frames, next } of readFrames(log, venue.name, { from, to }, signal)) {
        yield { frames, notes: 0, position: next };
      }
    },
    [Symbol.asyncDispose]: () => log.close(),
  };
}
