/**
 * A disk without room, at every write and every sync of the log, the lake and SQLite: what was begun is cut back, the
 * rest waits, and goes on by itself once there is room. A sync that failed is not believed when it is asked again.
 */
import assert from "@std/assert";
import { DatabaseSync } from "node:sqlite";
import { onDisk } from "../testdata/mount.ts";
import { simulated } from "../testdata/waiting.ts";
import { Misuse, Outage } from "./failure.ts";
import { openHot } from "./hot.ts";
import { openLake } from "./lake.ts";
import { warm } from "./parquet.ts";
import type { Row } from "./table.ts";
import { type LogRecord, openTransport, type Transport } from "./transport.ts";

const strict = { sanitizeOps: true, sanitizeResources: true } as const;
await warm();

const METHODS = ["write", "writeSync", "sync", "syncSync", "syncData", "syncDataSync"] as const;
type Method = typeof METHODS[number];

/** What becomes of the n-th call of the file's methods: bytes that are taken before it fails; null where it works. */
interface Trouble {
  calls: number;
  fails: (call: number, method: Method) => { readonly code: string; readonly taken: number } | null;
}

/** Runs `act` on a disk that fails as `trouble` says. */
async function on(trouble: Trouble, act: () => Promise<void>): Promise<void> {
  const prototype = Deno.FsFile.prototype as unknown as Record<Method, (bytes?: Uint8Array) => unknown>;
  const kept = METHODS.map((method) => [method, prototype[method]] as const);
  for (const [method, original] of kept) {
    prototype[method] = function (this: Deno.FsFile, bytes?: Uint8Array): unknown {
      const failure = trouble.fails(trouble.calls++, method);
      if (failure === null) return original.call(this, bytes);
      // A short write, and the error at the rest of it.
      if (bytes !== undefined && failure.taken > 0) kept[1]![1].call(this, bytes.subarray(0, failure.taken));
      const error = Object.assign(new Error(`${failure.code} of the test`), { code: failure.code });
      if (method.endsWith("Sync")) throw error;
      return Promise.reject(error);
    };
  }
  try {
    await act();
  } finally {
    for (const [method, original] of kept) prototype[method] = original;
  }
}

/** Every n-th call fails `times` times in a row, then there is room. */
const full = (n: number, taken: number, times = 1, code = "ENOSPC"): Trouble => ({
  calls: 0,
  fails: (call, method) => call >= n && call < n + times ? { code, taken: /^write/.test(method) ? taken : 0 } : null,
});

function inFolder(use: (root: string) => Promise<void>): () => Promise<void> {
  return async () => {
    const root = await Deno.makeTempDir({ prefix: "tapedeck-room-" });
    try {
      await use(root);
    } finally {
      await Deno.remove(root, { recursive: true });
    }
  };
}

async function all(log: Transport): Promise<LogRecord[]> {
  const records: LogRecord[] = [];
  for await (const chunk of log.read("t", 0, 0, 1e9)) records.push(...chunk);
  return records;
}
const many = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, i) => ({ key: "k", value: `{"n":${from + i}}` }));

for (const taken of [0, 10, 150, 1000]) {
  Deno.test(
    `an append that finds room for ${taken} bytes alone waits, and every record is there once`,
    strict,
    inFolder(async (root) => {
      const { world, lines, waits } = simulated(60_000);
      const log = await openTransport(`log:${root}/log?fsync=never`, world);
      await log.create("t", 1);
      await log.append("t", 0, many(0, 3));
      await on(full(0, taken, 4), async () => {
        // The second is asked for while the first one waits, and does not overtake it.
        const [first, second] = await Promise.all([log.append("t", 0, many(3, 40)), log.append("t", 0, many(40, 50))]);
        assert.deepEqual([first, second], [{ first: 3, next: 40 }, { first: 40, next: 50 }]);
      });
      assert.deepEqual((await all(log)).map(({ value }) => value), many(0, 50).map(({ value }) => value));
      assert.equal(waits.length, 4);
      assert.equal(lines[0], 'Cannot append to "t/0": ENOSPC of the test, must have room; trying again for 60 s');
      assert.match(lines.at(-1)!, /^log serves again after \d+ s$/);
      await log.close();
    }),
  );
}

