/**
 * The embedded log's file format: one JSON line a record, so that `jq`, `grep` and `tail -f` can read a segment.
 *
 *     {"crc":"9f86d081","offset":42,"key":"sim:BTCUSDT","value":{…}}
 *
 * `crc` is the CRC-32 of every byte of the line after its own field; `value` is the message as it came, or `base64`
 * stands in its place where the message is not one valid JSON line; `producer` and `control` stand before it when given.
 * **In** messages or bytes, **Out** bytes or records.
 * **Knows** `codec`, `transport`, `failure`.
 */
import { Buffer } from "node:buffer";
import { crc32 } from "node:zlib";
import { bytesOf } from "./codec.ts";
import { Refusal } from "./failure.ts";
import type { LogRecord, Message } from "./transport.ts";

/** A line holds one message, escaped or in base64, and its envelope. */
export const LINE_BYTES_MAX = 4 << 20;
/** Bytes before the part of the line that the checksum covers: `{"crc":"xxxxxxxx",`. */
const COVERED_FROM = 18;
const BLANK = '{"crc":"00000000","offset":';
const VALUE = ',"value":';
const PRODUCER = ',"producer":["';
const NEWLINE = 10;
const BUFFER_BYTES = 1 << 20;
const LINES_AT_ONCE = 64;
const HEX = new TextEncoder().encode("0123456789abcdef");
const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** File name of the segment whose first record has this offset. */
export function segmentName(base: number): string {
  return `${String(base).padStart(20, "0")}.jsonl`;
}

/** The base offset in a segment's file name; null for another file. */
export function segmentBase(name: string): number | null {
  return /^\d{20}\.jsonl$/.test(name) ? Number(name.slice(0, 20)) : null;
}

/** JSON texts of keys, made once a key. Bounded, since keys come from outside. */
const keyTexts = new Map<string, string>();
const KEYS_MAX = 100_000;
function keyText(key: string): string {
  let text = keyTexts.get(key);
  if (text === undefined) {
    text = JSON.stringify(key);
    if (keyTexts.size < KEYS_MAX) keyTexts.set(key, text);
  }
  return text;
}

/** Makes lines in a buffer of its own, which grows to the largest batch and is used again for the next. */
export class Lines {
  #buffer = new Uint8Array(BUFFER_BYTES);
  #length = 0;

  /**
   * The lines of messages that get the offsets from `first` on; valid until the next call.
   * @throws {TypeError} for text with a line break
   */
  encode(messages: readonly Message[], first: number): Uint8Array {
    this.#length = 0;
    // A few dozen lines at a time: one text of all of them would keep the collector busy, one at a time the encoder.
    let text = "";
    for (let i = 0; i < messages.length; i++) {
      text += lineOf(messages[i]!, first + i);
      if (i % LINES_AT_ONCE < LINES_AT_ONCE - 1) continue;
      this.#add(text);
      text = "";
    }
    this.#add(text);
    const bytes = this.#buffer.subarray(0, this.#length);
    let start = 0;
    for (let i = 0; i < messages.length; i++) {
      const end = bytes.indexOf(NEWLINE, start);
      let crc = crc32(bytes.subarray(start + COVERED_FROM, end));
      for (let at = start + 15; at >= start + 8; at--) {
        bytes[at] = HEX[crc & 15]!;
        crc >>>= 4;
      }
      start = end + 1;
    }
    if (start !== bytes.length) {
      throw new TypeError("Cannot append message: its text holds a line break, must be one JSON line or bytes");
    }
    return bytes;
  }

  #add(text: string): void {
    const wanted = this.#length + text.length * 3;
    if (wanted > this.#buffer.length) {
      const larger = new Uint8Array(wanted * 2);
      larger.set(this.#buffer.subarray(0, this.#length));
      this.#buffer = larger;
    }
    this.#length += encoder.encodeInto(text, this.#buffer.subarray(this.#length)).written;
  }
}

function lineOf({ key, value, producer, control }: Message, offset: number): string {
  let text = BLANK + offset + ',"key":' + (key === null ? "null" : keyText(key));
  if (producer !== undefined) {
    text += ',"producer":[' + keyText(producer.id) + "," + producer.epoch + "," + producer.number + "]";
  }
  if (control) text += ',"control":true';
  return text +
    (typeof value === "string" ? VALUE + value + "}\n" : ',"base64":"' + bytesOf(value).toString("base64") + '"}\n');
}

/**
 * Interned keys by their spelling between the quotes, so that a record's key does not keep the chunk alive that it was cut
 * from. Half a surrogate pair has no bytes: it reads as it would from a log that keeps bytes.
 */
