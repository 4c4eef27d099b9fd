/** What is built on is synced first: the order in which the log and the lake touch the disk. */
import assert from "@std/assert";
import { auditedRun } from "../testdata/audited.ts";
import { deedsOf } from "../testdata/disk.ts";
import { Chronicle } from "./chronicle.ts";
import { openLake } from "./lake.ts";
import { warm } from "./parquet.ts";
import { openTransport } from "./transport.ts";
import type { World } from "./world.ts";

const strict = { sanitizeOps: true, sanitizeResources: true } as const;
const world: World = { now: () => 5, env: () => undefined, report: () => {}, retryForMs: 0 };
// The engine opens a message port for good, which the first test would be blamed for.
await warm();

async function inFolder(use: (root: string) => Promise<void>): Promise<void> {
  const root = await Deno.makeTempDir({ prefix: "tapedeck-durable-" });
  try {
    await use(root);
  } finally {
    await Deno.remove(root, { recursive: true });
  }
}

Deno.test(
  "a unit's file, its name and every folder above it are durable before the ledger names it",
  strict,
  () =>
    inFolder(async (root) => {
      const lake = await openLake(`file:${root}`, world);
      const held = await lake.begin({ sink: "sink-cold", topic: "t", partition: 0 }, "log", 0);
      const sheet = lake.sheet(held);
      const time = Date.UTC(2024, 7, 8) * 1000;
      sheet.add("trades", [0, 1, "sim", "X", time, time, null, 1, "a", null, null, null, "1", "1", "buy", null]);
      const deeds = await deedsOf(root, async () => void await lake.publish(held, sheet, 2));
      await lake.close();
      const file = `trades/date=2024-08-08/t-0-${"1".padStart(20, "0")}-${"1".padStart(20, "0")}.parquet`;
      assert.deepEqual(deeds, [
        "write _tmp/t-0-1-1.tmp",
        "sync _tmp/t-0-1-1.tmp",
        `link _tmp/t-0-1-1.tmp ${file}`,
        "sync trades/date=2024-08-08",
        "sync trades",
        "sync .",
        "write _ledger/t-0.ledger",
        "sync _ledger/t-0.ledger",
      ]);
    }),
);

Deno.test(
  "the files of an audit and their names are durable before the chronicle names them",
  strict,
  () =>
    inFolder(async (root) => {
      const chronicle = await Chronicle.open(root, root);
      const deeds = await deedsOf(root, async () => void await chronicle.add({ ...auditedRun(3, 2), id: "run" }));
      chronicle.close();
      assert.deepEqual(
        deeds,
        ["results", "plots"].map((what) => `run.${what}.parquet`).flatMap((file) => [
          ...[`write ${file}.tmp`, `sync ${file}.tmp`, `rename ${file}.tmp ${file}`, "sync ."],
        ]),
      );
    }),
);

Deno.test(
  "a file that is written again, and what lay there, are durable before its name leads to it",
  strict,
  () =>
    inFolder(async (root) => {
      const lake = await openLake(`file:${root}`, world);
      const held = await lake.begin({ sink: "sink-cold", topic: "t", partition: 0 }, "log", 0);
      const time = Date.UTC(2024, 7, 8) * 1000;
      const sheetOf = () => {
        const sheet = lake.sheet(held);
        sheet.add("trades", [0, 1, "sim", "X", time, time, null, 1, "a", null, null, null, "1", "1", "buy", null]);
        return sheet;
      };
      await lake.publish(held, sheetOf(), 2);
      const [file] = (await lake.units())[0]!.files;
      await Deno.writeTextFile(`${root}/${file!.path}`, "PAR1");
      let kept: string | null = null;
      const deeds = await deedsOf(root, async () => void (kept = await lake.mend(file!, sheetOf())));
      await lake.close();
      assert.deepEqual(deeds, [
        "write _tmp/mend.tmp",
        "sync _tmp/mend.tmp",
        `link ${file!.path} ${kept}`,
        "write _quarantine/reasons.jsonl",
        "sync _quarantine/reasons.jsonl",
        "sync _quarantine",
        "sync .",
        `rename _tmp/mend.tmp ${file!.path}`,
        "sync trades/date=2024-08-08",
        "sync trades",
        "sync .",
      ]);
    }),
);

Deno.test(
  "what no ledger names is durable in quarantine before the next owner begins",
  strict,
  () =>
    inFolder(async (root) => {
      const place = { sink: "sink-cold", topic: "t", partition: 0 };
      const lake = await openLake(`file:${root}`, world);
      await lake.begin(place, "log", 0);
      await lake.close();
      const orphan = `trades/date=2024-08-08/t-0-${"1".padStart(20, "0")}-${"1".padStart(20, "0")}.parquet`;
      await Deno.mkdir(`${root}/trades/date=2024-08-08`, { recursive: true });
      await Deno.writeTextFile(`${root}/${orphan}`, "PAR1");
      const next = await openLake(`file:${root}`, world);
      const deeds = await deedsOf(root, async () => void await next.acquire(place));
      await next.close();
      const [kept] = [...Deno.readDirSync(`${root}/_quarantine`)].filter(({ name }) => name !== "reasons.jsonl");
      assert.deepEqual(deeds.slice(deeds.findIndex((deed) => deed.startsWith("link"))), [
        `link ${orphan} _quarantine/${kept!.name}`,
        "write _quarantine/reasons.jsonl",
        "sync _quarantine/reasons.jsonl",
        "sync _quarantine",
        "sync .",
        "write _ledger/t-0.ledger",
        "sync _ledger/t-0.ledger",
      ]);
    }),
);