Deno.test(
  "whole lines that a reader may have stay when an append gives up, and what was begun is cut",
  strict,
  inFolder(async (root) => {
    const { world } = simulated(0);
    const log = await openTransport(`log:${root}/log?fsync=never`, world);
    await log.create("t", 1);
    await log.append("t", 0, many(0, 1));
    await on(full(0, 150), async () => {
      await assert.rejects(log.append("t", 0, many(1, 10)), { name: "Outage", message: /must have room$/ });
    });
    const [{ high } = { high: 0 }] = await log.ranges("t");
    assert.ok(high > 1 && high < 10, String(high));
    assert.deepEqual((await all(log)).map(({ value }) => value), many(0, high).map(({ value }) => value));
    assert.deepEqual(await log.append("t", 0, many(high, 12)), { first: high, next: 12 });
    await log.close();
  }),
);

Deno.test(
  "a sync of the log that failed ends its stage, and is not believed the next time",
  strict,
  inFolder(async (root) => {
    const { world, waits } = simulated(60_000);
    const failing: Trouble = {
      calls: 0,
      fails: (_, method) => /^syncData/.test(method) ? { code: "EIO", taken: 0 } : null,
    };
    const log = await openTransport(`log:${root}/log`, world);
    await log.create("t", 1);
    await on(failing, async () => {
      const failed = { name: "Outage", message: /^Cannot sync "t\/0": EIO/ };
      await assert.rejects(log.append("t", 0, many(0, 3)), failed);
      // The disk says yes from here on, to whoever asks.
      failing.fails = () => null;
      await assert.rejects(log.append("t", 0, many(3, 4)), failed);
      await assert.rejects(log.sync("t", 0), failed);
      await assert.rejects(log.close(), failed);
    });
    assert.deepEqual(waits, []);
    assert.equal((await all(log)).length, 3);
  }),
);

Deno.test(
  "a checkpoint waits for room at each of its writes and is whole, and a failed sync of it is written anew",
  strict,
  inFolder(async (root) => {
    const log = await openTransport(`log:${root}/log`, simulated(60_000).world);
    const { epoch } = await log.claim("validate", 0);
    for (let n = 0;; n++) {
      const state = `{"n":${n}}`;
      const trouble = full(n, 5, 2);
      await on(trouble, () => log.save("validate", 0, { epoch, nextOffset: n, state }));
      assert.deepEqual(await log.load("validate", 0), { epoch, nextOffset: n, state });
      if (trouble.calls <= n) break;
    }
    await on(full(0, 5, 1, "EIO"), async () => {
      await assert.rejects(log.save("validate", 0, { epoch, nextOffset: 99, state: "{}" }), Outage);
    });
    assert.notEqual((await log.load("validate", 0))!.nextOffset, 99);
    await log.close();
  }),
);

const TIME = Date.UTC(2024, 7, 8) * 1000;
const trade = (origin: number): Row => [
  ...[0, origin, "sim", "X", TIME, TIME, null, origin, "a", null, null, null],
  ...["1", "1", "buy", null],
];
const PLACE = { sink: "sink-cold", topic: "t", partition: 0 };

for (const code of ["ENOSPC", "EIO"]) {
  Deno.test(
    `a unit of the lake meets ${code} at each write and sync, and is whole or not there`,
    strict,
    inFolder(async (root) => {
      let isOver = false;
      for (let n = 0; !isOver; n++) {
        const { world } = simulated(60_000);
        const lake = await openLake(`file:${root}/${n}`, world);
        let held = await lake.begin(PLACE, "log", 0);
        const sheet = lake.sheet(held);
        sheet.add("trades", trade(1));
        sheet.add("quotes", [...trade(2).slice(0, 12), "1", "1", "2", "2"]);
        const trouble = full(n, 7, 2, code);
        await on(trouble, async () => {
          await lake.intend(held, 1, 2).then(() => lake.publish(held, sheet, 3)).then(
            ({ held: after }) => held = after,
            (error) => {
              assert.ok(code === "EIO" && error instanceof Outage, String(error));
            },
          );
        });
        isOver = trouble.calls <= n;
        const files = (await lake.units()).flatMap((unit) => unit.files).length;
        assert.equal(files, held.next === 3 ? 2 : 0);
        assert.equal(held.next === 3, code === "ENOSPC" || isOver);
        await lake.close();
        // Who comes next finds a sound lake, or one that it can make so.
        const next = await openLake(`file:${root}/${n}`, simulated(0).world);
        assert.equal((await next.acquire(PLACE))!.next, held.next);
        assert.deepEqual(await next.damages(), []);
        await next.close();
      }
    }),
  );
}

