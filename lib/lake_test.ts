import assert from "@std/assert";
import { Misuse, Outage, Refusal } from "./failure.ts";
import type { Holding, Place } from "./fence.ts";
import { type Damage, type Lake, openLake, UNIT_DATES_MAX } from "./lake.ts";
import { sha256 } from "./lake/file/ledger.ts";
import { warm, wasmPath } from "./parquet.ts";
import type { Row, TableName } from "./table.ts";
import type { World } from "./world.ts";

const strict = { sanitizeOps: true, sanitizeResources: true } as const;
const PLACE: Place = { sink: "sink-cold", topic: "ticks.valid", partition: 2 };
const LEDGER = "_ledger/ticks.valid-2.ledger";
const NOON = Date.UTC(2024, 7, 8, 12) * 1000;
const DAY = 86_400_000_000;
// The engine opens a message port for good, which the first test would be blamed for.
await warm();

interface Ground {
  readonly root: string;
  /** Opens the lake once more, as another process would. */
  readonly enter: () => Promise<Lake>;
  readonly lines: string[];
}

type Use = (lake: Lake, ground: Ground) => Promise<void>;

/** What every resident promises. */
function promise(name: string, use: Use): void {
  Deno.test(`file: ${name}`, strict, inLake(use));
  Deno.test(`memory: ${name}`, strict, inLake(use, (root) => `memory:${root}`));
}

/** A lake of its own, closed and removed afterwards; in a folder unless `urlOf` says otherwise. */
function inLake(use: Use, urlOf = (root: string) => `file:${root}/lake`): () => Promise<void> {
  return async () => {
    const root = await Deno.makeTempDir({ prefix: "tapedeck-lake-" });
    const lines: string[] = [];
    const world: World = {
      now: () => 1_723_118_400_000,
      env: () => undefined,
      report: (l) => lines.push(l),
      retryForMs: 0,
    };
    const url = urlOf(root);
    const opened: Lake[] = [];
    const enter = async (): Promise<Lake> => {
      const lake = await openLake(url, world);
      opened.push(lake);
      return lake;
    };
    try {
      await use(await enter(), { root: `${root}/lake`, enter, lines });
    } finally {
      for (const lake of opened) await lake.close();
      await Deno.remove(root, { recursive: true });
    }
  };
}

function trade(origin: number, eventTime = NOON + origin, symbol = "BTCUSDT"): Row {
  const head = [2, origin, "sim", symbol, eventTime, eventTime + 9, null, origin, `t${origin}`, null, null, null];
  return [...head, "60000.5", "0.25", "buy", null];
}
function status(origin: number): Row {
  return [2, origin, "sim", "X", NOON, NOON, null, null, null, null, null, null, "gap", 3, 4, null];
}
const trades = (from: number, to: number): Row[] => Array.from({ length: to - from }, (_, i) => trade(from + i));

/** Publishes rows of one table as a unit, resuming one after its last origin. */
async function publish(lake: Lake, held: Holding, rows: readonly Row[], table: TableName = "trades"): Promise<Holding> {
  const sheet = lake.sheet(held);
  for (const row of rows) sheet.add(table, row);
  return (await lake.publish(held, sheet, (rows.at(-1)![1] as number) + 1)).held;
}
const kinds = async (lake: Lake): Promise<string[]> => (await lake.damages()).map((d: Damage) => `${d.kind} ${d.path}`);
const ledgerOf = (root: string): Promise<string> => Deno.readTextFile(`${root}/${LEDGER}`);

/** Names of the files in quarantine. */
const setAside = (root: string): string[] =>
  [...Deno.readDirSync(`${root}/_quarantine`)].map(({ name }) => name).filter((name) => name !== "reasons.jsonl");

/** Takes the last line off the ledger: what a crash before the commit leaves. */
async function uncommit(root: string): Promise<void> {
  const text = await ledgerOf(root);
  await Deno.writeTextFile(`${root}/${LEDGER}`, text.slice(0, text.lastIndexOf("\n", text.length - 2) + 1));
}

