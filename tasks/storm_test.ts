/** The law under storms: a taste of what `deno task storm` does at length, and that it catches what it is for. */
import assert from "@std/assert";
import type { Swap } from "./storm/incarnation.ts";
import { Breeze, Swarm, Sweep } from "./storm/plan.ts";
import { round } from "./storm/round.ts";

const strict = { sanitizeOps: true, sanitizeResources: true } as const;
const SEEDS = 40;

for (const fate of ["kill after", "power cut after"] as const) {
  Deno.test(`a ${fate} any operation loses nothing and repeats nothing`, strict, async () => {
    for (let at = 1, struck = true; struck; at++) {
      const plan = new Sweep(at, fate);
      const { wrong } = await round(plan);
      assert.deepEqual(wrong, [], plan.faults.join());
      struck = plan.faults.length > 0;
    }
  });
}

Deno.test("failures, kills and zombies at random operations lose nothing and repeat nothing", strict, async () => {
  for (let seed = 1; seed <= SEEDS; seed++) {
    const { wrong } = await round(new Swarm(seed));
    assert.deepEqual(wrong, [], `seed ${seed}`);
  }
});

Deno.test("validate writes no verdict before the raw records that it speaks of are durable", strict, async () => {
  for (let seed = 1; seed <= SEEDS; seed++) {
    const plan = new Breeze(seed);
    assert.deepEqual((await round(plan)).wrong, []);
    // By partition, the raw offset that was received up to, and synced up to.
    const received = new Map<string, number>(), durable = new Map<string, number>();
    for (const deed of plan.deeds) {
      const [, verb, topic, partition, to] =
        /^validate (receive|sync|append) (\S+)\/(\d)(?: to)?(?: (\d+))?/.exec(deed) ?? [];
      if (verb === "receive") received.set(partition!, Number(to));
      if (verb === "sync" && topic === "ticks.raw") durable.set(partition!, received.get(partition!)!);
      if (verb === "append") assert.ok(Number(to) < (durable.get(partition!) ?? 0), `seed ${seed}: ${deed}`);
    }
    assert.ok(durable.size > 0);
  }
});

Deno.test("the same seed strikes the same operations, twice", strict, async () => {
  for (const seed of [3, 7, 81_723]) {
    const [first, second] = [await round(new Swarm(seed)), await round(new Swarm(seed))];
    assert.equal(first.trace, second.trace, `seed ${seed}`);
    assert.deepEqual(first.faults, second.faults);
    assert.ok(first.faults.length > 0);
  }
});

const caught: Readonly<Record<Swap, RegExp>> = {
  "simulate": /raw is \d+, must be \d+/,
  "validate": /Cannot apply origin \d+ .* must name the last one applied|lost/,
  "sink-hot": /missing in hot/,
  "sink-cold": /sink-cold stopped: Cannot apply origin|missing in cold/,
};
for (const [swap, named] of Object.entries(caught) as [Swap, RegExp][]) {
  Deno.test(`a ${swap} that marks its progress before it has written is caught and named`, strict, async () => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const { wrong } = await round(new Swarm(seed), swap);
      if (wrong.some((line) => named.test(line))) return;
    }
    assert.fail(`${SEEDS} seeds did not catch it`);
  });
}