Deno.test(
  "an append is synced before it is acknowledged, and a new segment is named by durable folders",
  strict,
  () =>
    inFolder(async (root) => {
      const log = await openTransport(`log:${root}/log?fsync=batch`, world);
      await log.create("t", 1);
      const segment = `log/t/0/${"0".padStart(20, "0")}.jsonl`;
      const append = async () => void await log.append("t", 0, [{ key: null, value: "{}" }]);
      assert.deepEqual(await deedsOf(root, append), [
        "sync log/t",
        "write log/t/0/lock",
        "sync log/t/0",
        `write ${segment}`,
        `sync ${segment}`,
        "write log/t/0/lock",
      ]);
      assert.deepEqual(await deedsOf(root, append), [`write ${segment}`, `sync ${segment}`, "write log/t/0/lock"]);
      await log.close();
    }),
);

Deno.test(
  "a segment that another process began is named by a durable folder before it is used",
  strict,
  () =>
    inFolder(async (root) => {
      const append = async () => {
        const log = await openTransport(`log:${root}/log`, world);
        await log.create("t", 1);
        const deeds = await deedsOf(root, async () => void await log.append("t", 0, [{ key: null, value: "{}" }]));
        await log.close();
        return deeds;
      };
      await append();
      const segment = `log/t/0/${"0".padStart(20, "0")}.jsonl`;
      const named = ["sync log/t", "sync log/t/0"];
      assert.deepEqual(await append(), [...named, `write ${segment}`, `sync ${segment}`, "write log/t/0/lock"]);
    }),
);

Deno.test(
  "who builds on what is noted as durable syncs nothing, and only on that",
  strict,
  () =>
    inFolder(async (root) => {
      const log = await openTransport(`log:${root}/log`, world);
      await log.create("t", 1);
      await log.append("t", 0, [{ key: null, value: "{}" }]);
      const segment = `log/t/0/${"0".padStart(20, "0")}.jsonl`;
      assert.deepEqual(await deedsOf(root, () => log.sync("t", 0, 1)), []);
      assert.deepEqual(await deedsOf(root, () => log.sync("t", 0, 2)), [`sync ${segment}`]);
      assert.deepEqual(await deedsOf(root, () => log.sync("t", 0)), [`sync ${segment}`]);
      const lock = `${root}/log/t/0/lock`;
      const noted = await Deno.readTextFile(lock);
      await Deno.writeTextFile(lock, noted.slice(0, 20) + "9" + noted.slice(21));
      assert.deepEqual(await deedsOf(root, () => log.sync("t", 0, 1)), [`sync ${segment}`]);
      await log.close();
    }),
);

Deno.test(
  "what a copied log notes as durable is not believed: nobody has synced the copy",
  strict,
  () =>
    inFolder(async (root) => {
      const log = await openTransport(`log:${root}/log`, world);
      await log.create("t", 1);
      await log.append("t", 0, [{ key: null, value: "{}" }]);
      await log.close();
      const copy = await openTransport(`log:${root}/log`, world);
      const segment = `log/t/0/${"0".padStart(20, "0")}.jsonl`;
      assert.deepEqual(await deedsOf(root, () => copy.sync("t", 0, 1)), [`sync ${segment}`]);
      await copy.close();
    }),
);

Deno.test("sync makes durable what was acknowledged without it", strict, () =>
  inFolder(async (root) => {
    const log = await openTransport(`log:${root}/log?fsync=never`, world);
    await log.create("t", 1);
    await log.append("t", 0, [{ key: null, value: "{}" }]);
    const segment = `log/t/0/${"0".padStart(20, "0")}.jsonl`;
    assert.deepEqual(await deedsOf(root, () => log.sync("t", 0)), [`sync ${segment}`]);
    await log.close();
  }));

Deno.test(
  "a checkpoint and the log's identity are whole and durable under their names, or not there",
  strict,
  () =>
    inFolder(async (root) => {
      const made = await deedsOf(root, async () => {
        const log = await openTransport(`log:${root}/log`, world);
        await log.close();
      });
      const [draft] = made[0]!.split(" ").slice(1);
      assert.deepEqual(made, [`write ${draft}`, `sync ${draft}`, `link ${draft} log/log.json`, "sync log"]);
      const log = await openTransport(`log:${root}/log`, world);
      const { epoch } = await log.claim("validate", 0);
      const saved = await deedsOf(root, () => log.save("validate", 0, { epoch, nextOffset: 1, state: "{}" }));
      const path = "log/checkpoint/validate-0.json";
      assert.deepEqual(saved, [
        `write ${path}.new`,
        `sync ${path}.new`,
        `rename ${path}.new ${path}`,
        "sync log/checkpoint",
      ]);
      // Whoever builds on it cannot know whether the last sync succeeded.
      const claimed = await deedsOf(root, async () => void await log.claim("validate", 0));
      assert.ok(claimed.includes("sync log/checkpoint"), claimed.join());
      await log.close();
    }),
);