Deno.test(
  "a lake that does not exist holds nothing, and reading makes nothing",
  strict,
  inLake(async (lake, { root }) => {
    assert.deepEqual([await lake.holdings(), await lake.units(), await lake.damages()], [[], [], []]);
    await assert.rejects(Deno.stat(root), Deno.errors.NotFound);
  }),
);

promise("an unknown place is null, begins at epoch 1, and each acquire raises the epoch", async (lake) => {
  assert.equal(await lake.acquire(PLACE), null);
  assert.deepEqual(await lake.holdings(), []);
  const held = await lake.begin(PLACE, "log-a", 40);
  assert.deepEqual(held, { ...PLACE, identity: "log-a", epoch: 1, next: 40, origin: -1, since: 1_723_118_400_000 });
  assert.deepEqual(await lake.acquire(PLACE), { ...held, epoch: 2 });
  await assert.rejects(lake.begin(PLACE, "log-a", 40), Refusal);
});

promise("a unit has a file for each table and date, and its rows come back", async (lake, { enter }) => {
  const held = await lake.begin(PLACE, "log", 0);
  const sheet = lake.sheet(held);
  const rows = [trade(3), trade(4, NOON + DAY), trade(7, NOON, "AAA")];
  for (const row of rows) sheet.add("trades", row);
  sheet.add("status", status(9));
  assert.deepEqual([sheet.rows, sheet.dates, sheet.first, sheet.last], [4, 2, 3, 9]);
  const { held: after, files } = await lake.publish(held, sheet, 31);
  assert.deepEqual(after, { ...held, next: 31, origin: 9 });

  const other = await enter();
  assert.deepEqual(await other.holdings(), [after]);
  const [unit] = await other.units();
  const { topic, partition } = PLACE;
  assert.deepEqual({ ...unit, files: [] }, { topic, partition, first: 3, last: 9, from: 0, next: 31, files: [] });
  const name = "ticks.valid-2-00000000000000000003-00000000000000000009.parquet";
  assert.deepEqual(unit!.files.map(({ path, rows }) => [path, rows]), [
    [`trades/date=2024-08-08/${name}`, 2],
    [`trades/date=2024-08-09/${name}`, 1],
    [`status/date=2024-08-08/${name}`, 1],
  ]);
  assert.deepEqual(await other.rows(unit!.files[0]!), [rows[0], rows[2]]);
  assert.deepEqual(await other.rows(unit!.files[2]!), [status(9)]);
  assert.deepEqual(files, unit!.files);
  assert.deepEqual(await other.damages(), []);
});

Deno.test(
  "a unit's files have the bytes that they are said to have, and nothing is left of their making",
  strict,
  inLake(async (lake, { root }) => {
    await publish(lake, await lake.begin(PLACE, "log", 0), trades(0, 10));
    const [file] = (await lake.units())[0]!.files;
    assert.equal((await Deno.stat(`${root}/${file!.path}`)).size, file!.bytes);
    assert.deepEqual([...Deno.readDirSync(`${root}/_tmp`)], []);
  }),
);

Deno.test(
  "the same rows and boundaries give the same bytes in another lake",
  strict,
  inLake(async (lake, { enter }) => {
    const one = await publish(lake, await lake.begin(PLACE, "log", 0), trades(0, 3000));
    assert.equal(one.origin, 2999);
    await inLake(async (twin) => {
      await publish(twin, await twin.begin(PLACE, "log", 0), trades(0, 3000));
      assert.deepEqual(await twin.units(), await (await enter()).units());
    })();
  }),
);

