import assert from "@std/assert";
import { gzipSync } from "node:zlib";
import { type CaptureLine, contentHash } from "./capture.ts";
import { Misuse, Outage } from "./failure.ts";
import { filesOf, pairHash, readPair } from "./pairing.ts";

const options = { sanitizeOps: true, sanitizeResources: true } as const;
const MESSAGES = "ACME_2024-03-11_34200000_57600000_message_1.csv";
const COMPANION = "ACME_2024-03-11_34200000_57600000_orderbook_1.csv";

/** Writes files into a folder of their own, hands over how to name them, and clears up. */
async function withFiles(
  files: Readonly<Record<string, string | Uint8Array>>,
  use: (pathOf: (name: string) => string) => Promise<void>,
): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "message_orderbook" });
  try {
    for (const [name, text] of Object.entries(files)) {
      await Deno.writeFile(`${folder}/${name}`, typeof text === "string" ? new TextEncoder().encode(text) : text);
    }
    await use((name) => `${folder}/${name}`);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function readAll(path: string, from = 0) {
  const lines: CaptureLine[] = [], positions: number[] = [];
  for await (const batch of readPair(path, from, new AbortController().signal)) {
    lines.push(...batch.lines);
    positions.push(batch.position);
  }
  return { lines, positions };
}

const messageOf = (i: number) => `34200.${i},1,${i},100,1234500,1`;
const bookOf = (i: number) => `1235000,200,1234500,${100 * (i + 1)}`;
const rows = (count: number, row: (i: number) => string, end = "\n") =>
  Array.from({ length: count }, (_, i) => row(i) + end).join("");

Deno.test(
  "a day in two files gives frames that need no second file, plain or gzip, whatever ends a line",
  options,
  async () => {
    for (const [end, pack, suffix] of [["\n", (t: string) => t, ""], ["\r\n", gzipSync, ".gz"]] as const) {
      const files = {
        [MESSAGES + suffix]: pack(rows(3, messageOf, end)),
        [COMPANION + suffix]: pack(rows(3, bookOf, end).trimEnd()),
      };
      await withFiles(files, async (pathOf) => {
        const { lines, positions } = await readAll(pathOf(MESSAGES + suffix));
        assert.deepEqual(
          lines,
          [0, 1, 2].map((i) => ({
            number: i,
            receivedTime: null,
            frame: `ACME 2024-03-11 ${messageOf(i)} | ${bookOf(i)}`,
          })),
        );
        assert.deepEqual(positions, [3]);
      });
    }
  },
);

Deno.test("a day resumes at every position that it gave, without hole or overlap", options, async () => {
  await withFiles({ [MESSAGES]: rows(4_321, messageOf), [COMPANION]: rows(4_321, bookOf) }, async (pathOf) => {
    const { lines, positions } = await readAll(pathOf(MESSAGES));
    assert.equal(lines.length, 4_321);
    assert.ok(positions.length > 4 && positions.at(-1) === 4_321);
    for (const position of [...positions, 1, 4_320]) {
      assert.deepEqual((await readAll(pathOf(MESSAGES), position)).lines, lines.slice(position));
    }
  });
});

Deno.test("an abort ends a day after the batch in hand, and is no missing row", options, async () => {
  await withFiles({ [MESSAGES]: rows(9_000, messageOf), [COMPANION]: rows(9_000, bookOf) }, async (pathOf) => {
    const stop = new AbortController();
    let batches = 0;
    for await (const _ of readPair(pathOf(MESSAGES), 0, stop.signal)) {
      batches++;
      stop.abort();
    }
    assert.equal(batches, 1);
  });
});

Deno.test("files of unequal rows are refused, both named with the row", options, async () => {
  const gap = rows(3_000, (i) => i === 1_700 ? "" : bookOf(i));
  for (
    const [messages, companion, row, which] of [
      [rows(3, messageOf), rows(2, bookOf), 3, "first"],
      [rows(3, messageOf), rows(5, bookOf), 4, "second"],
      [rows(3, messageOf), "", 1, "first"],
      ["", rows(1, bookOf), 1, "second"],
      [rows(3_000, messageOf), gap, 1_701, "first"],
      [rows(3_000, (i) => i === 1_700 ? "" : messageOf(i)), rows(3_000, bookOf), 1_701, "second"],
    ] as const
  ) {
    await withFiles({ [MESSAGES]: messages, [COMPANION]: companion }, async (pathOf) => {
      await assert.rejects(
        () => readAll(pathOf(MESSAGES)),
        new Misuse(
          `Cannot pair capture "${pathOf(MESSAGES)}" with "${
            pathOf(COMPANION)
          }": row ${row} is in the ${which} alone, must be in both`,
        ),
      );
    });
  }
});

Deno.test("a day without its companion is refused, both named, and a companion by itself too", options, async () => {
  await withFiles({ [MESSAGES]: rows(3, messageOf) }, async (pathOf) => {
    const message = `Cannot read capture "${pathOf(MESSAGES)}": its companion is not there, must be "${
      pathOf(COMPANION)
    }"`;
    for (const read of [readAll, pairHash]) {
      await assert.rejects(() => read(pathOf(MESSAGES)), { name: "Misuse", message });
      await assert.rejects(() => read(pathOf(COMPANION)), {
        name: "Misuse",
        message: `Cannot read capture "${pathOf(COMPANION)}": it is a companion, must be named by its "${
          pathOf(MESSAGES)
        }"`,
      });
    }
  });
});

Deno.test("a companion that is cut off is an outage of its own", options, async () => {
  const cut = gzipSync(rows(9_000, bookOf)).subarray(0, -9);
  await withFiles(
    { [`${MESSAGES}.gz`]: gzipSync(rows(9_000, messageOf)), [`${COMPANION}.gz`]: cut },
    async (pathOf) => {
      await assert.rejects(() => readAll(pathOf(`${MESSAGES}.gz`)), Outage);
      await assert.rejects(
        () => readAll(pathOf(`${MESSAGES}.gz`)),
        /orderbook_1\.csv\.gz": gzip data is damaged or cut off/,
      );
    },
  );
});

Deno.test("another companion makes another capture, and so do other messages", options, async () => {
  const hashes = new Set<string>();
  for (const [messages, companion] of [["a", "b"], ["a", "c"], ["d", "b"], ["b", "a"]] as const) {
    await withFiles({ [MESSAGES]: messages, [COMPANION]: companion }, async (pathOf) => {
      hashes.add(await pairHash(pathOf(MESSAGES)));
    });
  }
  assert.equal(hashes.size, 4);
  assert.ok([...hashes].every((hash) => /^[0-9a-f]{64}$/.test(hash)));
});

Deno.test("a capture of one file is read and known as ever", options, async () => {
  for (const name of ["capture.jsonl", "ACME_2024-03-11_message.jsonl", "message_2024-03-11.csv"]) {
    await withFiles({ [name]: '{"a":1}\n{"b":2}\n' }, async (pathOf) => {
      assert.deepEqual((await readAll(pathOf(name))).lines.map(({ frame }) => frame), ['{"a":1}', '{"b":2}']);
      assert.equal(await pairHash(pathOf(name)), await contentHash(pathOf(name)));
      assert.deepEqual(filesOf(pathOf(name)), [pathOf(name)]);
    });
  }
});

Deno.test("the files of a day are both of it, beside each other", options, () => {
  assert.deepEqual(filesOf(`./message/${MESSAGES}.gz`), [`./message/${MESSAGES}.gz`, `./message/${COMPANION}.gz`]);
});
