/** Captures to test with: those that were written for the tests, and recordings of real venues where the user has them. */
import { fileURLToPath } from "node:url";
import { VENUES } from "../lib/venue.ts";

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