promise("what was told of an instrument comes in the order of origins, and nothing that was built", async (lake) => {
  const BTC = { venue: "sim", symbol: "BTCUSDT" };
  const told = async (from: number, to: number, instrument = BTC): Promise<unknown[]> => {
    const rows: Row[] = [];
    for await (const chunk of lake.told("trades", instrument, from, to)) rows.push(...chunk);
    return rows.map((row) => row[1]);
  };
  assert.deepEqual(await told(0, NOON + DAY), []);
  assert.equal(await lake.lastTold("trades", BTC, NOON, 1e9), null);
  const rows = [
    // Two dates, and the second is told before the first.
    trade(0, NOON + DAY),
    trade(1, NOON + 5),
    trade(2, NOON).with(9, "built"),
    trade(3, NOON).with(9, "backfill"),
    trade(4, NOON + 6, "it's"),
    trade(5, NOON + 7).with(2, "other"),
    trade(6, NOON + 9),
    trade(7, NOON + DAY + 1),
  ];
  const held = await publish(lake, await lake.begin(PLACE, "log", 0), rows.slice(0, 6));
  await publish(lake, held, rows.slice(6));
  assert.deepEqual(await told(0, NOON + 2 * DAY), [0, 1, 3, 6, 7]);
  assert.deepEqual(await told(NOON + 5, NOON + DAY), [0, 1, 6]);
  assert.deepEqual(await told(NOON, NOON + DAY, { ...BTC, symbol: "it's" }), [4]);
  const last = async (to: number, before = 1e9) => (await lake.lastTold("trades", BTC, to, before))?.[1];
  assert.deepEqual(await lake.lastTold("trades", BTC, NOON + 8, 1e9), rows[1]);
  const found = [last(NOON + DAY), last(NOON + 2 * DAY), last(NOON + DAY - 1), last(NOON + 4), last(NOON - 1)];
  assert.deepEqual(await Promise.all(found), [0, 7, 6, 3, undefined]);
  assert.deepEqual(await Promise.all([last(NOON + 9, 6), last(NOON + 9, 3), last(NOON + 9, 1)]), [1, 1, undefined]);
  assert.deepEqual(await lake.symbols("trades", "sim", 9), ["BTCUSDT", "it's"]);
  assert.deepEqual([await lake.symbols("trades", "sim", 1), await lake.symbols("books", "sim", 9)], [["BTCUSDT"], []]);
  assert.deepEqual(await lake.symbols("trades", "other", 9), ["BTCUSDT"]);
});

Deno.test(
  "a file whose bytes are not those of the ledger tells nothing",
  strict,
  inLake(async (lake, { root }) => {
    await publish(lake, await lake.begin(PLACE, "log", 0), trades(0, 10));
    const [file] = (await lake.units())[0]!.files;
    const path = `${root}/${file!.path}`;
    const bytes = await Deno.readFile(path);
    bytes[bytes.length >> 1]! ^= 1;
    await Deno.chmod(path, 0o644);
    await Deno.writeFile(path, bytes);
    const asked = lake.lastTold("trades", { venue: "sim", symbol: "BTCUSDT" }, NOON * 2, 1e9);
    await assert.rejects(asked, { name: "Refusal", message: /are not those of the ledger, must be unchanged/ });
  }),
);

promise("a sheet takes rising origins of its own partition, beyond what is applied", async (lake) => {
  const held = await publish(lake, await lake.begin(PLACE, "log", 0), trades(0, 5));
  const sheet = lake.sheet(held);
  assert.throws(() => sheet.add("trades", trade(4)), RangeError);
  sheet.add("trades", trade(6));
  assert.throws(() => sheet.add("trades", trade(6)), RangeError);
  assert.throws(() => sheet.add("trades", trade(8).with(0, 1)), RangeError);
  assert.deepEqual([sheet.rows, sheet.first, sheet.last], [1, 6, 6]);
});

promise("a sheet tells of a date too many, and of its size", async (lake) => {
  const held = await lake.begin(PLACE, "log", 0);
  const [sheet, twin] = [lake.sheet(held), lake.sheet(held)];
  for (let day = 0; day < UNIT_DATES_MAX; day++) {
    assert.equal(sheet.overflows(NOON + day * DAY), false);
    for (const each of [sheet, twin]) each.add("trades", trade(day, NOON + day * DAY));
  }
  assert.equal(sheet.overflows(NOON), false);
  assert.equal(sheet.overflows(NOON + UNIT_DATES_MAX * DAY), true);
  assert.ok(sheet.size > 100);
  assert.equal(sheet.size, twin.size);
});

