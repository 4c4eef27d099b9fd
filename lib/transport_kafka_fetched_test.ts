import assert from "@std/assert";
import { Buffer } from "node:buffer";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { crc32c, Writer } from "@platformatic/kafka";
import type { LogRecord } from "./transport.ts";
import { Unreadable } from "./transport/kafka/compression.ts";
import { answerOf } from "./transport/kafka/fetched.ts";

type Text = string | Uint8Array | null;
interface Sketch {
  readonly first?: number;
  readonly attributes?: number;
  readonly producer?: number;
  /** What the batch says that it counts, and where it ends; by default the truth. */
  readonly count?: number;
  readonly lastDelta?: number;
  readonly records?: readonly { key?: Text; value?: Text; headers?: readonly (readonly [string, Text])[] }[];
  readonly pack?: (plain: Buffer) => Buffer;
  readonly magic?: number;
}
const bytesOf = (text: Text) => text === null ? null : Buffer.from(text as string);

/** A record batch, written by another library than it is read by. */
function batchOf({ first = 0, attributes = 0, producer = -1, records = [], pack = (plain) => plain, ...lies }: Sketch) {
  const body = Writer.create();
  records.forEach(({ key = null, value = null, headers = [] }, n) => {
    const record = Writer.create().appendInt8(0).appendVarInt64(1_000_000n * BigInt(n)).appendVarInt(n)
      .appendVarIntBytes(bytesOf(key)).appendVarIntBytes(bytesOf(value)).appendVarInt(headers.length);
    for (const [name, text] of headers) record.appendVarIntBytes(Buffer.from(name)).appendVarIntBytes(bytesOf(text));
    body.append(record.prependVarIntLength().buffer);
  });
  const packed = records.length > 0 ? pack(body.buffer) : Buffer.alloc(0);
  const covered = Writer.create().appendInt16(attributes).appendInt32(lies.lastDelta ?? records.length - 1)
    .appendInt64(0n).appendInt64(0n).appendInt64(BigInt(producer)).appendInt16(0).appendInt32(0)
    .appendInt32(lies.count ?? records.length);
  if (packed.length > 0) covered.append(packed);
  const rest = Writer.create().appendInt32(0).appendInt8(lies.magic ?? 2).appendUnsignedInt32(crc32c(covered.buffer))
    .append(covered.buffer).buffer;
  return Writer.create().appendInt64(BigInt(first)).appendInt32(rest.length).append(rest).buffer;
}

/** An answer of version 11 with one partition. */
function answer(batches: readonly Buffer[], aborted: readonly (readonly [number, number])[] = []): Buffer {
  const set = Buffer.concat(batches);
  const writer = Writer.create().appendInt32(0).appendInt16(0).appendInt32(0)
    .appendInt32(1).appendString("t", false)
    .appendInt32(1).appendInt32(3).appendInt16(0).appendInt64(99n).appendInt64(99n).appendInt64(0n)
    .appendInt32(aborted.length);
  for (const [producer, first] of aborted) writer.appendInt64(BigInt(producer)).appendInt64(BigInt(first));
  writer.appendInt32(-1).appendInt32(set.length);
  return set.length > 0 ? writer.append(set).buffer : writer.buffer;
}
async function read(batches: readonly Buffer[], aborted?: readonly (readonly [number, number])[]) {
  const { responses } = await answerOf(answer(batches, aborted), 11);
  return responses[0]!.partitions[0]!;
}
const values = (records: readonly LogRecord[]) => records.map(({ offset, value }) => [offset, value]);

Deno.test("keys, values, bytes that are no text, headers and holes are read as they were written", async () => {
  const { partition, high, records, next } = await read([
    batchOf({
      first: 2 ** 40,
      records: [
        { key: "sim:X", value: '{"a":"é"}' },
        { key: null, value: null },
        { key: "", value: "" },
        { value: Uint8Array.of(0xff, 0) },
        { value: "v", headers: [["p", "a/1/2"], ["c", "1"], ["other", null]] },
      ],
    }),
    batchOf({ first: 2 ** 40 + 9, records: [{ value: "x".repeat(300) }], lastDelta: 4 }),
  ]);
  assert.deepEqual([partition, high, next], [3, 99, 2 ** 40 + 14]);
  assert.deepEqual(records, [
    { offset: 2 ** 40, key: "sim:X", value: '{"a":"é"}' },
    { offset: 2 ** 40 + 1, key: null, value: "" },
    { offset: 2 ** 40 + 2, key: "", value: "" },
    { offset: 2 ** 40 + 3, key: null, value: Uint8Array.of(0xff, 0) },
    { offset: 2 ** 40 + 4, key: null, value: "v", producer: { id: "a", epoch: 1, number: 2 }, control: true },
    { offset: 2 ** 40 + 9, key: null, value: "x".repeat(300) },
  ]);
});

