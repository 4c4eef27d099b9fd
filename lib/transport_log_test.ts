import assert from "@std/assert";
import { Cursor } from "./cursor.ts";
import { Refusal } from "./failure.ts";
import { segmentName } from "./segment.ts";
import { type LogRecord, openTransport, type Transport } from "./transport.ts";

const world = (reports: string[] = []) => ({
  now: () => 0,
  env: () => undefined,
  report: (line: string) => void reports.push(line),
  retryForMs: 0,
});
const message = (n: number) => ({ key: "k", value: `{"n":${n}}` });
const many = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => message(from + i));

async function withLog(use: (log: Transport, folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  const log = await openTransport(`log:${folder}`, world());
  try {
    await log.create("t", 1);
    await use(log, folder);
  } finally {
    await log.close();
    await Deno.remove(folder, { recursive: true });
  }
}

async function all(log: Transport, to: number): Promise<LogRecord[]> {
  const records: LogRecord[] = [];
  for await (const chunk of log.read("t", 0, 0, to)) records.push(...chunk);
  return records;
}

Deno.test("a torn tail is cut by the next writer, which says so, and its offsets are used again", async () => {
  await withLog(async (log, folder) => {
    await log.append("t", 0, many(0, 3));
    const path = `${folder}/t/0/${segmentName(0)}`;
    await Deno.writeTextFile(path, '{"crc":"00000000","offset":3,"key":"k","val', { append: true });
    assert.deepEqual(await log.ranges("t"), [{ low: 0, high: 3 }]);
    const reports: string[] = [];
    const other = await openTransport(`log:${folder}`, world(reports));
    assert.deepEqual(await other.append("t", 0, many(3, 5)), { first: 3, next: 5 });
    assert.match(reports.join(), /cut 43 bytes of an unfinished append after "t\/0\/2"/);
    assert.deepEqual((await all(other, 5)).map((r) => r.value), many(0, 5).map((m) => m.value));
    await other.close();
  });
});

Deno.test("a last line whose bytes never reached the disk is cut too", async () => {
  await withLog(async (log, folder) => {
    await log.append("t", 0, many(0, 3));
    const path = `${folder}/t/0/${segmentName(0)}`;
    const bytes = await Deno.readFile(path);
    bytes.fill(0, bytes.length - 20, bytes.length - 1);
    await Deno.writeFile(path, bytes);
    const other = await openTransport(`log:${folder}`, world());
    assert.deepEqual(await other.append("t", 0, [message(2)]), { first: 2, next: 3 });
    await other.close();
  });
});

Deno.test("a segment whose first line is empty, and holds nothing else that is whole, is begun again", async () => {
  await withLog(async (log, folder) => {
    await log.append("t", 0, many(0, 1));
    const path = `${folder}/t/0/${segmentName(0)}`;
    await Deno.writeFile(path, new Uint8Array([10, 0, 0]));
    const reports: string[] = [];
    const other = await openTransport(`log:${folder}`, world(reports));
    assert.deepEqual(await other.append("t", 0, [message(0)]), { first: 0, next: 1 });
    assert.match(reports.join(), /cut 3 bytes/);
    await other.close();
  });
});

/** A log of the records that `made` appended, closed again: as a power cut leaves it, once `hurt` was at its folder. */
async function afterPowerCut(
  { query = "", made, hurt }: {
    readonly query?: string;
    readonly made: (log: Transport) => Promise<unknown>;
    readonly hurt: (folder: string) => Promise<void>;
  },
  use: (log: Transport, reports: readonly string[]) => Promise<void>,
): Promise<void> {
  await withLog(async (_, folder) => {
    const before = await openTransport(`log:${folder}/other${query}`, world());
    await before.create("t", 1);
    await made(before);
    await before.close();
    await hurt(`${folder}/other/t/0`);
    const reports: string[] = [];
    const after = await openTransport(`log:${folder}/other${query}`, world(reports));
    await use(after, reports);
    await after.close();
  });
}

Deno.test("a sector that never reached the disk before others that did is cut with them by who opens the log first", async () => {
  await afterPowerCut({
    made: (log) => log.append("t", 0, many(0, 40)),
    async hurt(folder) {
      const bytes = await Deno.readFile(`${folder}/${segmentName(0)}`);
      const at = new TextDecoder().decode(bytes).indexOf('{"n":12}');
      await Deno.writeFile(`${folder}/${segmentName(0)}`, bytes.fill(0, at - 30, at + 200));
    },
  }, async (log, reports) => {
    assert.deepEqual(await log.ranges("t"), [{ low: 0, high: 12 }]);
    assert.match(reports.join(), /cut \d+ bytes of unfinished appends after the end of "t\/0"/);
    assert.equal((await all(log, 40)).length, 12);
    assert.deepEqual(await log.append("t", 0, [message(12)]), { first: 12, next: 13 });
  });
});

for (const [note, appends] of [[0, false], [0, true], [19, true]] as const) {
  const what = note === 0 ? "was lost" : "is half of another";
  Deno.test(`a log whose note of the last segment ${what} is ${appends ? "appended to" : "read"} without a gap`, async () => {
    await afterPowerCut({
      query: "?segment=150",
      made: async (log) => {
        for (let n = 0; n < 6; n++) await log.append("t", 0, [message(n)]);
      },
      hurt: (folder) => Deno.writeTextFile(`${folder}/lock`, String(note).padStart(20, "0")),
    }, async (log) => {
      const end = appends ? 8 : 6;
      for (let n = 6; n < end; n++) await log.append("t", 0, [message(n)]);
      assert.deepEqual((await all(log, end)).map((r) => r.value), many(0, end).map((m) => m.value));
    });
  });
}

Deno.test("half a note that a writer left while others are at work leads nobody past the end", async () => {
  await withLog(async (log, folder) => {
    await log.append("t", 0, many(0, 3));
    await Deno.writeTextFile(`${folder}/t/0/lock`, "19".padStart(20, "0"));
    const other = await openTransport(`log:${folder}`, world());
    assert.deepEqual(await other.append("t", 0, [message(3)]), { first: 3, next: 4 });
    assert.deepEqual(await log.append("t", 0, [message(4)]), { first: 4, next: 5 });
    await other.close();
  });
});

Deno.test("a reader that saw an unfinished append reads what comes in its place", async () => {
  await withLog(async (log, folder) => {
    await log.append("t", 0, many(0, 3));
    await Deno.writeTextFile(`${folder}/t/0/${segmentName(0)}`, '{"crc":"00000000","offs', { append: true });
    const cursor = new Cursor(`${folder}/t/0`, "t/0", 0);
    assert.equal(cursor.take(10).length, 3);
    assert.equal(cursor.take(10).length, 0);
    await log.append("t", 0, [message(3)]);
    assert.deepEqual(cursor.take(10).map((r) => r.value), [message(3).value]);
    cursor.close();
  });
});

Deno.test("a flipped bit is found and named by topic, partition and offset", async () => {
  await withLog(async (log, folder) => {
    await log.append("t", 0, many(0, 100));
    const path = `${folder}/t/0/${segmentName(0)}`;
    const bytes = await Deno.readFile(path);
    const at = new TextDecoder().decode(bytes).indexOf('{"n":41}');
    bytes[at + 5]! ^= 1;
    await Deno.writeFile(path, bytes);
    await assert.rejects(
      all(log, 100),
      (error: Error) => error instanceof Refusal && error.message.includes('"t/0/41"'),
    );
  });
});

Deno.test("records that a cut segment lost are named, when another segment follows", async () => {
  await withLog(async (log, folder) => {
    await log.append("t", 0, many(0, 10));
    const path = `${folder}/t/0/${segmentName(0)}`;
    const text = await Deno.readTextFile(path);
    await Deno.writeTextFile(`${folder}/t/0/${segmentName(6)}`, text.split("\n").slice(6).join("\n"));
    await Deno.writeTextFile(path, text.split("\n").slice(0, 4).join("\n") + "\n");
    await Deno.writeTextFile(`${folder}/t/0/lock`, segmentName(6).slice(0, 20));
    await assert.rejects(all(log, 10), /Cannot read records "t\/0\/4" to 5/);
  });
});

Deno.test("several processes append to one partition at once, and nothing is lost or torn", async () => {
  await withLog(async (log, folder) => {
    const program = `
      import { openTransport } from "${import.meta.resolve("./transport.ts")}";
      const log = await openTransport("log:${folder}?fsync=never", { now: () => 0, env: () => undefined, report: () => {}, retryForMs: 0 });
      for (let i = 0; i < 50; i++) await log.append("t", 0, Array.from({ length: 20 }, (_, k) => ({ key: Deno.args[0], value: String(i * 20 + k) })));
      await log.close();
    `;
    const file = `${folder}/writer.ts`;
    await Deno.writeTextFile(file, program);
    const config = new URL("../deno.json", import.meta.url).pathname;
    const runs = ["a", "b", "c"].map((name) =>
      new Deno.Command(Deno.execPath(), { args: ["run", "-A", "--config", config, file, name], stderr: "inherit" })
        .output()
    );
    for (const { code } of await Promise.all(runs)) assert.equal(code, 0);
    const records = await all(log, 3000);
    assert.equal(records.length, 3000);
    for (const name of ["a", "b", "c"]) {
      assert.deepEqual(
        records.filter((r) => r.key === name).map((r) => Number(r.value)),
        Array.from({ length: 1000 }, (_, i) => i),
      );
    }
  });
});

Deno.test("segments roll, and a reader goes on from one to the next", async () => {
  await withLog(async (log, folder) => {
    const value = JSON.stringify("x".repeat(900_000));
    for (let i = 0; i < 80; i++) await log.append("t", 0, [{ key: null, value }]);
    const segments = [...Deno.readDirSync(`${folder}/t/0`)].filter((entry) => entry.name.endsWith(".jsonl"));
    assert.equal(segments.length, 2);
    let next = 0;
    for await (const chunk of log.read("t", 0, 70, 80)) {
      for (const record of chunk) assert.equal(record.offset, 70 + next++);
    }
    assert.equal(next, 10);
  });
});

Deno.test(
  "an acknowledgement that comes after the close is nothing",
  { sanitizeOps: true, sanitizeResources: true },
  async () => {
    const folder = await Deno.makeTempDir();
    const log = await openTransport(`log:${folder}`, world());
    await log.create("t", 1);
    await log.append("t", 0, many(0, 1));
    const reading = { topics: ["t"], group: "g", signal: new AbortController().signal, drain: AbortSignal.abort() };
    for await (const batch of log.receive(reading)) {
      await batch.ack();
      await log.close();
      await batch.ack();
    }
    await Deno.remove(folder, { recursive: true });
  },
);

Deno.test("a record that went with its segment is refused, not waited for", async () => {
  await withLog(async (log, folder) => {
    await log.append("t", 0, many(0, 10));
    const lines = (await Deno.readTextFile(`${folder}/t/0/${segmentName(0)}`)).split("\n");
    await Deno.remove(`${folder}/t/0/${segmentName(0)}`);
    await Deno.writeTextFile(`${folder}/t/0/${segmentName(5)}`, lines.slice(5).join("\n"));
    assert.deepEqual(await log.ranges("t"), [{ low: 5, high: 10 }]);
    await assert.rejects(all(log, 10), (error: Error) => {
      assert.ok(error instanceof Refusal, String(error));
      assert.match(error.message, /record "t\/0\/0": the log begins at 5, must still hold it/);
      return true;
    });
  });
});

Deno.test("a folder that belongs to a newer format is refused", async () => {
  const folder = await Deno.makeTempDir();
  await Deno.writeTextFile(`${folder}/log.json`, '{"format":2,"id":"x"}');
  await assert.rejects(async () => await openTransport(`log:${folder}`, world()), /its format is 2, must be at most 1/);
  await Deno.remove(folder, { recursive: true });
});

Deno.test("who only looks makes no log, and opens nothing that could keep the next one from mending", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const looking = { ...world(), isLooking: true as const };
    await assert.rejects(openTransport(`log:${folder}`, looking), /^Outage: Cannot open log /);
    assert.deepEqual([...Deno.readDirSync(folder)], []);
    await (await openTransport(`log:${folder}`, world())).close();
    const log = await openTransport(`log:${folder}`, looking);
    const presence = Deno.openSync(`${folder}/open`, { write: true });
    assert.ok(presence.tryLockSync(true));
    presence.close();
    assert.equal(log.version, "format 1");
    await log.close();
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("of a claim that was not noted whole, the epoch is that of its checkpoint", async () => {
  await withLog(async (log, folder) => {
    const { epoch } = await log.claim("s", 0);
    for (const torn of ["", '{"epoch":']) {
      await Deno.writeTextFile(`${folder}/checkpoint/s-0.lock`, torn);
      if (torn === "") assert.equal(await log.holder!("s", 0), null);
      await log.save("s", 0, { epoch, nextOffset: 1, state: "{}" });
      assert.deepEqual(await log.holder!("s", 0), { epoch, since: 0 });
    }
  });
});