promise("an empty sheet moves the offset and no origin", async (lake) => {
  const held = await publish(lake, await lake.begin(PLACE, "log", 0), trades(0, 5));
  assert.deepEqual(await lake.publish(held, lake.sheet(held), held.next), { held, files: [] });
  const { held: moved } = await lake.publish(held, lake.sheet(held), 77);
  assert.deepEqual(moved, { ...held, next: 77 });
  assert.equal((await lake.units()).length, 1);
  assert.deepEqual(await lake.acquire(PLACE), { ...moved, epoch: 2 });
});

Deno.test(
  "a second owner is kept out by name until the first closes",
  strict,
  inLake(async (lake, { enter }) => {
    await lake.begin(PLACE, "log", 0);
    const other = await enter();
    await assert.rejects(other.acquire(PLACE), (error: Error) => {
      assert.ok(error instanceof Refusal);
      assert.match(error.message, new RegExp(`process ${Deno.pid} holds it since 2024-08-08T12:00:00.000Z`));
      return true;
    });
    assert.equal((await other.begin({ ...PLACE, partition: 3 }, "log", 0)).epoch, 1);
    await lake.close();
    assert.equal((await other.acquire(PLACE))?.epoch, 2);
  }),
);

Deno.test(
  "a place is owned from its beginning until its owner closes, and asking makes and takes nothing",
  strict,
  inLake(async (lake, { root, enter }) => {
    assert.equal(await lake.isOwned(PLACE), false);
    await assert.rejects(Deno.stat(root), Deno.errors.NotFound);
    await lake.begin(PLACE, "log", 0);
    const other = await enter();
    assert.deepEqual([await lake.isOwned(PLACE), await other.isOwned(PLACE)], [true, true]);
    assert.equal(await other.isOwned({ ...PLACE, partition: 3 }), false);
    await lake.close();
    assert.equal(await other.isOwned(PLACE), false);
    assert.equal((await other.acquire(PLACE))?.epoch, 2);
  }),
);

promise("an older holding of the same place is fenced", async (lake) => {
  const old = await lake.begin(PLACE, "log", 0);
  const sheet = lake.sheet(old);
  sheet.add("trades", trade(1));
  const held = (await lake.acquire(PLACE))!;
  await assert.rejects(lake.publish(old, sheet, 2), Refusal);
  await assert.rejects(lake.intend(old, 1, 1), Refusal);
  assert.throws(() => lake.intended(old), Refusal);
  const { held: next } = await lake.publish(held, sheet, 2);
  await assert.rejects(lake.publish(held, lake.sheet(held), 9), Refusal);
  await lake.close();
  await assert.rejects(lake.publish(next, lake.sheet(next), 9), Refusal);
});

Deno.test(
  "a ledger that somebody else wrote into, or removed, is refused",
  strict,
  inLake(async (lake, { root }) => {
    const held = await lake.begin(PLACE, "log", 0);
    await Deno.writeTextFile(`${root}/${LEDGER}`, "x", { append: true });
    await assert.rejects(publish(lake, held, trades(0, 2)), Refusal);
    const again = (await lake.acquire(PLACE))!;
    await Deno.remove(`${root}/${LEDGER}`);
    await assert.rejects(publish(lake, again, trades(0, 2)), Refusal);
    await Deno.remove(root, { recursive: true });
    await assert.rejects(publish(lake, again, trades(0, 2)), Outage);
  }),
);

promise("the lake of another sink is refused", async (lake) => {
  await lake.begin(PLACE, "log", 0);
  await assert.rejects(lake.acquire({ ...PLACE, sink: "other" }), Refusal);
});

Deno.test(
  "what was linked and not committed goes, and comes back byte for byte",
  strict,
  inLake(async (lake, ground) => {
    const { root, enter, lines } = ground;
    const held = await publish(lake, await lake.begin(PLACE, "log", 0), trades(0, 10));
    await publish(lake, held, trades(10, 20));
    const units = await lake.units();
    await lake.close();
    await uncommit(root);
    await Deno.writeTextFile(`${root}/_tmp/ticks.valid-2-1-9.tmp`, "half");
    await Deno.writeTextFile(`${root}/_tmp/ticks.valid-21-1-9.tmp`, "of another partition");

    const other = await enter();
    assert.deepEqual(await kinds(other), [`orphan ${units[1]!.files[0]!.path}`]);
    const again = (await other.acquire(PLACE))!;
    assert.deepEqual(again, { ...held, epoch: 2 });
    assert.deepEqual(await kinds(other), []);
    assert.deepEqual([...Deno.readDirSync(`${root}/_tmp`)].map((e) => e.name), ["ticks.valid-21-1-9.tmp"]);
    assert.match(lines.join(), /set 1 files of a unit of ticks.valid-2 aside/);
    const [kept] = setAside(root);
    assert.equal(sha256(await Deno.readFile(`${root}/_quarantine/${kept}`)), units[1]!.files[0]!.sha256);
    await publish(other, again, trades(10, 20));
    assert.deepEqual(await other.units(), units);
    assert.deepEqual(setAside(root), []);
  }),
);