Deno.test("headers that no producer of ours wrote say nothing", async () => {
  const marks: readonly (readonly (readonly [string, Text])[])[] = [
    ...["", "x", "a/b", "/1/2", "a/1/x"].map((mark) => [["p", mark], ["c", "0"]] as const),
    [["p", "a/1/2"], ["p", "a/1/3"]],
    [["p", null]],
  ];
  const { records } = await read([batchOf({ records: marks.map((headers) => ({ headers })) })]);
  assert.deepEqual(records, marks.map((_, offset) => ({ offset, key: null, value: "" })));
});

Deno.test("a batch that compaction has emptied moves the reader on", async () => {
  const { records, next } = await read([batchOf({ first: 5, lastDelta: 3 })]);
  assert.deepEqual([records, next], [[], 9]);
});

Deno.test("a batch that the fetch cut short is left for the next one", async () => {
  const whole = batchOf({ records: [{ value: "a" }] }), cut = batchOf({ first: 1, records: [{ value: "b" }] });
  for (const length of [1, 11, 12, 60, cut.length - 1]) {
    const { records, next } = await read([whole, cut.subarray(0, length)]);
    assert.deepEqual([values(records), next], [[[0, "a"]], 1], `${length} bytes`);
  }
  assert.deepEqual(await read([]).then(({ records, next }) => [records, next]), [[], -1]);
});

Deno.test("what an aborted transaction wrote is left out, up to its end", async () => {
  const ending = (type: number) => Uint8Array.of(0, 0, 0, type);
  const of = (first: number, producer: number, value: string) =>
    batchOf({ first, producer, attributes: 0x10, records: [{ value }] });
  const end = (first: number, producer: number, type: number) =>
    batchOf({ first, producer, attributes: 0x30, records: [{ key: ending(type), value: "end" }] });
  const { records, next } = await read(
    [of(0, 7, "no"), of(1, 8, "yes"), end(2, 7, 0), end(3, 8, 1), of(4, 7, "later"), end(5, 7, 1)],
    [[7, 0]],
  );
  assert.deepEqual([values(records), next], [[[1, "yes"], [4, "later"]], 6]);
});

Deno.test("gzip and zstd are unpacked, other codecs named", async () => {
  const plain = [{ value: "a" }, { value: "b" }];
  for (const [attributes, pack] of [[1, gzipSync], [4, zstdCompressSync]] as const) {
    const { records } = await read([
      batchOf({ attributes, records: plain, pack: (bytes) => Buffer.from(pack(bytes)) }),
    ]);
    assert.deepEqual(values(records), [[0, "a"], [1, "b"]]);
  }
  for (
    const [attributes, message] of [[2, /snappy, must be plain, gzip or zstd/], [3, /lz4/], [7, /codec 7/]] as const
  ) {
    await assert.rejects(read([batchOf({ attributes, records: plain })]), message);
  }
  await assert.rejects(read([batchOf({ attributes: 1, records: plain })]), /does not unpack/);
});

Deno.test("batches that lie are unreadable, and nothing is taken for true that they say", async () => {
  const records = [{ key: "k", value: "v" }];
  const broken = (at: number, to: number) => {
    const bytes = Buffer.from(batchOf({ records }));
    bytes[at] = to;
    return bytes;
  };
  const forged = (at: number, to: number) => {
    const bytes = broken(at, to);
    bytes.writeUInt32BE(crc32c(bytes.subarray(21)), 17);
    return bytes;
  };
  const record = 61;
  const lies: Readonly<Record<string, readonly [Buffer, RegExp]>> = {
    "a changed byte": [broken(record + 6, 0x77), /checksum differs, must be as it was written/],
    "too large a count": [batchOf({ records, count: 2 ** 31 - 1 }), /2147483647 records in \d+ bytes/],
    "a count below zero": [batchOf({ records, count: -1 }), /-1 records/],
    "one record too many": [batchOf({ records: [{ value: "x".repeat(20) }], count: 2 }), /cut short|does not end/],
    "one record too few": [batchOf({ records: [...records, ...records], count: 1 }), /bytes too many/],
    "a value beyond the batch": [forged(record + 6, 0x7e), /cut short/],
    "a key beyond the batch": [forged(record + 4, 0x7e), /cut short/],
    "a record beyond the batch": [forged(record, 0x7e), /record of \d+ bytes/],
    "an older format": [batchOf({ records, magic: 1 }), /format 1 with \d+ bytes, must be of format 2/],
  };
  for (const [name, [batch, message]] of Object.entries(lies)) {
    await assert.rejects(read([batch]), (error: Error) => {
      assert.ok(error instanceof Unreadable, `${name}: ${error}`);
      assert.match(error.message, message, name);
      return true;
    });
  }
});

Deno.test("an answer that is cut anywhere is unreadable or shorter, never something else", async () => {
  const bytes = answer([batchOf({ records: [{ key: "k", value: "v" }] })]);
  for (let length = 0; length < bytes.length; length++) {
    await assert.rejects(answerOf(bytes.subarray(0, length), 11), Unreadable, `${length} bytes`);
  }
});
