import assert from "@std/assert";
import { Outage } from "./failure.ts";
import { defineInspection, defineStage, perform, type Setting } from "./stage.ts";
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
