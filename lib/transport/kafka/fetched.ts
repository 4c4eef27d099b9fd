/**
 * What a broker answers to a fetch, read straight into records: several times as fast as kafkajs does it, and with the
 * checksum of each batch compared, which kafkajs leaves out. A batch that compaction has emptied still moves the reader on.
 *
 * Formats: Fetch response versions 4 to 11, record batch with magic 2, https://kafka.apache.org/protocol.
 * **In** an answer's bytes, **Out** records by partition. **Knows** `compression`, `envelope`, `transport`, `codec`.
 */
import { Buffer } from "node:buffer";
import { crc32c } from "@platformatic/kafka";
import Fetch from "kafkajs/src/protocol/requests/fetch/index.js";
import { valueOf } from "../../codec.ts";
import type { LogRecord } from "../../transport.ts";
import { unpack, Unreadable } from "./compression.ts";
import { keyOf, marked } from "./envelope.ts";

/** What one fetch brought of a partition: records from the first whole batch on, and the offset behind the last. */
export interface Fetched {
  readonly partition: number;
  readonly errorCode: number;
  readonly high: number;
  readonly records: readonly LogRecord[];
  /** -1 where there was no whole batch. */
  readonly next: number;
}

/** Bytes of a batch before its length counts, and before its first record. */
const PREFIX_BYTES = 12, HEAD_BYTES = 61;
/** Where the checksum stands, and where what it covers begins. */
const CRC_AT = 17, CRC_FROM = 21;
const MAGIC = 2;
const CODEC_BITS = 0b111, TRANSACTIONAL = 0x10, CONTROL = 0x20;
/** Type of the control record that ends an aborted transaction. */
const ABORT = 0;
/** A record takes so many bytes at least, so that a count that lies is found before it is believed. */
const RECORD_BYTES_MIN = 7;
/** How long an answer may take beyond what the broker was asked to wait; an abort does not wait for it. */
const ANSWER_MS = 30_000;

interface Answer {
  readonly throttleTime: number;
  readonly responses: readonly { readonly topicName: string; readonly partitions: readonly Fetched[] }[];
}
interface Exchange {
  readonly response: { decode(bytes: Buffer): Promise<Answer> };
  readonly requestTimeout: number;
}

/** Has kafkajs read the answers to its fetches by this module, in the whole process. */
export function readFetches(): void {
  if (patched) return;
  patched = true;
  const protocol: (of: { version: number }) => (request: unknown) => Exchange = Fetch.protocol;
  Fetch.protocol = ({ version }: { version: number }) => {
    if (version < 4) throw new Unreadable("its brokers are too old, must be of version 0.11 or newer");
    const exchange = protocol({ version });
    return (request: unknown) => {
      const { response, ...rest } = exchange(request);
      return {
        ...rest,
        requestTimeout: rest.requestTimeout + ANSWER_MS,
        response: { ...response, decode: (bytes: Buffer) => answerOf(bytes, version) },
      };
    };
  };
}
let patched = false;

/** Numbers from the front of bytes; a length that leads beyond them is {@linkcode Unreadable}. */
class Cursor {
  at = 0;
  readonly bytes: Buffer;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
  }
  skip(length: number): number {
    const from = this.at;
    if (length < 0 || from + length > this.bytes.length) throw new Unreadable("it is cut short, must be whole");
    this.at = from + length;
    return from;
  }
  int16 = (): number => this.bytes.readInt16BE(this.skip(2));
  int32 = (): number => this.bytes.readInt32BE(this.skip(4));
  /** Offsets and counts, which stay below 2^53. */
  int64 = (): number => Number(this.bytes.readBigInt64BE(this.skip(8)));
  text = (): string => {
    const length = this.int16();
    return this.bytes.toString("utf8", this.skip(length), this.at);
  };
  /** Elements after their count; a count of -1 is an absent list. */
  list<T>(element: () => T): T[] {
    const list: T[] = [];
    for (let count = this.int32(); count > 0; count--) list.push(element());
    return list;
  }
  /** A signed number of up to 32 bits, zigzag, seven bits a byte. */
  varint(): number {
    const { bytes } = this;
    let bits = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = bytes[this.at++];
      if (byte === undefined) break;
      bits |= (byte & 0x7f) << shift;
      if (byte < 0x80) return (bits >>> 1) ^ -(bits & 1);
    }
    throw new Unreadable("a length in it does not end, must be whole");
  }
}

