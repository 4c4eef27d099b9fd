/**
 * The log's life under a pipeline: its topics get more partitions, are deleted and made again, or lose their beginning to
 * retention, while stages run and while they are stopped.
 */
import assert from "@std/assert";
import audit from "../cmd/audit.ts";
import ingest from "../cmd/ingest.ts";
import simulate from "../cmd/simulate.ts";
import sinkCold from "../cmd/sink-cold.ts";
import sinkHot from "../cmd/sink-hot.ts";
import validate from "../cmd/validate.ts";
import { Refusal } from "../lib/failure.ts";
import { openHot } from "../lib/hot.ts";
import { openLake } from "../lib/lake.ts";
import { warm } from "../lib/parquet.ts";
import { perform, type Stage } from "../lib/stage.ts";
import { openTransport, TOPICS } from "../lib/transport.ts";
import { addressOf, kafkaOf } from "../lib/transport/kafka/address.ts";
import { flow, places, run, settingOf, withData } from "../testdata/flow.ts";

const kafkaUrl = Deno.env.get("KAFKA_URL");
if (kafkaUrl === undefined) console.log("life of the log on Kafka is skipped, KAFKA_URL is not set");
const world = { now: Date.now, env: () => undefined, report: () => {}, retryForMs: 10_000 };
const doors = { transport: openTransport, hot: openHot, lake: openLake, lookMs: 20 };
const never = new AbortController().signal;
// The engine opens a message port for good, which the first test would be blamed for.
await warm();

/** What an administrator does to a topic behind the stages' backs. */
interface Admin {
  /** Gives the topic this many partitions. */
  widen(topic: string, partitions: number): Promise<void>;
  /** Deletes the topic and makes it again, empty, with two partitions. */
  remake(topic: string): Promise<void>;
}

function embedded(data: string): Admin {
  const path = (topic: string) => `${data}/log/${topic}`;
  return {
    async widen(topic, partitions) {
      const said = JSON.parse(await Deno.readTextFile(`${path(topic)}/topic.json`));
      for (let p = 0; p < partitions; p++) await Deno.mkdir(`${path(topic)}/${p}`, { recursive: true });
      await Deno.writeTextFile(`${path(topic)}/topic.json`, JSON.stringify({ ...said, partitions }));
    },
    async remake(topic) {
      await Deno.rename(path(topic), `${data}/${topic}.gone`);
      const log = await openTransport(`log:${data}/log`, world);
      await log.create(topic, 2);
      await log.close();
    },
  };
}

let tapes = 0;
/** Holds for the embedded log, and for Kafka where there is one; the stores are embedded ones. */
function life(sentence: string, hold: (data: string, admin: Admin) => Promise<void>): void {
  Deno.test(`log: ${sentence}`, () => withData((data) => hold(data, embedded(data))));
  Deno.test({
    name: `kafka: ${sentence}`,
    ignore: kafkaUrl === undefined,
    fn: () =>
      withData(async (data) => {
        const prefix = `life${Deno.pid}-${tapes++}.`;
        places.set(data, { transport: `${kafkaUrl}?prefix=${prefix}`, hot: `sqlite:${data}/hot.db` });
        const admin = kafkaOf(addressOf(kafkaUrl!, world)).admin();
        await admin.connect();
        try {
          await hold(data, {
            async widen(topic, count) {
              await admin.createPartitions({ topicPartitions: [{ topic: prefix + topic, count }] });
              // A new partition has no leader at first, for which the stages here have no patience.
              const log = await openTransport(`${kafkaUrl}?prefix=${prefix}`, world);
              await log.ranges(topic);
              await log.close();
            },
            async remake(topic) {
              await admin.deleteTopics({ topics: [prefix + topic] });
              const log = await openTransport(`${kafkaUrl}?prefix=${prefix}`, world);
              await log.create(topic, 2);
              await log.close();
            },
          });
        } finally {
          const topics = (await admin.listTopics()).filter((topic) => topic.startsWith(prefix));
          await admin.deleteTopics({ topics });
          await admin.disconnect();
        }
      }),
  });
}

const refused = (says: RegExp) => (error: unknown) => {
  assert.match(error instanceof Refusal ? error.message : `no refusal: ${error}`, says);
  return true;
};

