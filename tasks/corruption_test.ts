/** What somebody or something changed behind our back: the audit exits with findings, and names each one with its place. */
import assert from "@std/assert";
import { cp } from "node:fs/promises";
import { DatabaseSync } from "node:sqlite";
import { crc32 } from "node:zlib";
import audit from "../cmd/audit.ts";
import simulate from "../cmd/simulate.ts";
import sinkCold from "../cmd/sink-cold.ts";
import sinkHot from "../cmd/sink-hot.ts";
import validate from "../cmd/validate.ts";
import { sha256 } from "../lib/lake/file/ledger.ts";
import { Chance } from "../lib/chance.ts";
import { warm } from "../lib/parquet.ts";
import { openLake } from "../lib/lake.ts";
import { perform } from "../lib/stage.ts";
import { run, settingOf } from "../testdata/flow.ts";

const strict = { sanitizeOps: true, sanitizeResources: true } as const;
const SEED = 7;
const chance = Chance.of(SEED, 3);
// The engine opens a message port for good, which the first test would be blamed for.
await warm();

interface Finding {
  readonly finding: string;
  readonly place: string;
  readonly first: number;
  readonly last: number;
  readonly detail: string;
}

/** A sound tape that every case gets a copy of. */
const sound = await Deno.makeTempDir({ prefix: "tapedeck-sound-" });
addEventListener("unload", () => Deno.removeSync(sound, { recursive: true }));
await run(simulate, sound, "--ticks", "1500", "--faults", "0.15", "--symbols", "8");
await run(validate, sound);
await run(sinkHot, sound);
await run(sinkCold, sound, "--unit-rows", "200");

/** Damages a copy of the tape and says what the audit must find: `finding place`, as a beginning or a pattern. */
function damaged(what: string, damage: (data: string) => Promise<readonly (string | RegExp)[]>): void {
  Deno.test(`the audit finds and names ${what}`, strict, () =>
    withCopy(async (data) => {
      const wanted = await damage(data);
      const findings = (await run(audit, data)).findings as readonly Finding[];
      const found = findings.map(({ finding, place, first, last, detail }) =>
        `${finding} ${place} ${first}-${last} ${detail}`
      );
      for (const want of wanted) {
        const isWanted = (line: string) => typeof want === "string" ? line.startsWith(want) : want.test(line);
        assert.ok(found.some(isWanted), `${want} is not among:\n${found.join("\n")}`);
      }
    }));
}

/** Gives a test a copy of the tape. */
async function withCopy(use: (data: string) => Promise<void>): Promise<void> {
  const data = await Deno.makeTempDir({ prefix: "tapedeck-damaged-" });
  try {
    await cp(sound, data, { recursive: true });
    await use(data);
  } finally {
    await Deno.remove(data, { recursive: true });
  }
}

/** One of the rows of a table of partition 0, by its origin. */
function inHot(data: string, table: string, change: (db: DatabaseSync, origin: number) => void): number {
  const db = new DatabaseSync(`${data}/hot.db`);
  try {
    const rows = db.prepare(`select origin from ${table} where "partition" = 0 order by origin`).all();
    const origin = rows[1 + chance.below(rows.length - 2)]!.origin as number;
    change(db, origin);
    return origin;
  } finally {
    db.close();
  }
}

const files = (data: string): string[] => [...pathsBelow(`${data}/lake`)].filter((path) => path.endsWith(".parquet"));
const oneOf = <T>(list: readonly T[]): T => list[chance.below(list.length)]!;
const named = (data: string, path: string): string => path.slice(`${data}/lake/`.length);
const segment = (data: string, topic: string): string => `${data}/log/${topic}/0/${"0".padStart(20, "0")}.jsonl`;
const ledger = (data: string): string => `${data}/lake/_ledger/ticks.valid-0.ledger`;
const linesOf = async (path: string): Promise<string[]> => (await Deno.readTextFile(path)).split("\n").slice(0, -1);
const write = (path: string, lines: readonly string[]) => Deno.writeTextFile(path, lines.map((l) => l + "\n").join(""));