/** The answer, its batches unpacked. @throws {Unreadable} for what is not as described */
export async function answerOf(bytes: Buffer, version: number): Promise<Answer> {
  const cursor = new Cursor(bytes);
  const ofVersion = (since: number, length: number): void => void cursor.skip(version >= since ? length : 0);
  // Throttle time; error code and session.
  cursor.skip(4);
  ofVersion(7, 6);
  const topics = cursor.list(() => ({
    topicName: cursor.text(),
    partitions: cursor.list(() => {
      const partition = cursor.int32(), errorCode = cursor.int16(), high = cursor.int64();
      // Last stable offset; the log's start.
      cursor.skip(8);
      ofVersion(5, 8);
      const aborted = cursor.list(() => ({ producer: cursor.int64(), first: cursor.int64() }));
      // Replica that the broker would rather be asked.
      ofVersion(11, 4);
      const size = Math.max(0, cursor.int32());
      const from = cursor.skip(size);
      return { partition, errorCode, high, aborted, set: bytes.subarray(from, from + size) };
    }),
  }));
  const responses = [];
  for (const { topicName, partitions } of topics) {
    const fetched: Fetched[] = [];
    for (const { partition, errorCode, high, aborted, set } of partitions) {
      fetched.push({ partition, errorCode, high, ...await recordsOf(set, aborted) });
    }
    responses.push({ topicName, partitions: fetched });
  }
  // The broker has throttled already; kafkajs would do it once more.
  return { throttleTime: 0, responses };
}

/** The records of a run of batches; the last batch may be cut short by the fetch's bound and is left for the next one. */
async function recordsOf(
  set: Buffer,
  aborted: readonly { readonly producer: number; readonly first: number }[],
): Promise<Pick<Fetched, "records" | "next">> {
  const records: LogRecord[] = [];
  const waiting = [...aborted].sort((a, b) => a.first - b.first);
  const aborting = new Set<number>();
  let next = -1;
  for (let at = 0; at + PREFIX_BYTES <= set.length;) {
    const length = set.readInt32BE(at + 8);
    const end = at + PREFIX_BYTES + length;
    if (end > set.length) break;
    const magic = set[at + 16];
    if (length < HEAD_BYTES - PREFIX_BYTES || magic !== MAGIC) {
      throw new Unreadable(`it has a batch of format ${magic} with ${length} bytes, must be of format ${MAGIC}`);
    }
    const batch = set.subarray(at, end);
    at = end;
    if (batch.readUInt32BE(CRC_AT) !== crc32c(batch.subarray(CRC_FROM))) {
      throw new Unreadable("it has a batch whose checksum differs, must be as it was written");
    }
    const first = Number(batch.readBigInt64BE(0));
    const attributes = batch.readInt16BE(21);
    const last = first + batch.readInt32BE(23);
    const producer = Number(batch.readBigInt64BE(43));
    const count = batch.readInt32BE(57);
    next = last + 1;
    while (waiting.length > 0 && waiting[0]!.first <= last) aborting.add(waiting.shift()!.producer);
    const codec = attributes & CODEC_BITS;
    const bytes = batch.subarray(HEAD_BYTES);
    if (attributes & CONTROL) {
      if (endOf(bytes) === ABORT) aborting.delete(producer);
    } else if (!(attributes & TRANSACTIONAL && aborting.has(producer))) {
      readRecords(codec === 0 ? bytes : await unpack(codec, bytes), first, count, records);
    }
  }
  return { records, next };
}

/** The type of a control batch's one record, the second number of its key; -1 where compaction has taken it. */
function endOf(bytes: Buffer): number {
  if (bytes.length === 0) return -1;
  const cursor = new Cursor(bytes);
  cursor.varint();
  skipToKey(cursor);
  cursor.varint();
  cursor.int16();
  return cursor.int16();
}

/** Skips a record's attributes and time; gives its offset's distance from the batch's first. */
function skipToKey(cursor: Cursor): number {
  cursor.skip(1);
  while (cursor.bytes[cursor.skip(1)]! >= 0x80);
  return cursor.varint();
}

function readRecords(bytes: Buffer, first: number, count: number, records: LogRecord[]): void {
  if (count < 0 || count * RECORD_BYTES_MIN > bytes.length) {
    throw new Unreadable(`it has a batch of ${count} records in ${bytes.length} bytes, must hold what it counts`);
  }
  const cursor = new Cursor(bytes);
  for (let n = 0; n < count; n++) {
    const length = cursor.varint();
    const end = cursor.at + length;
    const offset = first + skipToKey(cursor);
    const keyLength = cursor.varint();
    const key = keyLength < 0 ? null : keyOf(bytes, cursor.skip(keyLength), cursor.at);
    const valueLength = cursor.varint();
    const from = valueLength < 0 ? cursor.at : cursor.skip(valueLength);
    const value = valueOf(bytes, from, cursor.at);
    const headers = cursor.varint();
    const record = { offset, key, value };
    records.push(headers === 0 ? record : marked(record, headersOf(cursor, headers)));
    if (cursor.at !== end) {
      throw new Unreadable(`it has a record of ${length} bytes that ends elsewhere, must be as long as it says`);
    }
  }
  if (cursor.at !== bytes.length) {
    throw new Unreadable(`it has a batch with ${bytes.length - cursor.at} bytes too many, must hold what it counts`);
  }
}

/** Headers by name; a name that stands there twice says nothing. */
function headersOf(cursor: Cursor, count: number): ReadonlyMap<string, string> {
  const headers = new Map<string, string>();
  const text = (): string => {
    const length = cursor.varint();
    return length < 0 ? "" : cursor.bytes.toString("utf8", cursor.skip(length), cursor.at);
  };
  for (let n = 0; n < count; n++) {
    const name = text(), value = text();
    headers.set(name, headers.has(name) ? "" : value);
  }
  return headers;
}