/** A stage that runs until it falls; resolves once it has made some progress. */
async function running(stage: Stage, data: string, args: readonly string[] = []): Promise<{ fall: Promise<unknown> }> {
  const moved = Promise.withResolvers<void>();
  const setting = { ...settingOf(stage, data, args), retryForMs: 30_000 };
  const fall = perform(
    stage,
    setting,
    (word) => word.word === "progress" && word.progress.moved > 0 && moved.resolve(),
    never,
    never,
    doors,
  );
  // Nobody listens to it before it falls.
  fall.catch(() => {});
  await Promise.race([moved.promise, fall]);
  return { fall };
}

const market = ["--symbols", "8", "--faults", "0.02"];
const RUNNING: readonly (readonly [Stage, string, readonly string[]])[] = [
  [simulate, TOPICS.raw, ["--ticks", "0", "--rate", "1000", ...market]],
  [validate, TOPICS.raw, []],
  [sinkHot, TOPICS.rejected, []],
  [sinkCold, TOPICS.valid, []],
];

for (const [stage, topic, args] of RUNNING) {
  life(`${stage.name} that runs stops when its topic gets more partitions`, async (data, admin) => {
    await run(simulate, data, "--ticks", "1000", ...market);
    await run(validate, data);
    if (stage === validate) await run(simulate, data, "--ticks", "1000", ...market);
    const { fall } = await running(stage, data, args);
    await admin.widen(topic, 4);
    await assert.rejects(
      fall,
      refused(new RegExp(`go on with ${stage.name}: topic "${topic}" has 4 partitions and had 2, .* another tape`)),
    );
  });

  life(`${stage.name} that runs stops when its topic is deleted and made again`, async (data, admin) => {
    await run(simulate, data, "--ticks", "1000", ...market);
    await run(validate, data);
    if (stage === validate) await run(simulate, data, "--ticks", "1000", ...market);
    const { fall } = await running(stage, data, args);
    await admin.remake(topic);
    await assert.rejects(fall, refused(new RegExp(`"(\\S+\\.)?${topic}" was deleted (while it ran|and made again)`)));
  });
}

life("what is judged is drained after partitions were added, and the books of it balance", async (data, admin) => {
  await run(simulate, data, "--ticks", "1000", ...market);
  await run(validate, data);
  for (const topic of Object.values(TOPICS)) await admin.widen(topic, 4);
  const grown = refused(/topic "ticks.raw" has 4 partitions and had 2, must/);
  await assert.rejects(run(validate, data), grown);
  await assert.rejects(run(simulate, data, "--ticks", "10", ...market), grown);
  await run(sinkHot, data);
  await run(sinkCold, data);
  assert.deepEqual((await run(audit, data)).findings, []);
});

life("partitions of one topic alone stop validate and no audit", async (data, admin) => {
  await run(simulate, data, "--ticks", "1000", ...market);
  await flow(data);
  await admin.widen(TOPICS.raw, 4);
  await assert.rejects(run(validate, data), refused(/have 4, 2 and 2 partitions, must have the same number/));
  assert.deepEqual((await run(audit, data)).findings, []);
});

life("whoever was stopped while its topic was made again refuses to go on", async (data, admin) => {
  await Deno.writeTextFile(`${data}/capture`, CAPTURE);
  await run(ingest, data, "--from", `${data}/capture`);
  await run(simulate, data, "--ticks", "1000", ...market);
  await flow(data);
  const another = (topic: string) => refused(new RegExp(`topic "${topic}" was deleted and made again`));
  await admin.remake(TOPICS.rejected);
  await assert.rejects(run(validate, data), another(TOPICS.rejected));
  await assert.rejects(run(sinkHot, data), refused(/sink-hot on partition "ticks.rejected\/[01]": the store was fed/));
  await admin.remake(TOPICS.raw);
  await assert.rejects(run(simulate, data, "--ticks", "10", ...market), another(TOPICS.raw));
  await assert.rejects(run(ingest, data, "--from", `${data}/capture`), another(TOPICS.raw));
});
const CAPTURE = await Deno.readTextFile(new URL("../testdata/frames/binance/trades.jsonl", import.meta.url));
