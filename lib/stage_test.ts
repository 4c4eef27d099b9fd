import assert from "@std/assert";
import { Misuse, Outage } from "./failure.ts";
import { defineInspection, defineStage, perform, type Progress, type Setting, type Word } from "./stage.ts";
import { TOPICS } from "./transport.ts";

const setting: Setting = {
  ...{ transport: "memory:stage", to: null, hot: "", lake: "", partitions: 1, create: false, retryForMs: 0 },
  ...{ values: {}, env: {} },
};

Deno.test("work in the background that fails ends its stage, though nothing more comes to read", {
  sanitizeOps: true,
  sanitizeResources: true,
}, async () => {
  const stage = defineStage({
    ...{ name: "reader", does: "reads for ever", reads: [TOPICS.raw], writes: [], needs: [], flags: {}, examples: [] },
    async run({ receive, meanwhile }) {
      meanwhile(Promise.reject(new Outage("the store is away")));
      for await (const _ of receive());
      return {};
    },
  });
  const never = new AbortController().signal;
  await assert.rejects(perform(stage, setting, () => {}, never, never), /the store is away/);
});

Deno.test("when work began and moved is told in whole milliseconds", {
  sanitizeOps: true,
  sanitizeResources: true,
}, async () => {
  const stage = defineStage({
    ...{ name: "mover", does: "moves", reads: [], writes: [TOPICS.raw], needs: [], flags: {}, examples: [] },
    async run({ send }) {
      await send(TOPICS.raw, 0, [{ key: null, value: "{}" }]);
      return {};
    },
  });
  const never = new AbortController().signal;
  let last: Progress | null = null;
  await perform(stage, setting, (word) => word.word === "progress" && (last = word.progress), never, never);
  const { began, moved } = last! as Progress;
  assert.ok(began > 0 && Number.isInteger(began) && Number.isInteger(moved), `${began} ${moved}`);
});

Deno.test("where its log is, a stage says once it works with it, and not where it is told what cannot be done", {
  sanitizeOps: true,
  sanitizeResources: true,
}, async () => {
  const common = {
    name: "writer",
    does: "writes",
    reads: [],
    writes: [TOPICS.raw],
    needs: [],
    flags: {},
    examples: [],
  };
  const never = new AbortController().signal;
  const said = async (run: Parameters<typeof defineStage>[0]["run"]): Promise<readonly string[]> => {
    const words: string[] = [];
    const hear = (word: Word): void => void (word.word !== "progress" && words.push(word.word));
    await perform(defineStage({ ...common, run }), setting, hear, never, never).catch(({ name }) => words.push(name));
    return words;
  };
  const message = { key: null, value: "{}" };
  assert.deepEqual(await said(() => Promise.reject(new Misuse("wrong"))), ["Misuse"]);
  assert.deepEqual(await said(() => Promise.resolve({})), ["opened"]);
  const writing = await said(async ({ send, world }) => {
    await send(TOPICS.raw, 0, [message]);
    await send(TOPICS.raw, 0, [message]);
    world.report("written");
    return {};
  });
  assert.deepEqual(writing, ["opened", "report"]);
});

Deno.test("an inspection runs though none of its doors would open, and is shown where they are, and no secret", {
  sanitizeOps: true,
  sanitizeResources: true,
}, async () => {
  const inspection = defineInspection({
    ...{
      name: "visitor",
      does: "looks",
      reads: [TOPICS.raw],
      writes: [],
      needs: ["hot", "lake"],
      flags: {},
      examples: [],
    },
    async inspect({ doors, world, until }) {
      await until(world.now());
      return { ...doors };
    },
  });
  const env = { TAPEDECK_POSTGRES_PASSWORD: "sesame" };
  const shut = { transport: "nothing:a", hot: "nothing:b", lake: "nothing:c" };
  const never = new AbortController().signal;
  assert.deepEqual(await perform(inspection, { ...setting, ...shut, env }, () => {}, never, never), shut);
});
