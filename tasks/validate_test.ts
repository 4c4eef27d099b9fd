/**
 * A `validate` that falls, leaves or is overtaken: what it must have kept by then for whoever goes on.
 */
import assert from "@std/assert";
import simulate from "../cmd/simulate.ts";
import validate from "../cmd/validate.ts";
import { Outage, Refusal } from "../lib/failure.ts";
import { openHot } from "../lib/hot.ts";
import { openLake } from "../lib/lake.ts";
import { perform } from "../lib/stage.ts";
import { type Checkpoint, type LogRecord, openTransport, TOPICS, type Transport } from "../lib/transport.ts";
import { places, run, settingOf } from "../testdata/flow.ts";

const strict = { sanitizeOps: true, sanitizeResources: true } as const;
const world = { now: Date.now, env: () => undefined, report: () => {}, retryForMs: 0 };
const never = new AbortController().signal;
const at_once = AbortSignal.abort();
const market = ["--symbols", "8", "--faults", "0.1"];
let tapes = 0;

/** A tape in memory with this many ticks; `data` names it. */
async function tapeOf(ticks: number): Promise<{ readonly data: string; readonly log: Transport }> {
  const data = `validate-${tapes++}`;
  places.set(data, { transport: `memory:${data}`, hot: "memory:" });
  await run(simulate, data, "--ticks", String(ticks), ...market);
  return { data, log: await openTransport(`memory:${data}`, world) };
}

/** Openers of a log some of whose deeds are others. */
function openersOf(log: Transport, deeds: Partial<Transport>) {
  const door = new Proxy(log, {
    get(door, name: keyof Transport) {
      const deed = deeds[name] ?? door[name];
      return typeof deed === "function" ? deed.bind(door) : deed;
    },
  });
  return { transport: () => Promise.resolve(door), hot: openHot, lake: openLake };
}

/** Lets `validate` judge all that there is and fall before it can save more than its first checkpoint. */
async function fall(data: string, log: Transport): Promise<void> {
  const save = async (stage: string, partition: number, checkpoint: Checkpoint): Promise<void> => {
    const before = await log.load(stage, partition);
    if (before !== null) throw new Outage("it fell before it saved");
    await log.save(stage, partition, checkpoint);
  };
  const openers = openersOf(log, { save });
  await assert.rejects(perform(validate, settingOf(validate, data, []), () => {}, never, at_once, openers), Outage);
}

async function all(log: Transport, topic: string, partition: number): Promise<LogRecord[]> {
  const records: LogRecord[] = [];
  for await (const part of log.read(topic, partition, 0, Infinity)) records.push(...part);
  return records;
}

async function stand(log: Transport): Promise<readonly (number | undefined)[]> {
  return await Promise.all([0, 1].map(async (p) => (await log.load("validate", p))?.nextOffset));
}

const refused = (says: RegExp) => (error: unknown) => {
  assert.match(error instanceof Refusal ? error.message : `no refusal: ${error}`, says);
  return true;
};

/** A `validate` at work that has judged `records`; `leave` tells it to stop and waits until it has. */
async function working(
  data: string,
  log: Transport,
  records: number,
  deeds: Partial<Transport> = {},
  ...args: string[]
): Promise<{
  readonly ended: Promise<unknown>;
  readonly leave: () => Promise<unknown>;
  readonly reached: (records: number) => Promise<unknown>;
}> {
  const over = new AbortController();
  const heard: (() => void)[] = [];
  let received = 0;
  const ended = perform(
    validate,
    settingOf(validate, data, args),
    (word) => {
      if (word.word !== "progress") return;
      received = word.progress.received;
      for (const hear of heard.splice(0)) hear();
    },
    over.signal,
    never,
    openersOf(log, deeds),
  );
  ended.catch(() => {});
  const reached = async (wanted: number): Promise<void> => {
    do {
      const { promise, resolve } = Promise.withResolvers<void>();
      heard.push(resolve);
      await Promise.race([promise, ended]);
    } while (received < wanted);
  };
  await reached(records);
  return {
    ended,
    reached,
    leave() {
      over.abort();
      return ended;
    },
  };
}

Deno.test("a partition that another validate is given is saved before it is left", strict, async () => {
  const { data, log } = await tapeOf(1_000);
  const highs = (await log.ranges(TOPICS.raw)).map(({ high }) => high);
  const first = await working(data, log, highs[0]! + highs[1]!);
  const taken = Promise.withResolvers<readonly [number, number | undefined]>();
  const claim = async (stage: string, partition: number) => {
    const claimed = await log.claim(stage, partition);
    taken.resolve([partition, claimed.checkpoint?.nextOffset]);
    return claimed;
  };
  const second = await working(data, log, 0, { claim });
  const [partition, nextOffset] = await taken.promise;
  assert.equal(nextOffset, highs[partition]);
  await first.leave();
  await second.leave();
  assert.deepEqual(await stand(log), highs);
});

Deno.test("a validate that leaves does not mind who took a partition, and saves the others", strict, async () => {
  const { data, log } = await tapeOf(1_000);
  const highs = (await log.ranges(TOPICS.raw)).map(({ high }) => high);
  const { leave } = await working(data, log, highs[0]! + highs[1]!);
  await log.claim("validate", 0);
  await leave();
  assert.deepEqual(await stand(log), [0, highs[1]]);
});

