/**
 * Creates the flow's topics, or one of the user's, with an explicit partition count; says what is there already.
 *
 * **Knows** everything.
 */
import { command } from "../lib/crew.ts";
import type { Flags } from "../lib/flag.ts";
import { FRAMES } from "../lib/frames.ts";
import { listener, pause } from "../lib/patience.ts";
import { openTransport, TOPICS } from "../lib/transport.ts";

const ALL: readonly string[] = [...Object.values(TOPICS), FRAMES];
const flags = {
  topic: { kind: "text", value: "NAME", does: "one topic instead of all of the flow's" },
} as const satisfies Flags;

await command({
  name: "prepare",
  does: "creates topics with an explicit partition count",
  flow: "─▶ " + ALL.join(" + "),
  flags,
  examples: ["deno task prepare --transport kafka://localhost:9092 --partitions 8"],
}, async ({ values, say, stop }) => {
  const url = values.transport ?? `log:${values.data}/log`;
  const world = {
    now: Date.now,
    env: (name: string) => Deno.env.get(name),
    report: say,
    retryForMs: values["retry-for"] * 1000,
    trying: { random: Math.random, pause, signal: stop, hear: listener(say, () => {}) },
  };
  const transport = await openTransport(url, world);
  const created: string[] = [];
  try {
    for (const topic of values.topic === undefined ? ALL : [values.topic]) {
      await transport.create(topic, values.partitions);
      created.push(topic);
    }
  } finally {
    await transport.close();
  }
  return {
    text: `${created.join(", ")}: ${values.partitions} partitions each`,
    summary: { topics: created, partitions: values.partitions },
    findings: 0,
  };
});