Deno.test(
  "what was linked and not committed is kept while nothing like it is committed, once however often",
  strict,
  inLake(async (lake, { root, enter }) => {
    const held = await publish(lake, await lake.begin(PLACE, "log", 0), trades(0, 10));
    await publish(lake, held, trades(10, 20));
    await lake.close();
    const path = (await lake.units())[1]!.files[0]!.path;
    const bytes = await Deno.readFile(`${root}/${path}`);
    await uncommit(root);
    for (let crash = 0; crash < 3; crash++) {
      await Deno.writeFile(`${root}/${path}`, bytes);
      const other = await enter();
      await other.acquire(PLACE);
      await assert.rejects(Deno.stat(`${root}/${path}`), Deno.errors.NotFound);
      await other.close();
    }
    const other = await enter();
    await publish(other, (await other.acquire(PLACE))!, trades(10, 15));
    const [kept, ...more] = setAside(root);
    assert.deepEqual(more, []);
    assert.deepEqual(await Deno.readFile(`${root}/_quarantine/${kept}`), bytes);
    const reasons = (await Deno.readTextFile(`${root}/_quarantine/reasons.jsonl`)).trim().split("\n");
    assert.deepEqual(JSON.parse(reasons[0]!), {
      at: "2024-08-08T12:00:00.000Z",
      path,
      kept: `_quarantine/${kept}`,
      reason: "no ledger named it; goes once the same bytes are committed",
    });
    assert.deepEqual(await other.damages(), []);
  }),
);

Deno.test(
  "a flipped bit in the last line's end or header costs no file: the next owner is refused",
  strict,
  inLake(async (lake, { root, enter }) => {
    await publish(lake, await lake.begin(PLACE, "log", 0), trades(0, 5));
    const path = (await lake.units())[0]!.files[0]!.path;
    await lake.close();
    const whole = await Deno.readFile(`${root}/${LEDGER}`);
    const last = whole.lastIndexOf(10, whole.length - 2) + 1;
    for (const [at, bit] of [[whole.length - 1, 0], [last + 8, 5]] as const) {
      const changed = whole.slice();
      changed[at]! ^= 1 << bit;
      await Deno.writeFile(`${root}/${LEDGER}`, changed);
      await assert.rejects((await enter()).acquire(PLACE), /a line is changed at byte/);
      assert.deepEqual(await Deno.readFile(`${root}/${LEDGER}`), changed);
      assert.ok((await Deno.stat(`${root}/${path}`)).isFile);
    }
  }),
);

Deno.test(
  "what another owner set aside and did not live to commit goes once it is",
  strict,
  inLake(async (lake, { root, enter }) => {
    await publish(lake, await lake.begin(PLACE, "log", 0), trades(0, 5));
    const [file] = (await lake.units())[0]!.files;
    await lake.close();
    await Deno.mkdir(`${root}/_quarantine`);
    const kept = `${file!.path.replaceAll("/", ".")}.${file!.sha256.slice(0, 16)}`;
    await Deno.link(`${root}/${file!.path}`, `${root}/_quarantine/${kept}`);
    await Deno.writeTextFile(`${root}/_quarantine/${kept.slice(0, -16)}${"0".repeat(16)}`, "other bytes");
    await (await enter()).acquire(PLACE);
    assert.deepEqual(setAside(root), [`${kept.slice(0, -16)}${"0".repeat(16)}`]);
  }),
);

