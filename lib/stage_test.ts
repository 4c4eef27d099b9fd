import assert from "@std/assert";
import { Outage } from "./failure.ts";
import { defineStage, perform, type Setting } from "./stage.ts";
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
