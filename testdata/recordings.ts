/** Captures to test with: those that were written for the tests, and recordings of real venues where the user has them. */
import { fileURLToPath } from "node:url";
import { readPair } from "../lib/pairing.ts";
import { type Mapped, type Venue, VENUES } from "../lib/venue.ts";

/** The folder of recordings, a folder a company; undefined where there is none. */
export const RECORDINGS = Deno.env.get("TAPEDECK_RECORDINGS");
/** The folder of captures that were written for the tests, a folder a venue. */
export const WRITTEN = fileURLToPath(new URL("venue", import.meta.url));

export interface Capture {
  readonly venue: string;
  readonly path: string;
  /** Its folder and file. */
  readonly name: string;
}

/** Captures of a folder, by the venue whose words they are. */
function capturesIn(root: string, venueOf: (name: string) => string | undefined): Capture[] {
  const found = [];
  for (const { name: folder } of Deno.readDirSync(root)) {
    if (folder.includes(".")) continue;
    for (const { name } of Deno.readDirSync(`${root}/${folder}`)) {
      const venue = venueOf(`${folder}/${name}`);
      if (venue !== undefined) found.push({ venue, path: `${root}/${folder}/${name}`, name: `${folder}/${name}` });
    }
  }
  return found.sort((a, b) => a.path < b.path ? -1 : 1);
}

/** Whose words a recording holds; nothing for what is no capture. */
function recordedBy(path: string): string | undefined {
  if (/README|orderbook_?\d*\.csv/.test(path) || /level\d+.*_orderbook/.test(path)) return undefined;
  if (path.startsWith("binance/")) return path.includes("usdm") ? "binance-usdm" : "binance";
  if (path.startsWith("bybit/")) return /linear|ws\.1\.0/.test(path) ? "bybit-linear" : "bybit";
  if (path.startsWith("coinbase/")) return path.includes("advanced") ? "coinbase-advanced" : "coinbase";
  return path.split("/", 1)[0];
}

/** The captures that were written for the tests. */
export const written = (): Capture[] =>
  capturesIn(
    WRITTEN,
    (name) => name.endsWith(".jsonl") && !name.endsWith(".ticks.jsonl") ? name.split("/", 1)[0] : undefined,
  );

/** The recordings, of venues that there are. */
export const RECORDED: readonly Capture[] = RECORDINGS === undefined
  ? []
  : capturesIn(RECORDINGS, recordedBy).filter(({ venue }) => VENUES.includes(venue));

/** Options of tests that need recordings; says why where they are not tried. */
export function recorded(whose: string) {
  if (RECORDINGS === undefined) console.log(`${whose}: recordings are not tried, TAPEDECK_RECORDINGS names no folder`);
  return { sanitizeOps: true, sanitizeResources: true, ignore: RECORDINGS === undefined } as const;
}

/** A frame of a capture, and what the venue makes of it. */
export interface MappedLine extends Mapped {
  /** Number of its line, from 1. */
  readonly line: number;
  readonly frame: string;
  readonly receivedTime: number | null;
}

/** The frames of a capture, one after the other, each mapped on its own. */
export async function* mappedLines(venue: Venue, path: string): AsyncGenerator<MappedLine> {
  for await (const { lines } of readPair(path, 0, new AbortController().signal)) {
    for (const { number, receivedTime, frame, request } of lines) {
      const symbol = request === undefined ? undefined : venue.symbolOf?.(request);
      yield { line: number + 1, frame, receivedTime, ...venue.map(frame, receivedTime, symbol) };
    }
  }
}

/** How often each word comes. */
export function counts(words: readonly string[]): Record<string, number> {
  const made: Record<string, number> = {};
  for (const word of words) made[word] = (made[word] ?? 0) + 1;
  return made;
}

/** A whole capture: its frames, how many there are of each kind, their ticks, and how many there are of each type. */
export async function readWhole(venue: Venue, path: string) {
  const lines = await Array.fromAsync(mappedLines(venue, path));
  const ticks = lines.flatMap((line) => line.ticks);
  return { lines, kinds: counts(lines.map(({ kind }) => kind)), ticks, types: counts(ticks.map(({ type }) => type)) };
}