Deno.test(
  "a final name that is taken and not in the ledger gives way",
  strict,
  inLake(async (lake, { root }) => {
    const held = await lake.begin(PLACE, "log", 0);
    const name = "ticks.valid-2-00000000000000000000-00000000000000000004.parquet";
    await Deno.mkdir(`${root}/trades/date=2024-08-08`, { recursive: true });
    await Deno.writeTextFile(`${root}/trades/date=2024-08-08/${name}`, "half");
    await publish(lake, held, trades(0, 5));
    assert.deepEqual(await lake.damages(), []);
    const [kept] = setAside(root);
    assert.equal(await Deno.readTextFile(`${root}/_quarantine/${kept}`), "half");
  }),
);

Deno.test(
  "more than one crash can leave is not removed but refused",
  strict,
  inLake(async (lake, { root, enter }) => {
    let held = await publish(lake, await lake.begin(PLACE, "log", 0), trades(0, 5));
    held = await publish(lake, held, trades(5, 9));
    await publish(lake, held, trades(9, 12));
    await lake.close();
    await uncommit(root);
    await uncommit(root);
    const other = await enter();
    await assert.rejects(other.acquire(PLACE), /2 units lie beyond origin 4/);
    assert.equal((await kinds(other)).length, 2);
    await Deno.remove(`${root}/${LEDGER}`);
    await assert.rejects(other.begin(PLACE, "log", 0), /lies there without a ledger/);
  }),
);

Deno.test(
  "a torn line is cut and told, and its unit is done again",
  strict,
  inLake(async (lake, { root, enter, lines }) => {
    const held = await publish(lake, await lake.begin(PLACE, "log", 0), trades(0, 5));
    await publish(lake, held, trades(5, 9));
    await lake.close();
    const text = await ledgerOf(root);
    await Deno.writeTextFile(`${root}/${LEDGER}`, text.slice(0, -40));
    const other = await enter();
    assert.deepEqual((await kinds(other))[0], `ledger ${LEDGER}`);
    assert.deepEqual(await other.acquire(PLACE), { ...held, epoch: 2 });
    assert.match(lines.join(), /cut \d+ bytes of an unfinished line/);
    await publish(other, (await other.acquire(PLACE))!, trades(5, 9));
    assert.deepEqual(await other.damages(), []);
  }),
);

Deno.test(
  "a changed line is damage and stops the next owner; the sound part is still read",
  strict,
  inLake(async (lake, ground) => {
    const { root, enter } = ground;
    const held = await publish(lake, await lake.begin(PLACE, "log", 0), trades(0, 5));
    await publish(lake, held, trades(5, 9));
    await lake.close();
    const text = await ledgerOf(root);
    const at = text.lastIndexOf('"next":9');
    await Deno.writeTextFile(`${root}/${LEDGER}`, `${text.slice(0, at)}"next":8${text.slice(at + 8)}`);
    const other = await enter();
    const damages = await kinds(other);
    assert.equal(damages[0], `ledger ${LEDGER}`);
    assert.equal((await other.units()).length, 1);
    await assert.rejects(other.acquire(PLACE), /a line is changed at byte/);
    assert.equal(await ledgerOf(root), `${text.slice(0, at)}"next":8${text.slice(at + 8)}`);
  }),
);