const keys = new Map<string, string>();
function intern(spelling: string): string {
  let kept = keys.get(spelling);
  if (kept === undefined) {
    kept = (JSON.parse(`"${spelling}"`) as string).toWellFormed();
    if (keys.size < KEYS_MAX) keys.set(Buffer.from(spelling).toString(), kept);
  }
  return kept;
}

function nibble(code: number): number {
  return code >= 48 && code <= 57 ? code - 48 : code >= 97 && code <= 102 ? code - 87 : NaN;
}

/** Whether the checksum of the line at `[start, end)` holds. */
export function isSound(bytes: Uint8Array, start: number, end: number): boolean {
  if (end - start <= COVERED_FROM) return false;
  let stored = 0;
  for (let at = start + 8; at < start + 16; at++) stored = stored * 16 + nibble(bytes[at]!);
  return stored === crc32(bytes.subarray(start + COVERED_FROM, end));
}

/**
 * Decodes the whole lines of a chunk, checking each checksum and that offsets are `expected` and its successors.
 * @throws {Refusal} naming `place` and the offset of the first line that is not what was written
 */
export function decodeLines(bytes: Uint8Array, place: string, expected: number, max: number): {
  readonly records: LogRecord[];
  readonly length: number;
} {
  const ends: number[] = [];
  for (let start = 0; ends.length < max;) {
    const end = bytes.indexOf(NEWLINE, start);
    if (end < 0) break;
    if (!isSound(bytes, start, end)) {
      throw new Refusal(
        `Cannot read record "${place}/${
          expected + ends.length
        }": its checksum does not match its bytes, must be as it was written`,
      );
    }
    ends.push(end);
    start = end + 1;
  }
  const length = ends.length === 0 ? 0 : ends.at(-1)! + 1;
  const text = decoder.decode(bytes.subarray(0, length));
  const plain = text.length === length;
  const records: LogRecord[] = [];
  let start = 0;
  for (const end of ends) {
    const line = plain ? text : decoder.decode(bytes.subarray(start, end));
    const record = decodeLine(line, plain ? start : 0, plain ? end : line.length);
    const offset = expected + records.length;
    if (record.offset !== offset) {
      throw new Refusal(
        `Cannot read record "${place}/${offset}": found offset ${record.offset} in its place, must be contiguous`,
      );
    }
    records.push(record);
    start = end + 1;
  }
  return { records, length };
}

function decodeLine(text: string, start: number, end: number): LogRecord {
  const comma = text.indexOf(",", start + COVERED_FROM);
  const offset = Number(text.slice(start + COVERED_FROM + 9, comma));
  const valueAt = comma + 7;
  if (text.charCodeAt(valueAt) === 34) {
    const quote = text.indexOf('"', valueAt + 1);
    if (text.charCodeAt(quote - 1) !== 92) {
      const key = intern(text.slice(valueAt + 1, quote));
      if (text.startsWith(VALUE, quote + 1)) return { offset, key, value: text.slice(quote + 10, end - 1) };
      const idEnd = text.indexOf('"', quote + 15);
      if (text.startsWith(PRODUCER, quote + 1) && text.charCodeAt(idEnd - 1) !== 92) {
        const second = text.indexOf(",", idEnd + 2);
        const close = text.indexOf("]", second);
        if (text.startsWith(VALUE, close + 1)) {
          const id = intern(text.slice(quote + 15, idEnd));
          const producer = {
            id,
            epoch: Number(text.slice(idEnd + 2, second)),
            number: Number(text.slice(second + 1, close)),
          };
          return { offset, key, value: text.slice(close + 10, end - 1), producer };
        }
      }
    }
  }
  return decodeRare(text.slice(start, end), offset);
}

/** A line with a control mark, an escaped or absent key, or base64. */
function decodeRare(line: string, offset: number): LogRecord {
  const head =
    /^\{"crc":"[0-9a-f]{8}","offset":\d+,"key":(null|"(?:[^"\\]|\\.)*")(?:,"producer":(\["(?:[^"\\]|\\.)*",\d+,\d+\]))?(,"control":true)?,"(value|base64)":/
      .exec(line);
  if (head === null) {
    throw new Refusal(`Cannot read record at offset ${offset}: its line has another format, must be ${BLANK}…`);
  }
  const rest = line.slice(head[0].length, -1);
  const envelope: [string, number, number] | null = head[2] === undefined ? null : JSON.parse(head[2]);
  return {
    offset,
    key: head[1] === "null" ? null : intern(head[1]!.slice(1, -1)),
    value: head[4] === "value" ? rest : new Uint8Array(Buffer.from(rest.slice(1, -1), "base64")),
    ...(envelope && { producer: { id: envelope[0], epoch: envelope[1], number: envelope[2] } }),
    ...(head[3] !== undefined && { control: true as const }),
  };
}