Deno.test("a validate at work whose partition another has claimed is refused", strict, async () => {
  const { data, log } = await tapeOf(1_000);
  const highs = (await log.ranges(TOPICS.raw)).map(({ high }) => high);
  const { ended } = await working(data, log, highs[0]! + highs[1]!, {}, "--checkpoint-every", "900");
  for (const p of [0, 1]) await log.claim("validate", p);
  await run(simulate, data, "--ticks", "3000", ...market);
  await assert.rejects(ended, refused(/^Cannot save checkpoint "validate\/[01]": epoch 2 holds it/));
});

Deno.test("there is a checkpoint before the first verdict", strict, async () => {
  const { data, log } = await tapeOf(200);
  const openers = openersOf(log, { save: () => Promise.reject(new Outage("it fell before it saved")) });
  await assert.rejects(perform(validate, settingOf(validate, data, []), () => {}, never, at_once, openers), Outage);
  for (const p of [0, 1]) assert.deepEqual(await all(log, TOPICS.valid, p), []);
  await fall(data, log);
  for (const p of [0, 1]) {
    assert.ok((await all(log, TOPICS.valid, p)).length > 0);
    const { nextOffset, state } = (await log.load("validate", p))!;
    const { version, tape } = JSON.parse(state);
    assert.deepEqual([nextOffset, tape[TOPICS.raw]], [0, await log.topic(TOPICS.raw)]);
    const { epoch } = await log.claim("validate", p);
    await log.save("validate", p, { epoch, nextOffset, state: state.replace(`"${version}"`, '"0"') });
  }
  await assert.rejects(run(validate, data), refused(/its state is of rules "0"/));
});

Deno.test("verdicts without a checkpoint are not added to", strict, async () => {
  const { data, log } = await tapeOf(200);
  await log.create(TOPICS.rejected, 2);
  await log.append(TOPICS.rejected, 1, [{ key: null, value: "{}" }]);
  await assert.rejects(run(validate, data), refused(/on "ticks.raw\/1": there are verdicts and no checkpoint/));
});

for (const output of [TOPICS.valid, TOPICS.rejected]) {
  Deno.test(`verdicts beyond a checkpoint are seen though a zombie's stand last in ${output}`, strict, async () => {
    const { data, log } = await tapeOf(1_000);
    await run(validate, data);
    await run(simulate, data, "--ticks", "1000", ...market);
    await fall(data, log);
    // The other output holds nothing new: what is seen is seen in this one.
    const saved = await Promise.all([0, 1].map((p) => log.load("validate", p)));
    for (const [p, checkpoint] of saved.entries()) {
      for (const topic of [TOPICS.valid, TOPICS.rejected]) await log.append(topic, p, [(await all(log, topic, p))[0]!]);
      const { epoch } = await log.claim("validate", p);
      const state = JSON.parse(checkpoint!.state);
      const other = output === TOPICS.valid ? "rejected" : "valid";
      state.written[other].end = (await log.ranges(TOPICS[other]))[p]!.high;
      state.version = "0";
      await log.save("validate", p, { epoch, nextOffset: checkpoint!.nextOffset, state: JSON.stringify(state) });
    }
    await assert.rejects(run(validate, data), refused(/its state is of rules "0"/));
  });
}

Deno.test("verdicts that a zombie put between others are seen, though it was ahead of them", strict, async () => {
  const { data, log } = await tapeOf(500);
  const before = (await log.ranges(TOPICS.raw)).reduce((sum, { high }) => sum + high, 0);
  const { leave, reached } = await working(data, log, before);
  for (const p of [0, 1]) {
    const verdict = JSON.parse(String((await all(log, TOPICS.valid, p))[0]!.value));
    await log.append(TOPICS.valid, p, [{ key: null, value: JSON.stringify({ ...verdict, origin: 1_000_000 }) }]);
  }
  await run(simulate, data, "--ticks", "500", ...market);
  await reached((await log.ranges(TOPICS.raw)).reduce((sum, { high }) => sum + high, 0));
  await leave();
  for (const p of [0, 1]) {
    const { epoch, checkpoint } = await log.claim("validate", p);
    const state = { ...JSON.parse(checkpoint!.state), version: "0" };
    await log.save("validate", p, { ...checkpoint!, epoch, state: JSON.stringify(state) });
  }
  await assert.rejects(run(validate, data), refused(/its state is of rules "0"/));
});

Deno.test("rules of another version go on behind a zombie's repeats", strict, async () => {
  const { data, log } = await tapeOf(1_000);
  await run(validate, data);
  for (const p of [0, 1]) {
    await log.append(TOPICS.valid, p, (await all(log, TOPICS.valid, p)).slice(0, 5));
    const { epoch, checkpoint } = await log.claim("validate", p);
    const state = { ...JSON.parse(checkpoint!.state), version: "0" };
    await log.save("validate", p, { ...checkpoint!, epoch, state: JSON.stringify(state) });
  }
  await run(validate, data);
});