damaged("a row deleted from the hot store", (data) => {
  const origin = inHot(
    data,
    "quotes",
    (db, origin) => db.exec(`delete from quotes where "partition" = 0 and origin = ${origin}`),
  );
  return Promise.resolve([new RegExp(`^missing in hot quotes/0 ${origin}-${origin}`)]);
});
damaged("a row doubled in the hot store", (data) => {
  const origin = inHot(
    data,
    "trades",
    (db, origin) => db.exec(`insert into trades select * from trades where "partition" = 0 and origin = ${origin}`),
  );
  return Promise.resolve([new RegExp(`^extra in hot trades/0 ${origin}-${origin}`)]);
});
damaged("a price changed in the hot store", (data) => {
  const origin = inHot(
    data,
    "trades",
    (db, origin) => db.exec(`update trades set price = price || '1' where "partition" = 0 and origin = ${origin}`),
  );
  return Promise.resolve([new RegExp(`^differs in hot trades/0 ${origin}-${origin}`)]);
});
damaged("a rejected message deleted from the hot store", (data) => {
  const origin = inHot(
    data,
    "rejected",
    (db, origin) => db.exec(`delete from rejected where "partition" = 0 and origin = ${origin}`),
  );
  return Promise.resolve([new RegExp(`^missing in hot rejected/0 ${origin}-${origin}`)]);
});
damaged("the original of a rejected message changed in the hot store", (data) => {
  const origin = inHot(
    data,
    "rejected",
    (db, origin) => db.exec(`update rejected set reason = 'locked' where "partition" = 0 and origin = ${origin}`),
  );
  return Promise.resolve([new RegExp(`^differs in hot rejected/0 ${origin}-${origin}`)]);
});
damaged("an offset of the hot store moved forward", (data) => {
  inHot(
    data,
    "trades",
    (db) =>
      db.exec("update sink_offsets set next_off = next_off + 9 where topic = 'ticks.valid' and \"partition\" = 0"),
  );
  return Promise.resolve(["log truncated ticks.valid/0"]);
});
damaged("an offset of the hot store moved back", (data) => {
  inHot(
    data,
    "trades",
    (db) =>
      db.exec(
        "update sink_offsets set next_off = next_off - 50, origin = origin - 60 where topic = 'ticks.valid' and \"partition\" = 0",
      ),
  );
  return Promise.resolve(["behind ticks.raw/0", "extra in hot quotes/0", "extra in hot trades/0"]);
});
damaged("the offsets of the hot store deleted", (data) => {
  inHot(data, "trades", (db) => db.exec("delete from sink_offsets"));
  return Promise.resolve([0, 1].flatMap((p) => [`extra in hot trades/${p} `, `extra in hot rejected/${p} `]));
});
damaged("rows that nobody applied at the end of the hot store", (data) => {
  const beyond = (table: string, partition: number, origin: number) =>
    inHot(
      data,
      table,
      (db, of) =>
        db.exec(`create temp table copy as select * from ${table} where "partition" = 0 and origin = ${of};
        update copy set "partition" = ${partition}, origin = ${origin}; insert into ${table} select * from copy`),
    );
  beyond("trades", 0, 1_000_000);
  beyond("rejected", 1, 1_000_001);
  beyond("quotes", 99, 3);
  return Promise.resolve([
    /^extra in hot trades\/0 1000000-1000000 1 row beyond origin \d+, .* of ticks\.valid$/,
    /^extra in hot rejected\/1 1000001-1000001 1 row beyond origin \d+, .* of ticks\.rejected$/,
    "extra in hot quotes/99 3-3 1 row of a partition that ticks.raw does not have",
  ]);
});
damaged("a unit of the lake in a partition that the log does not have", async (data) => {
  const world = { now: () => 0, env: () => undefined, report: () => {}, retryForMs: 0 };
  const lake = await openLake(`file:${data}/lake`, world);
  const held = await lake.begin({ sink: "sink-cold", topic: "ticks.valid", partition: 7 }, "another log", 0);
  const [unit] = await lake.units();
  const [row] = await lake.rows(unit!.files[0]!);
  const sheet = lake.sheet(held);
  sheet.add(unit!.files[0]!.table, [7, 4, ...row!.slice(2)]);
  await lake.publish(held, sheet, 5);
  await lake.close();
  return ["extra in cold ticks.valid/7 4-4 a unit of a partition that ticks.raw does not have"];
});

