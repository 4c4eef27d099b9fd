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
import type { Books, Finding } from "../lib/books.ts";
import { Outage, Refusal } from "../lib/failure.ts";
import { openHot } from "../lib/hot.ts";
import { openLake } from "../lib/lake.ts";
import { warm } from "../lib/parquet.ts";
import { perform, type Stage } from "../lib/stage.ts";
import { type Checkpoint, openTransport, TOPICS } from "../lib/transport.ts";
import { addressOf, kafkaOf } from "../lib/transport/kafka/address.ts";
import { trying } from "../testdata/waiting.ts";
import { flow, places, run, settingOf, withData } from "../testdata/flow.ts";

const kafkaUrl = Deno.env.get("KAFKA_URL");
if (kafkaUrl === undefined) console.log("life of the log on Kafka is skipped, KAFKA_URL is not set");
const world = { now: Date.now, env: () => undefined, report: () => {}, retryForMs: 10_000, trying: trying() };
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
  /** What retention does: takes the records of a partition before an offset. */
  expire(topic: string, partition: number, before: number): Promise<void>;
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
    async expire(topic, partition, before) {
      const folder = `${path(topic)}/${partition}`;
      const nameOf = (base: number) => String(base).padStart(20, "0");
      const [{ name: old }] = [...Deno.readDirSync(folder)].filter(({ name }) => name.endsWith(".jsonl")) as [
        Deno.DirEntry,
      ];
      const lines = (await Deno.readTextFile(`${folder}/${old}`)).split("\n").slice(before - parseInt(old));
      // As if a segment had begun there, and the one before it had been removed.
      await Deno.remove(`${folder}/${old}`);
      await Deno.writeTextFile(`${folder}/${nameOf(before)}.jsonl`, lines.join("\n"));
      await Deno.writeTextFile(`${folder}/lock`, nameOf(before));
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
            async expire(topic, partition, before) {
              // Or else it does not know who leads the partition.
              await admin.fetchTopicOffsets(prefix + topic);
              const partitions = [{ partition, offset: String(before) }];
              await admin.deleteTopicRecords({ topic: prefix + topic, partitions });
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

/** A stage that notices nothing would run for ever: then it ends in order, and the test fails. */
const FALL_MS_MAX = 20_000;

/** A stage that runs until it falls; resolves once it has made some progress. */
async function running(stage: Stage, data: string, args: readonly string[] = []): Promise<{ fall: Promise<unknown> }> {
  const moved = Promise.withResolvers<void>();
  const setting = { ...settingOf(stage, data, args), retryForMs: 3_000 };
  // What a Worker's end would end ends here by hand.
  const over = new AbortController();
  let ended: Promise<unknown> = Promise.resolve();
  const watched: Stage = "inspect" in stage ? stage : {
    ...stage,
    run(hands) {
      const work = stage.run(hands);
      ended = work;
      return work;
    },
  };
  const fall = perform(
    watched,
    setting,
    (word) => word.word === "progress" && word.progress.moved > 0 && moved.resolve(),
    AbortSignal.any([over.signal, AbortSignal.timeout(FALL_MS_MAX)]),
    never,
    doors,
  ).finally(async () => {
    over.abort();
    await ended.catch(() => {});
  });
  // Nobody listens to it before it falls.
  fall.catch(() => {});
  await Promise.race([moved.promise, fall]);
  return { fall };
}

const market = ["--symbols", "8", "--faults", "0.1"];
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
const CAPTURE = await Deno.readTextFile(new URL("../testdata/venue/binance/trades.jsonl", import.meta.url));

/** What an audit finds and shows as given up, by stage and place. */
async function audited(
  data: string,
): Promise<{ readonly findings: readonly string[]; readonly gaps: readonly string[] }> {
  const { findings, books, text } = await run(audit, data);
  const given = (books as Books[]).flatMap(({ partition, gaps }) =>
    gaps.map(({ stage, topic, first, last }) => `${stage} ${topic}/${partition} ${first}-${last}`)
  );
  assert.equal((text as string).match(/beyond retention/g)?.length ?? 0, given.length);
  return {
    findings: (findings as Finding[]).map(({ finding, place, first, last }) => `${finding} ${place} ${first}-${last}`),
    gaps: given,
  };
}

life("a sink that retention overtook names what is lost, or gives it up and goes on", async (data, admin) => {
  await run(simulate, data, "--ticks", "1000", ...market);
  await flow(data);
  const [next] = await heldOf(data);
  await run(simulate, data, "--ticks", "1000", ...market);
  await run(validate, data);
  const low = next! + 20;
  await admin.expire(TOPICS.valid, 0, low);
  const lost = refused(
    new RegExp(`"ticks.valid/0": records ${next} to ${low - 1} were deleted before .* --accept-gap`),
  );
  for (const sink of [sinkHot, sinkCold]) await assert.rejects(run(sink, data), lost);
  const range = `ticks.valid/0 ${next}-${low - 1}`;
  const named = await audited(data);
  assert.deepEqual(named.findings.filter((line) => line.startsWith("expired")), [
    `expired ${range}`,
    `expired ${range}`,
  ]);
  await run(sinkHot, data, "--accept-gap");
  await run(sinkCold, data, "--accept-gap");
  assert.deepEqual(await audited(data), { findings: [], gaps: [`sink-hot ${range}`, `sink-cold ${range}`] });
  await run(simulate, data, "--ticks", "500", ...market);
  await flow(data);
  assert.deepEqual((await audited(data)).findings, []);
});

life("a validate that retention overtook names what is lost, or gives it up and goes on", async (data, admin) => {
  await run(simulate, data, "--ticks", "1000", ...market);
  await flow(data);
  const [, judged] = await heldOf(data);
  await run(simulate, data, "--ticks", "1000", ...market);
  const low = judged! + 20;
  await admin.expire(TOPICS.raw, 0, low);
  const range = `ticks.raw/0 ${judged}-${low - 1}`;
  const lost = new RegExp(`validate on "ticks.raw/0": records ${judged} to ${low - 1} were deleted .* --accept-gap`);
  await assert.rejects(run(validate, data), refused(lost));
  assert.ok((await audited(data)).findings.includes(`expired ${range}`));
  await run(validate, data, "--accept-gap");
  await run(sinkHot, data);
  await run(sinkCold, data);
  assert.deepEqual(await audited(data), { findings: [], gaps: [`validate ${range}`] });
  await run(simulate, data, "--ticks", "500", ...market);
  await flow(data);
  assert.deepEqual(await audited(data), { findings: [], gaps: [`validate ${range}`] });
});

life(
  "a pipeline whose every topic was emptied by retention begins behind it, with --accept-gap",
  async (data, admin) => {
    await run(simulate, data, "--ticks", "1000", ...market);
    await run(validate, data);
    await run(simulate, data, "--ticks", "500", ...market);
    const log = await openTransport(settingOf(validate, data, []).transport, world);
    for (const topic of Object.values(TOPICS)) {
      for (const [partition, { high }] of (await log.ranges(topic)).entries()) {
        await admin.expire(
          topic,
          partition,
          high,
        );
      }
    }
    await log.close();
    for (const stage of [validate, sinkHot, sinkCold]) {
      await assert.rejects(run(stage, data), refused(/were deleted before/));
      await run(stage, data, "--accept-gap");
    }
    await run(simulate, data, "--ticks", "500", ...market);
    await flow(data);
    const { findings, gaps } = await audited(data);
    assert.deepEqual([findings, gaps.length], [[], 8]);
  },
);

life("what retention took of one topic after it was applied is no finding", async (data, admin) => {
  await run(simulate, data, "--ticks", "1000", ...market);
  await flow(data);
  await admin.expire(TOPICS.valid, 0, 40);
  await admin.expire(TOPICS.rejected, 1, 2);
  assert.deepEqual(await audited(data), { findings: [], gaps: [] });
});

life("verdicts beyond a lost state stop validate, gap or not", async (data, admin) => {
  await run(simulate, data, "--ticks", "1000", ...market);
  const log = await openTransport(settingOf(validate, data, []).transport, world);
  const unsaved = new Proxy(log, {
    get: (door, name: keyof typeof log) =>
      name === "save"
        ? ((stage, partition, checkpoint) =>
          // The first checkpoint comes before any verdict.
          checkpoint.nextOffset === 0
            ? door.save(stage, partition, checkpoint)
            : Promise.reject(new Outage("it fell before it saved"))) as typeof log.save
        : typeof door[name] === "function"
        ? door[name].bind(door)
        : door[name],
  });
  const fallen = { ...doors, transport: () => Promise.resolve(unsaved) };
  const at_once = AbortSignal.abort();
  await assert.rejects(
    perform(validate, settingOf(validate, data, []), () => {}, never, at_once, fallen),
    /it fell before it saved/,
  );
  await admin.expire(TOPICS.raw, 0, 20);
  await assert.rejects(run(validate, data, "--accept-gap"), refused(/the state up to record 20 is lost/));
});

/** Puts another checkpoint in the place of validate's on partition 0. */
async function resaved(data: string, change: (kept: Checkpoint) => Omit<Checkpoint, "epoch">): Promise<void> {
  const log = await openTransport(settingOf(validate, data, []).transport, world);
  try {
    const { epoch, checkpoint } = await log.claim("validate", 0);
    await log.save("validate", 0, { ...change(checkpoint!), epoch });
  } finally {
    await log.close();
  }
}

life("a log that ends before what was judged of it stops validate", async (data) => {
  await run(simulate, data, "--ticks", "1000", ...market);
  await run(validate, data);
  let high = 0;
  await resaved(data, (kept) => {
    high = kept.nextOffset;
    return { ...kept, nextOffset: high + 1 };
  });
  const short = new RegExp(`"ticks.raw/0": judged up to ${high + 1} but the log ends at ${high}, must reach`);
  await assert.rejects(run(validate, data), refused(short));
});

life("other rules go on from a state that has no verdicts beyond it, and from no other", async (data) => {
  await run(simulate, data, "--ticks", "1000", ...market);
  await run(validate, data);
  let drained: Checkpoint | undefined;
  await resaved(data, (kept) => {
    drained = { ...kept, state: kept.state.replace(/"version":"[^"]*"/, '"version":"0"') };
    return drained;
  });
  await run(simulate, data, "--ticks", "500", ...market);
  await run(validate, data);
  await resaved(data, () => drained!);
  await assert.rejects(run(validate, data), refused(/its state is of rules "0", must be of rules/));
});

/** Where sink-hot stands in the valid ticks of partition 0, and validate in the raw ones. */
async function heldOf(data: string): Promise<readonly number[]> {
  const { transport, hot: url } = settingOf(sinkHot, data, []);
  const [hot, log] = [await openHot(url, world), await openTransport(transport, world)];
  try {
    const place = (await hot.holdings()).find(({ topic, partition }) => topic === TOPICS.valid && partition === 0);
    return [place!.next, (await log.load("validate", 0))!.nextOffset];
  } finally {
    await Promise.all([hot.close(), log.close()]);
  }
}
