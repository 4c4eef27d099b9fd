import assert from "@std/assert";
import { Buffer } from "node:buffer";
import { gzipSync } from "node:zlib";
import { BATCH_LINES_MAX, type CaptureLine, contentHash, LINE_LENGTH_MAX, readCapture } from "./capture.ts";
import { Misuse, Outage } from "./failure.ts";

const options = { sanitizeOps: true, sanitizeResources: true } as const;
const RECORDINGS = Deno.env.get("TAPEDECK_RECORDINGS");

/** Writes `bytes` as a file of this name, hands its path over, and clears up. */
async function withFile(name: string, bytes: Uint8Array, use: (path: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await Deno.writeFile(`${folder}/${name}`, bytes);
    await use(`${folder}/${name}`);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

interface Reading {
  readonly lines: CaptureLine[];
  readonly positions: number[];
  readonly error: unknown;
}

async function readAll(path: string, from = 0): Promise<Reading> {
  const lines: CaptureLine[] = [], positions: number[] = [];
  try {
    for await (const batch of readCapture(path, from, new AbortController().signal)) {
      assert.ok(batch.lines.length <= BATCH_LINES_MAX);
      lines.push(...batch.lines);
      positions.push(batch.position);
    }
  } catch (error) {
    return { lines, positions, error };
  }
  return { lines, positions, error: undefined };
}

/** The message of an error of this class. */
function messageOf(error: unknown, as: typeof Misuse | typeof Outage): string {
  if (!(error instanceof as)) throw new TypeError(`Cannot take error "${error}" for a ${as.name}`);
  return error.message;
}

const utf8 = (text: string) => new TextEncoder().encode(text);
const numbered = (count: number) => Array.from({ length: count }, (_, i) => `{"n":${i},"x":"${"é".repeat(i % 7)}"}\n`);

Deno.test("a capture's line is ns and frame, ns cut to µs, or a frame without a time", options, async () => {
  const text = '1723161253937085999 {"a":1}\n{"b":2}\n\n17231612539370 {"c":3}\r\n0000000000001000000 {"d":4}\n' +
    '9000000000000000000 {"e":5}\nend without newline';
  for (const [name, bytes] of [["a.jsonl", utf8(text)], ["a.jsonl.gz", gzipSync(text)]] as const) {
    await withFile(name, bytes, async (path) => {
      const { lines, positions, error } = await readAll(path);
      assert.equal(error, undefined);
      assert.deepEqual(lines, [
        { number: 0, receivedTime: 1723161253937085, frame: '{"a":1}' },
        { number: 1, receivedTime: null, frame: '{"b":2}' },
        { number: 3, receivedTime: null, frame: '17231612539370 {"c":3}\r' },
        { number: 4, receivedTime: null, frame: '0000000000001000000 {"d":4}' },
        { number: 5, receivedTime: null, frame: '9000000000000000000 {"e":5}' },
        { number: 6, receivedTime: null, frame: "end without newline" },
      ]);
      assert.equal(positions.at(-1), 7);
    });
  }
});

Deno.test("a capture resumes at every position that it gave, without hole or overlap", options, async () => {
  const text = numbered(5_000).join("");
  for (const [name, bytes] of [["a.jsonl", utf8(text)], ["a.jsonl.gz", gzipSync(text)]] as const) {
    await withFile(name, bytes, async (path) => {
      const { lines, positions } = await readAll(path);
      assert.equal(lines.map(({ frame }) => frame + "\n").join(""), text);
      assert.equal(positions.at(-1), 5_000);
      for (const position of positions) assert.deepEqual((await readAll(path, position)).lines, lines.slice(position));
    });
  }
});

Deno.test("a capture of several gzip members is read through", options, async () => {
  const members = numbered(3).map((line) => gzipSync(line));
  await withFile("a.gz", Buffer.concat(members), async (path) => {
    assert.deepEqual((await readAll(path)).lines.map(({ number }) => number), [0, 1, 2]);
  });
});

Deno.test("a cut gzip capture gives its whole lines and then names file, state and byte", options, async () => {
  const text = numbered(20_000).join("");
  const whole = gzipSync(text);
  for (const length of [3, 30, 20_000, whole.length - 9, whole.length - 1]) {
    await withFile("cut.jsonl.gz", whole.subarray(0, length), async (path) => {
      const { lines, error } = await readAll(path);
      assert.equal(
        messageOf(error, Outage),
        `Cannot read capture "${path}": gzip data is damaged or cut off by byte ${length} (unexpected end of file), must be whole`,
      );
      assert.ok(text.startsWith(lines.map(({ frame }) => frame + "\n").join("")));
      if (length > 100) assert.ok(lines.length > 1_000);
      if (length === whole.length - 1) assert.equal(lines.length, 20_000);
    });
  }
});

Deno.test("a gzip capture with flipped bytes gives what comes before them and then an error", options, async () => {
  const bytes = gzipSync(numbered(20_000).join(""));
  bytes.fill(255, 40_000, 40_100);
  await withFile("bad.jsonl.gz", bytes, async (path) => {
    const { lines, error } = await readAll(path);
    assert.match(
      messageOf(error, Outage),
      /^Cannot read capture ".*bad\.jsonl\.gz": gzip data is damaged or cut off by byte \d+ /,
    );
    assert.ok(lines.length > 1_000 && lines.length < 20_000);
    assert.ok(lines.every(({ number }, i) => number === i));
  });
});

Deno.test("a gzip capture with a wrong checksum gives all but its end and then an error", options, async () => {
  const text = numbered(3_000).join("");
  const bytes = gzipSync(text);
  assert.ok(bytes.length < 16 << 10, "one step reads it all");
  bytes[bytes.length - 8]! ^= 1;
  await withFile("bad.jsonl.gz", bytes, async (path) => {
    const { lines, error } = await readAll(path);
    assert.match(messageOf(error, Outage), /\(incorrect data check\), must be whole$/);
    const read = lines.map(({ frame }) => frame + "\n").join("");
    assert.ok(text.startsWith(read) && text.length - read.length < 16 << 10);
  });
});

Deno.test("what is not gzip though named so, not a file or not there is misuse in one line", options, async () => {
  for (const bytes of [utf8("{}\n"), utf8("")]) {
    await withFile("a.jsonl.gz", bytes, async (path) => {
      const { error } = await readAll(path);
      assert.match(
        messageOf(error, Misuse),
        /a\.jsonl\.gz": byte 0 does not begin a gzip header, must be gzip by its name$/,
      );
    });
  }
  await withFile("a", utf8(""), async (path) => {
    assert.deepEqual(await readAll(path), { lines: [], positions: [], error: undefined });
    const absent = (await readAll(`${path}.not`)).error;
    assert.match(messageOf(absent, Misuse), /: there is no such file, must be a readable file$/);
    const folder = (await readAll(path.slice(0, -2))).error;
    assert.match(messageOf(folder, Misuse), /: it is a folder, must be a file$/);
  });
});

Deno.test("a line that is too long is refused before it is whole, plain or inflated", options, async () => {
  const line = new Uint8Array(LINE_LENGTH_MAX + 1).fill(97);
  const long = Buffer.concat([utf8("{}\n"), line, line]);
  for (const [name, bytes] of [["a.jsonl", long], ["a.jsonl.gz", gzipSync(long)]] as const) {
    await withFile(name, bytes, async (path) => {
      const { lines, error } = await readAll(path);
      assert.equal(lines.length, 1);
      assert.match(messageOf(error, Misuse), /: line 2 has over 16777216 characters, must have at most that$/);
    });
  }
});

Deno.test("a line of exactly the bound is read", options, async () => {
  await withFile("a.jsonl", new Uint8Array(LINE_LENGTH_MAX).fill(97), async (path) => {
    assert.equal((await readAll(path)).lines[0]?.frame.length, LINE_LENGTH_MAX);
  });
});

Deno.test("an abort ends a capture after the batch in hand", options, async () => {
  await withFile("a.jsonl.gz", gzipSync(numbered(50_000).join("")), async (path) => {
    const stop = new AbortController();
    let batches = 0;
    for await (const _ of readCapture(path, 0, stop.signal)) {
      batches++;
      stop.abort();
    }
    assert.equal(batches, 1);
  });
});

Deno.test("a content hash is the SHA-256 of the file's bytes", options, async () => {
  await withFile("a", utf8("abc"), async (path) => {
    assert.equal(await contentHash(path), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    await assert.rejects(() => contentHash(`${path}.not`), Misuse);
  });
});

if (RECORDINGS === undefined) console.log("capture: recordings are not tried, TAPEDECK_RECORDINGS names no folder");
Deno.test("a recorded capture has a time and a frame in every line", {
  ...options,
  ignore: RECORDINGS === undefined,
}, async () => {
  const path = `${RECORDINGS}/binance/hftbacktest_spot_ethusdt_20240808.jsonl.gz`;
  const { lines, error } = await readAll(path);
  assert.equal(error, undefined);
  assert.equal(lines.length, 33_618);
  assert.deepEqual(lines[0]?.receivedTime, 1723161254024619);
  assert.ok(lines.every(({ receivedTime, frame }) => receivedTime !== null && frame.startsWith("{")));
});
