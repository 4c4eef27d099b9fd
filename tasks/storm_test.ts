/** The law under storms: a taste of what `deno task storm` does at length, and that it catches what it is for. */
import assert from "@std/assert";
import ingest from "../cmd/ingest.ts";
import simulate from "../cmd/simulate.ts";
import { perform } from "../lib/stage.ts";
import { settingOf } from "../testdata/flow.ts";
import { Incarnation, type Swap } from "./storm/incarnation.ts";
import { Breeze, Swarm, Sweep } from "./storm/plan.ts";
import { round } from "./storm/round.ts";
import { InMemory } from "./storm/tape.ts";

const strict = { sanitizeOps: true, sanitizeResources: true } as const;
const SEEDS = 30;

for (const fate of ["kill after", "power cut after"] as const) {
  Deno.test(`a ${fate} an operation loses nothing and repeats nothing`, strict, async () => {
    // Every third one here; `deno task storm` leaves none out.
    for (let at = 1, struck = true; struck; at += 3) {
      const plan = new Sweep(at, fate);
      const { wrong } = await round(plan);
      assert.deepEqual(wrong, [], plan.faults.join());
      struck = plan.faults.length > 0;
    }
  });
}

Deno.test(
  "failures, kills, zombies and copies at random operations lose nothing and repeat nothing",
  strict,
  async () => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const { wrong } = await round(new Swarm(seed));
      assert.deepEqual(wrong, [], `seed ${seed}`);
    }
  },
);

Deno.test("swarms leave out offsets and let clocks jump, each its own", () => {
  const swarms = Array.from({ length: SEEDS }, (_, i) => new Swarm(i + 1));
  assert.deepEqual([...new Set(swarms.map(({ holes }) => holes))].sort(), [0, 3, 7]);
  const looks = swarms.map((swarm) => new Set(Array.from({ length: 20 }, () => swarm.now())).size);
  assert.ok(looks.some((n) => n === 1) && looks.some((n) => n > 2), String(looks));
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

Deno.test("sink-hot stores no row before the records that it comes from are durable", strict, async () => {
  for (let seed = 1; seed <= SEEDS; seed++) {
    const plan = new Breeze(seed);
    assert.deepEqual((await round(plan)).wrong, []);
    // By partition, batches that are durable and were not stored yet.
    const durable = new Map<string, number>();
    for (const deed of plan.deeds) {
      const [, verb, place] = /^sink-hot (sync|apply) (\S+)/.exec(deed) ?? [];
      if (verb === undefined) continue;
      const left = (durable.get(place!) ?? 0) + (verb === "sync" ? 1 : -1);
      assert.ok(left >= 0, `seed ${seed}: ${deed}`);
      durable.set(place!, left);
    }
    assert.ok(durable.size > 0);
  }
});

Deno.test("sink-hot acknowledges no batch before its rows are stored", strict, async () => {
  for (let seed = 1; seed <= SEEDS; seed++) {
    const plan = new Breeze(seed);
    assert.deepEqual((await round(plan)).wrong, []);
    // By partition, batches that were stored and not acknowledged yet.
    const stored = new Map<string, number>();
    for (const deed of plan.deeds) {
      const [, verb, place] = /^sink-hot (apply|ack) (\S+)/.exec(deed) ?? [];
      if (verb === undefined) continue;
      const left = (stored.get(place!) ?? 0) + (verb === "apply" ? 1 : -1);
      assert.ok(left >= 0, `seed ${seed}: ${deed}`);
      stored.set(place!, left);
    }
    assert.ok(stored.size > 0);
  }
});

// Without the last line's end its frame comes with the end of the file, and nothing is waited for before the checkpoint.
const CAPTURE = await Deno.makeTempFile({ suffix: ".jsonl" });
const frames = await Deno.readTextFile(new URL("../testdata/venue/binance/trades.jsonl", import.meta.url));
await Deno.writeTextFile(CAPTURE, frames.trimEnd());
addEventListener("unload", () => Deno.removeSync(CAPTURE));
for (const [stage, args] of [[simulate, ["--ticks", "100"]], [ingest, ["--from", CAPTURE]]] as const) {
  const { name } = stage;
  Deno.test(`${name} keeps how far it has come once all of that is in the log and durable`, strict, async () => {
    const never = new AbortController().signal;
    for (let seed = 1; seed <= SEEDS; seed++) {
      const plan = new Breeze(seed), tape = new InMemory(plan.holes);
      const { openers } = new Incarnation(name, "", tape, plan, null);
      const setting = { ...settingOf(stage, "", args), ...tape.urls };
      await perform(stage, setting, () => {}, never, AbortSignal.abort(), openers);
      // Partitions that were appended to since their last sync, or since it was last kept how far that is.
      const unsynced = new Set<string>(), unsaved = new Set<string>();
      for (const deed of plan.deeds) {
        const [, verb, place] = /^\w+ (append|sync|save) (\S+)/.exec(deed) ?? [];
        if (verb === "append") [unsynced, unsaved].forEach((set) => set.add(place!));
        if (verb === "sync") unsynced.delete(place!);
        if (verb !== "save") continue;
        assert.deepEqual([...unsynced], [], `seed ${seed}: ${deed}`);
        unsaved.clear();
      }
      assert.deepEqual([...unsaved], [], `seed ${seed}`);
      assert.ok(plan.deeds.some((deed) => deed.startsWith(`${name} append`)));
    }
  });
}

Deno.test("the same seed strikes the same operations, twice", strict, async () => {
  for (const seed of [3, 6, 81_723]) {
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
