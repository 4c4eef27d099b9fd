/**
 * Reads a partition of the embedded log in order across its segments, each record checked against its checksum.
 *
 * **In** a partition's folder and an offset, **Out** records. **Knows** `partition`, `segment`, `transport`, `failure`.
 */
import { Refusal } from "./failure.ts";
import { notedBase, openIfThere, segmentsOf } from "./partition.ts";
import { decodeLines, LINE_BYTES_MAX, segmentName } from "./segment.ts";
import type { LogRecord } from "./transport.ts";

const CHUNK_BYTES = 2 << 20;

/** Reads a partition's records in order across its segments; what is not there yet is simply not given. */
export class Cursor {
  next: number;
  readonly #folder: string;
  readonly #place: string;
  #file: Deno.FsFile | null = null;
  /** The lock's file, for its note of the last segment. */
  #note: Deno.FsFile | null = null;
  #base = -1;
  #buffer = new Uint8Array(CHUNK_BYTES);
  #start = 0;
  #end = 0;

  constructor(folder: string, place: string, next: number) {
    this.#folder = folder;
    this.#place = place;
    this.next = next;
  }

  /** Up to `max` records; none at the end of the partition. @throws {Refusal} when what is there is not what was written */
  take(max: number): LogRecord[] {
    if (max <= 0 || (this.#file === null && !this.#seek())) return [];
    for (;;) {
      const { records, length } = decodeLines(
        this.#buffer.subarray(this.#start, this.#end),
        this.#place,
        this.next,
        max,
      );
      this.#start += length;
      this.next += records.length;
      if (records.length > 0) return records;
      if (!this.#fill() && !this.#advance()) return [];
    }
  }

  /** Opens the segment that holds `next` and skips the lines before it. */
  #seek(): boolean {
    const bases = segmentsOf(this.#folder);
    const base = bases.findLast((b) => b <= this.next);
    if (base === undefined && bases.length > 0) {
      throw this.#gone(bases[0]!);
    }
    if (base === undefined) return false;
    this.#open(base);
    for (let offset = base; offset < this.next;) {
      const newline = this.#buffer.subarray(0, this.#end).indexOf(10, this.#start);
      if (newline >= 0) {
        this.#start = newline + 1;
        offset++;
      } else if (!this.#fill()) {
        this.close();
        return false;
      }
    }
    return true;
  }

  #gone(low: number): Refusal {
    return new Refusal(
      `Cannot read record "${this.#place}/${this.next}": the log begins at ${low}, must still hold it`,
    );
  }

  #open(base: number): void {
    this.#file?.close();
    this.#file = openIfThere(`${this.#folder}/${segmentName(base)}`);
    // Listed a moment ago, and expired since.
    if (this.#file === null) throw this.#gone(segmentsOf(this.#folder)[0] ?? base);
    this.#base = base;
    this.#start = this.#end = 0;
  }

  /**
   * Reads on; false when the segment has no more bytes now. An unfinished line is read again from its beginning: an append
   * that failed may have left it, and the next one cuts it and writes another in its place.
   */
  #fill(): boolean {
    const unfinished = this.#end - this.#start;
    if (unfinished > 0) this.#file!.seekSync(-unfinished, Deno.SeekMode.Current);
    this.#start = this.#end = 0;
    if (unfinished === this.#buffer.length) {
      if (unfinished >= LINE_BYTES_MAX) {
        throw new Refusal(
          `Cannot read record "${this.#place}/${this.next}": its line is longer than ${LINE_BYTES_MAX} bytes, must be shorter`,
        );
      }
      this.#buffer = new Uint8Array(this.#buffer.length * 2);
    }
    this.#end = this.#file!.readSync(this.#buffer) ?? 0;
    return this.#end > unfinished || this.#buffer.subarray(0, this.#end).includes(10);
  }

  /** Goes on to the next segment, once it is there. @throws {Refusal} when records between the two are missing */
  #advance(): boolean {
    this.#note ??= openIfThere(`${this.#folder}/lock`);
    if (this.#note !== null && notedBase(this.#note) === this.#base) return false;
    const bases = segmentsOf(this.#folder);
    const following = bases.find((b) => b > this.#base);
    if (following === undefined) return false;
    // A roll happens after the last append to a segment, so what came in between is read first.
    if (this.#fill()) return true;
    if (following !== this.next) {
      // Those behind the one in hand expired with it.
      if (bases[0] === following) throw this.#gone(following);
      throw new Refusal(
        `Cannot read records "${this.#place}/${this.next}" to ${
          following - 1
        }: their segment ends before them, must hold them`,
      );
    }
    this.#open(following);
    return true;
  }

  close(): void {
    this.#file?.close();
    this.#file = null;
    this.#note?.close();
    this.#note = null;
  }
}
