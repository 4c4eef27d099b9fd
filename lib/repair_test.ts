import assert from "@std/assert";
import sinkCold from "../cmd/sink-cold.ts";
import { places, run, withData } from "../testdata/flow.ts";
import { type Lake, openLake } from "./lake.ts";
import { warm } from "./parquet.ts";
import { repair } from "./repair.ts";
import { openTransport, TOPICS, type Transport } from "./transport.ts";
import type { World } from "./world.ts";

const strict = { sanitizeOps: true, sanitizeResources: true } as const;
const world: World = { now: () => 1_723_118_400_000, env: () => undefined, report: () => {}, retryForMs: 0 };
const { signal } = new AbortController();
// The engine opens a message port for good, which the first test would be blamed for.
await warm();

/** A tick of `ticks.valid`: origins rise by two, as they do where others are rejected. */
function tick(n: number): { key: string; value: string } {
  const eventTime = Date.UTC(2024, 7, 8) * 1000 + n;
  const head = { type: "trade", venue: "sim", symbol: "X", eventTime, receivedTime: eventTime, sequence: n, id: null };
  const rest = { price: "1.5", size: "2", side: "buy", origin: 2 * n, previous: n === 0 ? -1 : 2 * n - 2 };
  return { key: "sim:X", value: JSON.stringify({ ...head, ...rest }) };
}
const ticks = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => tick(from + i));

interface Ground {
  readonly log: Transport;
  readonly lake: Lake;
  /** Opens the lake once more, as another process would. */
  readonly enter: () => Promise<Lake>;
  readonly root: string;
}

/** Two units of six ticks each, of a log in which a validate that was killed said some of them twice. */
function inTape(use: (ground: Ground) => Promise<void>): () => Promise<void> {
  return () =>
    withData(async (data) => {
      const transport = `memory:${data}`;
      places.set(data, { transport, hot: `memory:${data}` });
      const log = await openTransport(transport, world);
      await log.create(TOPICS.valid, 1);
      for (const [from, to] of [[0, 4], [2, 6], [2, 9], [7, 12]] as const) {
        await log.append(TOPICS.valid, 0, ticks(from, to));
      }
      await run(sinkCold, data, "--unit-rows", "6");
      const opened: Lake[] = [];
      const enter = async (): Promise<Lake> => {
        const lake = await openLake(`file:${data}/lake`, world);
        opened.push(lake);
        return lake;
      };
      try {
        await use({ log, lake: await enter(), enter, root: `${data}/lake` });
      } finally {
        for (const lake of opened) await lake.close();
        await log.close();
      }
    });
}

const mend = ({ log }: Ground, lake: Lake) => repair({ log, ranges: (topic) => log.ranges(topic), lake, signal });
const pathsOf = async (lake: Lake): Promise<readonly string[]> =>
  (await lake.units()).flatMap(({ files }) => files.map(({ path }) => path));

Deno.test(
  "a file is written again from a log that says its ticks twice",
  strict,
  inTape(async (ground) => {
    const { lake, root } = ground;
    const paths = await pathsOf(lake);
    assert.equal(paths.length, 2);
    for (const path of paths) await Deno.writeTextFile(`${root}/${path}`, "PAR1");
    assert.deepEqual((await mend(ground, lake)).map(({ path, mended }) => [path, mended]), [[paths[0], true], [
      paths[1],
      true,
    ]]);
    assert.deepEqual(await lake.damages(), []);
  }),
);

Deno.test(
  "whoever owns the partition keeps it, and publishes on, while a file is written again",
  strict,
  inTape(async (ground) => {
    const { lake, root } = ground;
    const [path] = await pathsOf(lake);
    const owner = await ground.enter();
    const held = (await owner.acquire((await lake.holdings())[0]!))!;
    const ledger = await Deno.readTextFile(`${root}/_ledger/ticks.valid-0.ledger`);
    await Deno.remove(`${root}/${path}`);
    assert.deepEqual(await mend(ground, lake), [{ path, mended: true, was: "missing", kept: null }]);
    assert.equal(await Deno.readTextFile(`${root}/_ledger/ticks.valid-0.ledger`), ledger);
    const sheet = owner.sheet(held);
    const [unit] = await lake.units();
    const [row] = await lake.rows(unit!.files[0]!);
    sheet.add("trades", row!.with(1, held.origin + 2));
    await owner.publish(held, sheet, held.next + 1);
    assert.deepEqual(await lake.damages(), []);
    assert.equal((await lake.units()).length, 3);
  }),
);

Deno.test(
  "two repairs at once mend a file once, and what lay there is kept once, with its reason",
  strict,
  inTape(async (ground) => {
    const { lake, root } = ground;
    const [path] = await pathsOf(lake);
    await Deno.writeTextFile(`${root}/${path}`, "PAR1");
    const found = await Promise.all([mend(ground, lake), mend(ground, await ground.enter())]);
    assert.deepEqual(await lake.damages(), []);
    const kept = found.flat().flatMap((repair) => repair.mended && repair.kept !== null ? [repair.kept] : []);
    assert.equal(kept.length, 1);
    assert.equal(await Deno.readTextFile(`${root}/${kept[0]}`), "PAR1");
    assert.doesNotMatch(kept[0]!, /\.parquet$/);
    const reasons = (await Deno.readTextFile(`${root}/_quarantine/reasons.jsonl`)).trim().split("\n");
    assert.deepEqual(reasons.map((line) => JSON.parse(line)), [{
      at: "2024-08-08T12:00:00.000Z",
      path,
      kept: kept[0],
      reason: "its bytes were not those of the ledger",
    }]);
  }),
);

Deno.test(
  "a file that nothing is wrong with stays, whatever is asked",
  strict,
  inTape(async (ground) => {
    const { lake, root } = ground;
    const [path] = await pathsOf(lake);
    const before = await Deno.stat(`${root}/${path}`);
    assert.deepEqual(await mend(ground, lake), []);
    assert.equal((await Deno.stat(`${root}/${path}`)).ino, before.ino);
  }),
);
