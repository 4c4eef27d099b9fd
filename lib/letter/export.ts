/**
 * Letters as NDJSON, in a file or on stdout: bytes as text, or as base64 where they are none. A file is gone on with behind
 * its last whole line of each partition.
 *
 * **In** letters, **Out** lines, and the places behind which to go on. **Knows** `letter`, `failure`.
 */
import { Misuse, reasonOf } from "../failure.ts";
import { isCut, type Letter, placeOf } from "../letter.ts";

const CHUNK_BYTES = 1 << 20;
const encoder = new TextEncoder();

/** Origins by partition of a list like `0/812,2/418223`. @throws {Misuse} where it is none */
export function positionsIn(text: string): Map<number, number> {
  return new Map(
    text.split(",").map((part) => {
      const found = /^(\d{1,9})\/(\d{1,15})$/.exec(part);
      if (found === null) {
        throw new Misuse(
          `Cannot use --after "${text}": "${part}" is no place, must be PARTITION/ORIGIN, separated by commas`,
        );
      }
      return [Number(found[1]), Number(found[2])];
    }),
  );
}

/** Where a letter goes: one line. */
export function lineOf(letter: Letter): string {
  const { key, reason, reasons, severity, rules, replays, standing } = letter;
  const bytes = letter.rawBase64 === null ? { text: letter.raw } : { base64: letter.rawBase64 };
  const cut = isCut(letter) ? { cut: JSON.parse(letter.raw!) } : {};
  return JSON.stringify({
    place: placeOf(letter),
    key,
    reason,
    reasons,
    severity,
    rules,
    replays,
    standing,
    ...bytes,
    ...cut,
  });
}

export class Export implements Disposable {
  readonly #file: Deno.FsFile | null;
  readonly #positions: Map<number, number>;
  #lines: string[] = [];
  #length = 0;
  #written = 0;

  private constructor(file: Deno.FsFile | null, positions: Map<number, number>) {
    this.#file = file;
    this.#positions = positions;
  }

  /** Begins behind `after`, and behind what the file has. @throws {Misuse} for a file that cannot be gone on with */
  static to(path: string | null, after: Map<number, number>): Export {
    if (path === null) return new Export(null, after);
    let file: Deno.FsFile;
    try {
      file = Deno.openSync(path, { read: true, write: true, create: true });
    } catch (error) {
      throw new Misuse(`Cannot export to "${path}": ${reasonOf(error)}, must lie where it may be written`);
    }
    try {
      return new Export(file, new Map([...after, ...lastIn(path, file)]));
    } catch (error) {
      file.close();
      throw error;
    }
  }

  /** The first origin of a partition that is not there yet. */
  next(partition: number): number {
    return (this.#positions.get(partition) ?? -1) + 1;
  }

  /** One letter more, written where it is wanted. */
  pass(letter: Letter, isWanted: boolean): void {
    this.#positions.set(letter.partition, letter.origin);
    if (!isWanted) return;
    const line = lineOf(letter) + "\n";
    this.#written++;
    this.#lines.push(line);
    this.#length += line.length;
    if (this.#length >= CHUNK_BYTES) this.#flush();
  }

  /** Writes what is left; `positions` is what `--after` takes. */
  end(): { readonly written: number; readonly positions: string } {
    this.#flush();
    this.#file?.syncSync();
    const positions = [...this.#positions].sort(([a], [b]) => a - b).map((place) => place.join("/")).join();
    return { written: this.#written, positions };
  }

  /** Bytes to stdout, as they are. */
  static write(bytes: Uint8Array): void {
    writeAll(Deno.stdout, bytes);
  }

  [Symbol.dispose](): void {
    this.#file?.close();
  }

  #flush(): void {
    writeAll(this.#file ?? Deno.stdout, encoder.encode(this.#lines.join("")));
    this.#lines = [];
    this.#length = 0;
  }
}

function writeAll(to: { writeSync(bytes: Uint8Array): number }, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length;) at += to.writeSync(bytes.subarray(at));
}

const BEGIN = '{"place":"ticks.raw/';
const PLACE = /^(\d+)\/(\d+)",/;

/** The last origin of each partition in the file, which is cut behind its last whole line and stands there. */
function lastIn(path: string, file: Deno.FsFile): Map<number, number> {
  const last = new Map<number, number>();
  const chunk = new Uint8Array(CHUNK_BYTES);
  const decoder = new TextDecoder();
  let rest = "", end = 0, number = 0;
  const assertLetter = (is: boolean, line: number): void => {
    if (is) return;
    throw new Misuse(`Cannot export to "${path}": line ${line} is no letter, must be a file that rejects export wrote`);
  };
  for (let read = file.readSync(chunk); read !== null; read = file.readSync(chunk)) {
    const lines = (rest + decoder.decode(chunk.subarray(0, read), { stream: true })).split("\n");
    rest = lines.pop()!;
    for (const line of lines) {
      number++;
      end += encoder.encode(line).length + 1;
      const found = line.startsWith(BEGIN) ? PLACE.exec(line.slice(BEGIN.length)) : null;
      assertLetter(found !== null, number);
      last.set(Number(found![1]), Number(found![2]));
    }
    // What an interrupted export left is cut off, and nothing else.
    assertLetter(rest.slice(0, BEGIN.length) === BEGIN.slice(0, rest.length), number + 1);
  }
  file.truncateSync(end);
  file.seekSync(end, Deno.SeekMode.Start);
  return last;
}
