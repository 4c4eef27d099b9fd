/** The law under storms: a taste of what `deno task storm` does at length, and that it catches what it is for. */
import assert from "@std/assert";
import type { Swap } from "./storm/incarnation.ts";
import { Swarm, Sweep } from "./storm/plan.ts";
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
