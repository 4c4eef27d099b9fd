/**
 * What only a file can be: another program's, no database at all, newer than this code, locked, or edited by hand.
 */
import assert from "@std/assert";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { type Hot, openHot } from "./hot.ts";
import { ZONE_ROWS, ZoneMap } from "./hot/sqlite/zone.ts";
import type { Row } from "./table.ts";
import type { World } from "./world.ts";

const world: World = { now: () => 0, env: () => undefined, report: () => {}, retryForMs: 0 };
const place = { sink: "sink-hot", topic: "ticks.valid", partition: 0 };

function inFolder(name: string, test: (folder: string) => Promise<void>): void {
  Deno.test({
    name,
    sanitizeOps: true,
    sanitizeResources: true,
    async fn() {
      const folder = await Deno.makeTempDir();
      await test(folder).finally(() => Deno.remove(folder, { recursive: true }));
    },
  });
}

/** Edits the file as somebody with the sqlite3 shell would. */
function edit(path: string, statement: string): void {
  const db = new DatabaseSync(path);
  db.exec(statement);
  db.close();
}

async function originsOf(hot: Hot, from = 0, to = 1e9): Promise<number[]> {
  const origins: number[] = [];
  for await (const chunk of hot.rows("rejected", 0, from, to)) origins.push(...chunk.map((row) => row[1] as number));
  return origins;
}

const rejected = (from: number, to: number): Row[] =>
  Array.from({ length: to - from }, (_, i) => [0, from + i, null, "stale", "[]", "1", 0, "x", null, "reject", null]);

inFolder("a file of another program is refused and stays as it is", async (folder) => {
  const path = join(folder, "other.db");
  edit(path, "create table trades (price real)");
  const before = await Deno.readFile(path);
  await assert.rejects(openHot(`sqlite:${path}`, world), { name: "Refusal", message: /another program made/ });
  assert.deepEqual(await Deno.readFile(path), before);
  assert.deepEqual([...Deno.readDirSync(folder)].map(({ name }) => name), ["other.db"]);
});

inFolder("a file that is no database, or no place for one, is told in one line", async (folder) => {
  const path = join(folder, "text.db");
  await Deno.writeTextFile(path, "date,price\n".repeat(1000));
  await assert.rejects(openHot(`sqlite:${path}`, world), { name: "Refusal", message: /not a database[^\n]*$/ });
  await assert.rejects(openHot(`sqlite:${path}/hot.db`, world), { name: "Misuse", message: /^Cannot open[^\n]*$/ });
  await assert.rejects(openHot(`sqlite:${folder}`, world), { name: "Misuse", message: /^Cannot open[^\n]*$/ });
  await assert.rejects(openHot("sqlite:/proc/none/hot.db", world), { name: "Misuse", message: /must lie where/ });
  for (const url of ["sqlite:", "sqlite::memory:", "sqlite://host/hot.db"]) {
    await assert.rejects(openHot(url, world), { name: "Misuse", message: /names no file/ });
  }
});

inFolder("a schema that is newer than the code is refused", async (folder) => {
  const path = join(folder, "hot.db");
  await (await openHot(`sqlite:${path}`, world)).close();
  edit(path, "pragma user_version = 99");
  await assert.rejects(openHot(`sqlite:${path}`, world), {
    name: "Refusal",
    message: /has version 99, must be at most/,
  });
});

inFolder(
  "what was set aside before there were severities was rejected, and nobody knows where it stood",
  async (folder) => {
    const path = join(folder, "hot.db");
    let hot = await openHot(`sqlite:${path}`, world);
    const held = await hot.begin(place, "log-a", 0);
    await hot.apply({ held, next: 2, origin: 1, rows: { rejected: rejected(0, 2) } });
    await hot.close();
    edit(
      path,
      `alter table rejected drop column severity; alter table rejected drop column standing;
     alter table sink_offsets drop column updated_at; pragma user_version = 2`,
    );
    hot = await openHot(`sqlite:${path}`, world);
    for await (const rows of hot.rows("rejected", 0, 0, 2)) assert.deepEqual(rows, rejected(0, 2));
    assert.deepEqual(await originsOf(hot), [0, 1]);
    await hot.close();
  },
);

inFolder("commits survive a power cut: WAL, synchronous", async (folder) => {
  // The hot store's own connection, since what it syncs belongs to one.
  const opened = new Set<DatabaseSync>();
  const { exec } = DatabaseSync.prototype;
  DatabaseSync.prototype.exec = function (sql) {
    opened.add(this);
    return exec.call(this, sql);
  };
  const hot = await openHot(`sqlite:${join(folder, "hot.db")}`, world)
    .finally(() => DatabaseSync.prototype.exec = exec);
  const settings = [...opened].map((db) =>
    ["journal_mode", "synchronous"].map((name) => db.prepare(`pragma ${name}`).get()![name])
  );
  // 2 is FULL.
  assert.deepEqual(settings, [["wal", 2]]);
  await hot.close();
});

inFolder("rows that were deleted, added or moved by hand are told as they are", async (folder) => {
  const path = join(folder, "hot.db");
  const hot = await openHot(`sqlite:${path}`, world);
  try {
    const n = 2 * ZONE_ROWS + 100;
    const held = await hot.begin(place, "log-a", 0);
    const moved = await hot.apply({ held, next: n, origin: n - 1, rows: { rejected: rejected(0, n) } });
    assert.equal((await originsOf(hot)).length, n);
    edit(path, "delete from rejected where origin in (0, 5, 40000)");
    assert.deepEqual(await originsOf(hot, 0, 8), [1, 2, 3, 4, 6, 7]);
    assert.deepEqual(await originsOf(hot, 39_999, 40_002), [39_999, 40_001]);
    edit(path, "insert into rejected select * from rejected where origin = 7");
    assert.deepEqual(await originsOf(hot, 6, 9), [6, 7, 7, 8]);
    const all = await originsOf(hot);
    assert.deepEqual(all, all.toSorted((a, b) => a - b));
    assert.equal(all.length, n - 3 + 1);
    // The end is deleted, and its row ids are given out again.
    edit(path, `delete from rejected where origin >= 100 or rowid > 100`);
    await hot.apply({ held: moved, next: n + 2, origin: n + 1, rows: { rejected: rejected(n, n + 2) } });
    assert.deepEqual(await originsOf(hot, n), [n, n + 1]);
    assert.deepEqual(await originsOf(hot, 98), [98, 99, n, n + 1]);
  } finally {
    await hot.close();
  }
});

Deno.test("a range of origins is looked for in its zones alone, and a table that grew in its last ones", () => {
  const zones = Array.from({ length: 100 }, (_, i) => ({ partition: i % 2, first: i * 1000, last: i * 1000 + 999 }));
  const asked: number[] = [];
  let high = 49 * ZONE_ROWS + 5;
  const map = new ZoneMap({
    ends: () => ({ low: 1, high }),
    zone({ low }) {
      asked.push(low / ZONE_ROWS);
      return [zones[low / ZONE_ROWS]!];
    },
  });
  const spans = [[20, 21], [22, 23]].map(([low, end]) => ({ low: low! * ZONE_ROWS, high: end! * ZONE_ROWS }));
  assert.deepEqual(map.spans(0, 20_500, 22_001), spans);
  assert.deepEqual(map.spans(1, 20_500, 20_900), []);
  high = 51 * ZONE_ROWS;
  asked.length = 0;
  assert.deepEqual(map.spans(0, 50_000, 1e9), [{ low: 50 * ZONE_ROWS, high: 51 * ZONE_ROWS }]);
  assert.deepEqual(asked, [49, 50, 51]);
});