Deno.test(
  "a missing, a changed and an unnamed file are damages",
  strict,
  inLake(async (lake, { root, enter }) => {
    let held = await publish(lake, await lake.begin(PLACE, "log", 0), trades(0, 5));
    held = await publish(lake, held, trades(5, 9));
    held = await publish(lake, held, trades(9, 12));
    const [a, b, c] = (await lake.units()).map((unit) => unit.files[0]!.path);
    await Deno.remove(`${root}/${a}`);
    const bytes = await Deno.readFile(`${root}/${b}`);
    bytes[100]! ^= 1;
    await Deno.writeFile(`${root}/${b}`, bytes);
    await Deno.copyFile(`${root}/${c}`, `${root}/trades/stray.parquet`);
    await Deno.copyFile(
      `${root}/${c}`,
      `${root}/trades/date=2024-08-08/ticks.valid-2-${"0".repeat(20)}-${"0".repeat(20)}.parquet`,
    );
    await Deno.writeTextFile(`${root}/trades/.hidden`, "");
    const other = await enter();
    assert.deepEqual((await kinds(other)).sort(), [
      `changed ${b}`,
      `missing ${a}`,
      `orphan trades/date=2024-08-08/ticks.valid-2-${"0".repeat(20)}-${"0".repeat(20)}.parquet`,
      `orphan trades/stray.parquet`,
    ]);
    await assert.rejects(other.rows((await other.units())[1]!.files[0]!), Refusal);
    // What only an owner at work could have left is none while the owner lives.
    await Deno.copyFile(
      `${root}/${c}`,
      `${root}/trades/date=2024-08-08/ticks.valid-2-${"0".repeat(18)}50-${"0".repeat(18)}60.parquet`,
    );
    assert.equal((await kinds(other)).length, 4);
    await lake.close();
    assert.equal((await kinds(other)).length, 5);
  }),
);

Deno.test(
  "a last file that is not as committed stops the next owner",
  strict,
  inLake(async (lake, { root, enter }) => {
    await publish(lake, await lake.begin(PLACE, "log", 0), trades(0, 5));
    const [unit] = await lake.units();
    await lake.close();
    await Deno.remove(`${root}/${unit!.files[0]!.path}`);
    await assert.rejects((await enter()).acquire(PLACE), /is missing/);
  }),
);

promise("an intent binds whoever comes next to its range, and is done with its unit", async (lake, { enter }) => {
  const held = await publish(lake, await lake.begin(PLACE, "log", 0), trades(0, 5));
  assert.equal(lake.intended(held), null);
  await lake.intend(held, 5, 7);
  await lake.intend(held, 5, 7);
  await assert.rejects(lake.intend(held, 5, 9), Refusal);
  await lake.close();
  const other = await enter();
  const heir = (await other.acquire(PLACE))!;
  assert.deepEqual(other.intended(heir), { first: 5, last: 7 });
  await assert.rejects(publish(other, heir, trades(5, 7)), /bound by an intent/);
  await assert.rejects(publish(other, heir, trades(5, 10)), Refusal);
  await assert.rejects(other.publish(heir, other.sheet(heir), 99), Refusal);
  assert.deepEqual(await kinds(other), []);
  const after = await publish(other, heir, trades(5, 8));
  assert.equal(other.intended(after), null);
  await publish(other, after, trades(8, 10));
});

promise("two partitions publish at once", async (lake) => {
  const other = { ...PLACE, partition: 5 };
  const [a, b] = [await lake.begin(PLACE, "log", 0), await lake.begin(other, "log", 0)];
  const rows = trades(0, 50).map((row) => row.with(0, 5));
  await Promise.all([publish(lake, a, trades(0, 50)), publish(lake, b, rows)]);
  assert.deepEqual((await lake.units()).map((unit) => unit.partition), [2, 5]);
  assert.deepEqual(await lake.damages(), []);
});

promise("a sheet of another place is misuse", async (lake) => {
  const a = await lake.begin(PLACE, "log", 0);
  const b = await lake.begin({ ...PLACE, partition: 5 }, "log", 0);
  await assert.rejects(lake.publish(a, lake.sheet(b), 1), Misuse);
});

Deno.test(
  "a topic never leaves the folder, whatever it is called",
  strict,
  inLake(async (lake, { root }) => {
    for (const topic of ["../up", ".hidden", "_x", "a b/ö%", "trades=*?[x]"]) {
      await publish(lake, await lake.begin({ ...PLACE, topic }, "log", 0), trades(0, 2));
    }
    const names = [...Deno.readDirSync(`${root}/trades/date=2024-08-08`)].map(({ name }) => name.slice(0, -50)).sort();
    assert.deepEqual(names, [
      "%2E.%2Fup-2",
      "%2Ehidden-2",
      "%5Fx-2",
      "a%20b%2F%C3%B6%25-2",
      "trades%3D%2A%3F%5Bx%5D-2",
    ]);
    assert.deepEqual((await lake.holdings()).map((held) => held.topic).sort(), [
      "../up",
      ".hidden",
      "_x",
      "a b/ö%",
      "trades=*?[x]",
    ]);
    assert.deepEqual(await lake.damages(), []);
    await assert.rejects(lake.acquire({ ...PLACE, topic: "x".repeat(300) }), Misuse);
  }),
);