Deno.test(
  "rows above the offset of the hot store are a finding of an audit beside the pipeline too",
  strict,
  async () => {
    await withCopy(async (data) => {
      inHot(
        data,
        "trades",
        (db) =>
          db.exec("update sink_offsets set next_off = next_off - 50, origin = origin - 60 where topic = 'ticks.valid'"),
      );
      const never = new AbortController().signal;
      const { findings } = await perform(audit, settingOf(audit, data, []), () => {}, never, never);
      const kinds = new Set((findings as readonly Finding[]).map(({ finding }) => finding));
      assert.deepEqual([...kinds], ["set back", "extra in hot"]);
    });
  },
);

Deno.test("sink-hot does not begin at 0 where its rows are and their offsets are lost", strict, async () => {
  await withCopy(async (data) => {
    inHot(data, "trades", (db) => db.exec("delete from sink_offsets"));
    await assert.rejects(run(sinkHot, data), {
      name: "Refusal",
      message: /^Cannot begin place "sink-hot\/ticks\.\w+\/\d": table "\w+" has rows of partition \d/,
    });
    const db = new DatabaseSync(`${data}/hot.db`);
    assert.deepEqual(db.prepare("select * from sink_offsets").all(), []);
    db.close();
  });
});

damaged("a flipped bit in a file of the lake", async (data) => {
  const path = oneOf(files(data));
  await change(path, (bytes) => {
    bytes[chance.below(bytes.length)]! ^= 1 << chance.below(8);
    return bytes;
  });
  return [`lake changed ${named(data, path)}`];
});
damaged("a truncated file of the lake", async (data) => {
  const path = oneOf(files(data));
  await change(path, (bytes) => bytes.subarray(0, chance.below(bytes.length)));
  return [`lake changed ${named(data, path)}`];
});
damaged("a missing file of the lake", async (data) => {
  const path = oneOf(files(data));
  await Deno.remove(path);
  return [`lake missing ${named(data, path)}`];
});
damaged("two exchanged files of the lake", async (data) => {
  const [a, b] = files(data);
  await Deno.rename(a!, `${data}/kept`);
  await Deno.rename(b!, a!);
  await Deno.rename(`${data}/kept`, b!);
  return [`lake changed ${named(data, a!)}`, `lake changed ${named(data, b!)}`];
});
damaged("a renamed file of the lake", async (data) => {
  const path = oneOf(files(data));
  const other = path.replace(/-\d{20}\.parquet$/, `-${"9".repeat(20)}.parquet`);
  await Deno.rename(path, other);
  return [`lake missing ${named(data, path)}`, `lake orphan ${named(data, other)}`];
});
damaged("a file that the ledger does not name", async (data) => {
  const path = oneOf(files(data));
  const other = path.replace(/-\d{20}-\d{20}\.parquet$/, "-mine.parquet");
  await Deno.copyFile(path, other);
  return [`lake orphan ${named(data, other)}`];
});
damaged("a line taken out of the ledger", async (data) => {
  const lines = await linesOf(ledger(data));
  await write(ledger(data), lines.toSpliced(1, 1));
  return ["lake ledger _ledger/ticks.valid-0.ledger"];
});
damaged("a flipped bit in the ledger", async (data) => {
  await change(ledger(data), (bytes) => {
    bytes[chance.below(bytes.length >> 1)]! ^= 1;
    return bytes;
  });
  return ["lake ledger _ledger/ticks.valid-0.ledger"];
});
damaged("the last line of the ledger cut off", async (data) => {
  const lines = await linesOf(ledger(data));
  await write(ledger(data), lines.slice(0, -1));
  return [/^lake orphan .*ticks\.valid-0-/, "behind ticks.raw/0"];
});
damaged("a cut segment of the log", async (data) => {
  const { size } = await Deno.stat(segment(data, "ticks.raw"));
  await Deno.truncate(segment(data, "ticks.raw"), size - 1 - chance.below(size >> 1));
  return ["log truncated ticks.raw/0"];
});
damaged("a flipped bit in a record of the log", async (data) => {
  const lines = await linesOf(segment(data, "ticks.raw"));
  const offset = 1 + chance.below(lines.length - 2);
  const line = lines[offset]!;
  await write(
    segment(data, "ticks.raw"),
    lines.with(offset, line.slice(0, 60) + (line[60] === "1" ? "0" : "1") + line.slice(61)),
  );
  return [new RegExp(`^log damaged ticks\\.raw/0.*ticks\\.raw/0/${offset}"`)];
});
damaged("a record taken out of the log", async (data) => {
  const lines = await linesOf(segment(data, "ticks.valid"));
  const offset = 1 + chance.below(lines.length - 2);
  await write(segment(data, "ticks.valid"), lines.toSpliced(offset, 1));
  return [new RegExp(`^log damaged ticks\\.valid/0.*ticks\\.valid/0/${offset}"`)];
});
damaged("a verdict that was forged with a checksum of its own", async (data) => {
  const lines = await linesOf(segment(data, "ticks.valid"));
  const at = lines.findIndex((line, i) => i > 20 && line.includes('"type":"trade"'));
  const covered = lines[at]!.slice(18).replace(/"size":"/, '"size":"1');
  const crc = crc32(covered).toString(16).padStart(8, "0");
  await write(segment(data, "ticks.valid"), lines.with(at, `{"crc":"${crc}",${covered}`));
  const origin = /"origin":(\d+)/.exec(covered)![1];
  return [
    new RegExp(`^differs in hot trades/0 ${origin}-${origin}`),
    new RegExp(`^differs in cold trades/.*\\.parquet/0 ${origin}-${origin}`),
  ];
});
damaged("a checkpoint moved forward", async (data) => {
  await inCheckpoint(data, 5);
  return ["log truncated ticks.raw/0"];
});
damaged("a checkpoint moved back", async (data) => {
  await inCheckpoint(data, -5);
  return ["behind ticks.raw/0"];
});

/** Damages files of the lake in a copy of the tape and has them written again: all is as it was, and what lay there is kept. */
function mended(what: string, damage: (data: string) => Promise<readonly string[]>): void {
  Deno.test(`the audit writes ${what} again from the log, byte for byte`, strict, async () => {
    const data = await Deno.makeTempDir({ prefix: "tapedeck-mended-" });
    try {
      await cp(sound, data, { recursive: true });
      const paths = (await damage(data)).map((path) => named(data, path)).sort();
      const lying = await contentsOf(data, paths);
      const { findings, repairs } = await run(audit, data, "--repair") as unknown as Repaired;
      assert.deepEqual(findings, []);
      assert.deepEqual(repairs.map(({ path, mended }) => [path, mended]).sort(), paths.map((path) => [path, true]));
      assert.deepEqual(await contentsOf(data, paths), await contentsOf(sound, paths));
      for (const { path, kept } of repairs) {
        const [was] = kept === null ? [undefined] : await contentsOf(data, [kept]);
        assert.deepEqual(was, lying[paths.indexOf(path)]);
      }
      assert.deepEqual((await run(audit, data)).findings, []);
      assert.deepEqual((await run(audit, data, "--repair")).repairs, []);
      // Whoever goes by a pattern sees none of what was kept.
      assert.deepEqual(files(data).map((path) => named(data, path)), files(sound).map((path) => named(sound, path)));
      // The sink, which would have refused its last unit, goes on.
      await run(sinkCold, data);
    } finally {
      await Deno.remove(data, { recursive: true });
    }
  });
}

interface Repaired {
  readonly findings: readonly Finding[];
  readonly repairs: readonly { readonly path: string; readonly mended: boolean; readonly kept: string | null }[];
}

/** Digests of files of the lake; undefined for one that is not there. */
async function contentsOf(data: string, paths: readonly string[]): Promise<(string | undefined)[]> {
  return await Promise.all(
    paths.map((path) => Deno.readFile(`${data}/lake/${path}`).then((bytes) => sha256(bytes), () => undefined)),
  );
}

const flipped = (path: string) =>
  change(path, (bytes) => {
    bytes[chance.below(bytes.length)]! ^= 1 << chance.below(8);
    return bytes;
  });

mended("a flipped bit of a file of the lake", async (data) => {
  const path = oneOf(files(data));
  await flipped(path);
  return [path];
});
mended("a truncated file of the lake", async (data) => {
  const path = oneOf(files(data));
  await change(path, (bytes) => bytes.subarray(0, chance.below(bytes.length)));
  return [path];
});
mended("the last unit of each partition", async (data) => {
  const last = [0, 1].flatMap((partition) => {
    const units = files(data).filter((path) => path.includes(`ticks.valid-${partition}-`));
    const name = units.map((path) => path.slice(-48)).sort().at(-1)!;
    return units.filter((path) => path.endsWith(name));
  });
  for (const path of last) await flipped(path);
  assert.ok(last.length >= 3, `${last}`);
  return last;
});
mended("a folder of deleted files", async (data) => {
  const paths = files(data).filter((path) => path.includes("/quotes/"));
  await Deno.remove(`${data}/lake/quotes`, { recursive: true });
  return paths;
});
mended("two exchanged files", async (data) => {
  const [a, b] = files(data);
  await Deno.rename(a!, `${data}/kept`);
  await Deno.rename(b!, a!);
  await Deno.rename(`${data}/kept`, b!);
  return [a!, b!];
});

/** The audit is asked to repair a file that it cannot: it says why, and everything in the lake stays as it is. */
function unmended(what: string, spoil: (data: string) => Promise<RegExp>): void {
  Deno.test(`the audit leaves a damaged file alone ${what}`, strict, async () => {
    const data = await Deno.makeTempDir({ prefix: "tapedeck-unmended-" });
    try {
      await cp(sound, data, { recursive: true });
      const path = files(data).find((path) => path.includes("/trades/") && path.includes("ticks.valid-0-"))!;
      await flipped(path);
      const why = await spoil(data);
      const before = [...pathsBelow(`${data}/lake`)];
      const lying = await Deno.readFile(path);
      const { findings, repairs } = await run(audit, data, "--repair") as unknown as Repaired;
      assert.deepEqual(repairs.map(({ path, mended }) => [path, mended]), [[named(data, path), false]]);
      const finding = findings.find(({ finding, place }) => finding === "lake changed" && place === named(data, path));
      assert.match(finding?.detail ?? "", why);
      assert.deepEqual([...pathsBelow(`${data}/lake`)], before);
      assert.deepEqual(await Deno.readFile(path), lying);
    } finally {
      await Deno.remove(data, { recursive: true });
    }
  });
}

unmended("when the log has lost its rows", async (data) => {
  await Deno.truncate(segment(data, "ticks.valid"));
  return /Cannot read origins 1 to \d+ of "ticks\.valid\/0" again: .*must be in the log/;
});
unmended("when retention took the beginning of its rows", async (data) => {
  const lines = await linesOf(segment(data, "ticks.valid"));
  await Deno.remove(segment(data, "ticks.valid"));
  await write(`${data}/log/ticks.valid/0/${"50".padStart(20, "0")}.jsonl`, lines.slice(50));
  return /the log holds offsets 50 to \d+ and they are at 0 to \d+, must be in the log/;
});
unmended("when the log says something else now", async (data) => {
  const lines = await linesOf(segment(data, "ticks.valid"));
  const at = lines.findIndex((line) => line.includes('"type":"trade"'));
  const covered = lines[at]!.slice(18).replace(/"size":"/, '"size":"1');
  const crc = crc32(covered).toString(16).padStart(8, "0");
  await write(segment(data, "ticks.valid"), lines.with(at, `{"crc":"${crc}",${covered}`));
  return /the log's rows give other bytes than were committed/;
});
unmended("when it is another log", async (data) => {
  const path = `${data}/log/ticks.valid/topic.json`;
  const topic = JSON.parse(await Deno.readTextFile(path));
  await Deno.writeTextFile(path, JSON.stringify({ ...topic, id: crypto.randomUUID() }) + "\n");
  return /the lake was fed from log ".*" and this is ".*", must be the same log/;
});

async function inCheckpoint(data: string, by: number): Promise<void> {
  const path = `${data}/log/checkpoint/validate-0.json`;
  const checkpoint = JSON.parse(await Deno.readTextFile(path));
  await Deno.writeTextFile(path, JSON.stringify({ ...checkpoint, nextOffset: checkpoint.nextOffset + by }));
}

async function change(path: string, by: (bytes: Uint8Array) => Uint8Array): Promise<void> {
  const bytes = by(await Deno.readFile(path));
  await Deno.remove(path);
  await Deno.writeFile(path, bytes);
}

function* pathsBelow(folder: string): Generator<string> {
  for (const { name, isDirectory } of [...Deno.readDirSync(folder)].sort((a, b) => a.name < b.name ? -1 : 1)) {
    if (isDirectory) yield* pathsBelow(`${folder}/${name}`);
    else yield `${folder}/${name}`;
  }
}
