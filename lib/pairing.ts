/**
 * Captures that are two files: a day of LOBSTER is one of messages, `TICKER_YYYY-MM-DD_…message….csv` or `.csv.gz`, and
 * beside it its companion, `…orderbook…`, whose row i is the book after message i. It is known by its name and read row by
 * row; every other capture is one file, and read as it is.
 *
 * **In** the path of a capture, **Out** frames that need no second file: `TICKER YYYY-MM-DD message | orderbook`.
 * **Knows** `capture`, `failure`.
 */
import { createHash } from "node:crypto";
import { basename } from "node:path";
import { type CaptureBatch, type CaptureLine, contentHash, readCapture } from "./capture.ts";
import { Misuse, reasonOf } from "./failure.ts";

const DAY = /^([^_\s]+)_(\d{4}-\d\d-\d\d)_(.*)(message|orderbook)(.*\.csv(?:\.gz)?)$/;

/** A day in two files, by what the name of either says. */
interface Day {
  readonly symbol: string;
  readonly date: string;
  readonly messages: string;
  readonly companion: string;
}

function dayOf(path: string): Day | null {
  const name = basename(path);
  const parts = DAY.exec(name);
  if (parts === null) return null;
  const [, symbol, date, before, , after] = parts as unknown as readonly string[];
  const named = (which: string) =>
    `${path.slice(0, path.length - name.length)}${symbol}_${date}_${before}${which}${after}`;
  return { symbol: symbol!, date: date!, messages: named("message"), companion: named("orderbook") };
}

/** The files that are read where a capture is. */
export function filesOf(path: string): readonly string[] {
  const day = dayOf(path);
  return day === null ? [path] : [day.messages, day.companion];
}

/**
 * What a capture is known by: its content's hash, or that of both hashes. A position holds for two files together: with
 * another companion the same messages are other frames.
 * @throws {Misuse} when one of the files is not there, or the companion was named instead of the messages
 */
export async function pairHash(path: string): Promise<string> {
  const day = await wholeDayOf(path);
  if (day === null) return await contentHash(path);
  const hashes = [await contentHash(day.messages), await contentHash(day.companion)];
  return createHash("sha256").update(hashes.join(" ")).digest("hex");
}

/**
 * Like `readCapture`, the rows of a day's two files in one frame. What stands in one batch with a row that has no partner
 * is not handed over: two files that do not fit are no day.
 * @throws {Misuse} when a file is not there, the companion was named, or a row is in one file alone
 * @throws {Outage} like `readCapture`
 */
export async function* readPair(path: string, from: number, signal: AbortSignal): AsyncGenerator<CaptureBatch> {
  const day = await wholeDayOf(path);
  if (day === null) return yield* readCapture(path, from, signal);
  await using companion = new Rows(day.companion, from);
  for await (const batch of readCapture(path, from, signal)) {
    const lines: CaptureLine[] = [];
    for (const line of batch.lines) {
      const row = await companion.next();
      if (row?.number !== line.number) throw unequal(day, line, row);
      lines.push({ ...line, frame: `${day.symbol} ${day.date} ${bare(line.frame)} | ${bare(row.frame)}` });
    }
    yield { ...batch, lines };
  }
  if (signal.aborted) return;
  const row = await companion.next();
  if (row !== undefined) throw unequal(day, undefined, row);
}

/** A file's lines one by one. No abort ends them: an end must mean that the file has no more. */
class Rows {
  readonly #batches: AsyncGenerator<CaptureBatch>;
  #lines: readonly CaptureLine[] = [];
  #at = 0;

  constructor(path: string, from: number) {
    this.#batches = readCapture(path, from, new AbortController().signal);
  }

  async next(): Promise<CaptureLine | undefined> {
    while (this.#at === this.#lines.length) {
      const { done, value } = await this.#batches.next();
      if (done) return undefined;
      this.#lines = value.lines;
      this.#at = 0;
    }
    return this.#lines[this.#at++];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#batches.return(undefined);
  }
}

/** The day whose messages this is, once both files are known to be there. */
async function wholeDayOf(path: string): Promise<Day | null> {
  const day = dayOf(path);
  if (day === null) return null;
  if (path !== day.messages) {
    throw new Misuse(`Cannot read capture "${path}": it is a companion, must be named by its "${day.messages}"`);
  }
  try {
    await Deno.stat(day.companion);
  } catch (error) {
    const state = error instanceof Deno.errors.NotFound ? "is not there" : `is not readable (${reasonOf(error)})`;
    throw new Misuse(`Cannot read capture "${path}": its companion ${state}, must be "${day.companion}"`, {
      cause: error,
    });
  }
  return day;
}

/** Of two rows that are no pair, the earlier one is in its file alone. */
function unequal(day: Day, message: CaptureLine | undefined, row: CaptureLine | undefined): Misuse {
  const isFirst = message !== undefined && (row === undefined || message.number < row.number);
  const alone = isFirst ? message : row!;
  return new Misuse(
    `Cannot pair capture "${day.messages}" with "${day.companion}": row ${alone.number + 1} is in the ${
      isFirst ? "first" : "second"
    } alone, must be in both`,
  );
}

/** A row without the end of line of other systems. */
const bare = (row: string): string => row.endsWith("\r") ? row.slice(0, -1) : row;