Deno.test(
  "files of a unit that found no room make room for its next try",
  strict,
  inFolder(async (root) => {
    const simulation = simulated(60_000);
    const lake = await openLake(`file:${root}`, simulation.world);
    const held = await lake.begin(PLACE, "log", 0);
    const sheet = lake.sheet(held);
    sheet.add("trades", trade(1));
    sheet.add("quotes", [...trade(2).slice(0, 12), "1", "1", "2", "2"]);
    let left = -1;
    simulation.onWait = () => left = [...Deno.readDirSync(`${root}/trades/date=2024-08-08`)].length;
    // The first file takes a write and a sync.
    await on(full(2, 0), async () => void await lake.publish(held, sheet, 3));
    assert.equal(left, 0);
    await lake.close();
  }),
);

Deno.test(
  "a transaction of SQLite that finds no room is rolled back, waits, and is done again",
  strict,
  inFolder(async (root) => {
    const simulation = simulated(60_000);
    const path = `${root}/hot.db`;
    // The hot store's own connection, since the bound belongs to one.
    const opened: DatabaseSync[] = [];
    const exec = DatabaseSync.prototype.exec;
    DatabaseSync.prototype.exec = function (sql) {
      if (!opened.includes(this)) opened.push(this);
      return exec.call(this, sql);
    };
    const hot = await openHot(`sqlite:${path}`, simulation.world);
    DatabaseSync.prototype.exec = exec;
    const held = await hot.begin({ ...PLACE, sink: "sink-hot" }, "log", 0);
    const pages = (max: number) => opened[0]!.exec(`pragma max_page_count = ${max}`);
    pages(1);
    simulation.onWait = (count) => {
      // Nothing of it is to be seen meanwhile.
      const other = new DatabaseSync(path);
      assert.deepEqual({ ...other.prepare("select count(*) n from trades").get() }, { n: 0 });
      assert.deepEqual({ ...other.prepare("select next_off n from sink_offsets").get() }, { n: 0 });
      other.close();
      if (count === 3) pages(1_000_000);
    };
    const rows = Array.from({ length: 5000 }, (_, i) => trade(i));
    const after = await hot.apply({ held, next: 5000, origin: 4999, rows: { trades: rows } });
    assert.equal(simulation.waits.length, 3);
    assert.deepEqual(await hot.holdings(), [after]);
    let count = 0;
    for await (const chunk of hot.rows("trades", 0, 0, 1e9)) count += chunk.length;
    assert.equal(count, 5000);
    assert.match(
      simulation.lines[0]!,
      /^Cannot apply in hot store ".*": database or disk is full, must have room; try/,
    );
    await hot.close();
  }),
);

Deno.test(
  "waiting for a lake's owner ends when the stage is asked to stop",
  strict,
  inFolder(async (root) => {
    const owner = await openLake(`file:${root}`, simulated(0).world);
    await owner.begin(PLACE, "log", 0);
    const simulation = simulated(60_000);
    simulation.onWait = (count) => count === 3 && simulation.stop.abort();
    const other = await openLake(`file:${root}`, simulation.world);
    await assert.rejects(other.acquire(PLACE), { name: "Outage", message: /must be waited for/ });
    assert.equal(simulation.waits.length, 3);
    await other.close();
    await owner.close();
  }),
);

Deno.test(
  "a folder that may only be read is one clear line at every door, and nobody waits for it",
  strict,
  inFolder(async (root) => {
    const folder = `${root}/ro`;
    await onDisk(folder, "size=1m,ro", async () => {
      const { world, waits } = simulated(60_000);
      for (
        const open of [
          () => openTransport(`log:${folder}/log`, world),
          () => openHot(`sqlite:${folder}/hot.db`, world),
          async () => (await openLake(`file:${folder}/lake`, world)).acquire(PLACE),
        ]
      ) {
        await assert.rejects(async () => await open(), (error: Error) => {
          assert.ok(error instanceof Misuse, String(error));
          assert.match(error.message, /^Cannot [^\n]*, must lie where it may be written$/);
          return true;
        });
      }
      assert.deepEqual(waits, []);
    });
  }),
);
