/**
 * Producers that fall in their first run, or among others who append to the same partitions: whoever goes on appends what
 * is missing, and nothing of another market.
 */
import assert from "@std/assert";
import ingest from "../cmd/ingest.ts";
import simulate from "../cmd/simulate.ts";
import { Misuse, Outage } from "../lib/failure.ts";
import { openHot } from "../lib/hot.ts";
import { openLake } from "../lib/lake.ts";
import { perform, type Stage } from "../lib/stage.ts";
import { openTransport, TOPICS, type Transport } from "../lib/transport.ts";
import { places, run, settingOf } from "../testdata/flow.ts";

const strict = { sanitizeOps: true, sanitizeResources: true } as const;
const world = { now: Date.now, env: () => undefined, report: () => {}, retryForMs: 0 };
const never = new AbortController().signal;
const at_once = AbortSignal.abort();
let tapes = 0;

async function tape(): Promise<{ readonly data: string; readonly log: Transport }> {
  const data = `producer-${tapes++}`;
  places.set(data, { transport: `memory:${data}`, hot: "memory:" });
  return { data, log: await openTransport(`memory:${data}`, world) };
}

/** Lets a stage append all that it makes and fall before it can save that; its first `saves` succeed. */
async function fall(stage: Stage, data: string, log: Transport, saves: number, ...args: string[]): Promise<void> {
  const save: Transport["save"] = (name, partition, checkpoint) =>
    saves-- > 0 ? log.save(name, partition, checkpoint) : Promise.reject(new Outage("it fell before it saved"));
  const door = new Proxy(log, {
    get(door, name: keyof Transport) {
      const deed = name === "save" ? save : door[name];
      return typeof deed === "function" ? deed.bind(door) : deed;
    },
  });
  const open = { transport: () => Promise.resolve(door), hot: openHot, lake: openLake };
  const setting = settingOf(stage, data, args);
  await assert.rejects(perform(stage, setting, () => {}, never, at_once, open), /it fell before it saved/);
}

/** The values of a producer's messages in each partition, and that none is there twice. */
async function made(log: Transport, id: RegExp): Promise<readonly string[][]> {
  return await Promise.all([0, 1].map(async (partition) => {
    const values: string[] = [];
    for await (const records of log.read(TOPICS.raw, partition, 0, Infinity)) {
      for (const { producer, value } of records) {
        if (!id.test(producer?.id ?? "")) continue;
        assert.equal(producer!.number, values.length);
        values.push(String(value));
      }
    }
    return values;
  }));
}

/** More messages of others in each partition than anybody looks back over. */
async function crowd(log: Transport): Promise<void> {
  const others = Array.from({ length: 70_000 }, () => ({ key: null, value: "{}" }));
  for (const partition of [0, 1]) await log.append(TOPICS.raw, partition, others);
}

const market = (seed: number, faults = 0.1) => ["--symbols", "8", "--faults", String(faults), "--seed", String(seed)];

Deno.test("a first run that fell is gone on with as the market that it was, and as no other", strict, async () => {
  const { data, log } = await tape();
  await fall(simulate, data, log, 1, "--ticks", "2000", ...market(1));
  const begun = await made(log, /^simulate$/);
  for (const args of [market(2), ["--symbols", "9", "--faults", "0.1"], market(1, 0.2)]) {
    await assert.rejects(run(simulate, data, "--ticks", "3000", ...args), (error: unknown) => {
      assert.match(error instanceof Misuse ? error.message : String(error), /^Cannot simulate .*, must be the same/);
      return true;
    });
  }
  assert.deepEqual(await made(log, /^simulate$/), begun);
  await run(simulate, data, "--ticks", "3000", ...market(1));
  const whole = await tape();
  await run(simulate, whole.data, "--ticks", "3000", ...market(1));
  assert.deepEqual(await made(log, /^simulate$/), await made(whole.log, /^simulate$/));
});

Deno.test("a run with another share of faults that fell is gone on with by that share", strict, async () => {
  const { data, log } = await tape();
  await run(simulate, data, "--ticks", "500", ...market(1));
  await fall(simulate, data, log, 1, "--ticks", "500", ...market(1, 0.2));
  await assert.rejects(run(simulate, data, "--ticks", "500", ...market(1)), /a run with faults 0.2 was interrupted/);
  await run(simulate, data, "--ticks", "500", ...market(1, 0.2));
  await run(simulate, data, "--ticks", "500", ...market(1));
  await made(log, /^simulate$/);
});

Deno.test("what simulate had appended is found behind any number of others' messages", strict, async () => {
  const { data, log } = await tape();
  await run(simulate, data, "--ticks", "500", ...market(1));
  await fall(simulate, data, log, 1, "--ticks", "500", ...market(1));
  const begun = await made(log, /^simulate$/);
  await crowd(log);
  await run(simulate, data, "--ticks", "500", ...market(1));
  assert.deepEqual(await made(log, /^simulate$/), begun);
});

Deno.test("what ingest had appended is found behind any number of others' messages", strict, async () => {
  const capture = new URL("../testdata/venue/binance/trades.jsonl", import.meta.url).pathname;
  const { data, log } = await tape();
  await fall(ingest, data, log, 1, "--from", capture);
  const begun = await made(log, /^ingest-/);
  assert.ok(begun.flat().length > 0);
  await crowd(log);
  await run(ingest, data, "--from", capture);
  assert.deepEqual(await made(log, /^ingest-/), begun);
});