Deno.test(
  "a folder that is a link is not written into",
  strict,
  inLake(async (lake, { root }) => {
    const held = await lake.begin(PLACE, "log", 0);
    await Deno.mkdir(`${root}/../elsewhere`);
    await Deno.symlink(`${root}/../elsewhere`, `${root}/trades`);
    await assert.rejects(publish(lake, held, trades(0, 2)), /must be a real folder/);
    assert.deepEqual([...Deno.readDirSync(`${root}/../elsewhere`)], []);
  }),
);

Deno.test("a URL without a folder is misuse", strict, async () => {
  const world: World = { now: () => 0, env: () => undefined, report: () => {}, retryForMs: 0 };
  await assert.rejects(openLake("file:", world), Misuse);
  await assert.rejects(openLake("s3://bucket", world), Misuse);
});

Deno.test(
  "a lake works in a sandbox that knows its folder, the engine's module and two names",
  strict,
  inLake(async (lake, { root }) => {
    const urlOf = (module: string): string => JSON.stringify(new URL(module, import.meta.url).href);
    const code = `import { openLake } from ${urlOf("lake.ts")};
    import { query } from ${urlOf("parquet.ts")};
    onmessage = async ({ data: { root, place, row } }) => {
      try {
        const world = { now: () => 5, env: () => undefined, report: () => {}, retryForMs: 0 };
        const lake = await openLake("file:" + root, world);
        const held = await lake.begin(place, "log", 0);
        const sheet = lake.sheet(held);
        sheet.add("trades", row);
        await lake.publish(held, sheet, 1);
        const file = (await lake.units())[0].files[0];
        const rows = await lake.rows(file);
        const answer = await query([root + "/" + file.path], "SELECT count(*) AS n FROM ticks");
        const damages = await lake.damages();
        await lake.close();
        postMessage({ rows, damages, answer });
      } catch (error) {
        postMessage(String(error?.stack ?? error));
      }
    };`;
    const names = [root, ":memory:", ":memory:.wal"];
    const permissions = {
      read: [...names, wasmPath()],
      write: names,
      sys: ["cpus"],
      net: false,
      env: false,
      run: false,
    };
    const worker = new Worker(`data:text/javascript,${encodeURIComponent(code)}`, {
      type: "module",
      deno: { permissions: { ...permissions, ffi: false } },
    });
    const answer = await new Promise((resolve, reject) => {
      worker.onmessage = ({ data }) => resolve(data);
      worker.onerror = (event) => (event.preventDefault(), reject(new Error(event.message)));
      worker.postMessage({ root, place: PLACE, row: trade(0) });
    });
    worker.terminate();
    assert.deepEqual(answer, { rows: [trade(0)], damages: [], answer: [{ n: 1 }] });
    assert.equal((await lake.units()).length, 1);
  }),
);

promise(
  "what is given up is a line of the ledger: it moves the offset, frees a bound cut, and stays",
  async (lake, { enter }) => {
    const held = await publish(lake, await lake.begin(PLACE, "log", 0), trades(0, 3));
    await lake.intend(held, 3, 5);
    const behind = await lake.skip(held, 10);
    assert.deepEqual([behind.next, behind.origin, lake.intended(behind)], [10, 2, null]);
    const gap = { ...PLACE, first: 3, last: 9, at: 1_723_118_400_000 };
    assert.deepEqual(await lake.gaps(), [gap]);
    await assert.rejects(lake.skip(held, 12), /epoch 1 holds it since 2024-08-08T12:00:00.000Z and stands at 10/);
    await assert.rejects(lake.skip(behind, 10), /a gap from 10 ends before 10/);
    await publish(lake, behind, trades(12, 14));
    await lake.release(behind);
    const other = await enter();
    assert.deepEqual([(await other.acquire(PLACE))?.origin, await other.gaps()], [13, [gap]]);
    assert.deepEqual(await other.damages(), []);
  },
);
