import assert from "@std/assert";
import doctor from "../cmd/doctor.ts";
import simulate from "../cmd/simulate.ts";
import validate from "../cmd/validate.ts";
import { flow, places, run, withData } from "../testdata/flow.ts";
import { examine, type Facts, type Look, type Position, STAGES } from "./examine.ts";
import { healthText, notesOf, type Problem, problemsOf } from "./health.ts";
import type { Outcome } from "./stage.ts";

const BOUNDS = { roomMin: 1e9, skewMsMax: 1000 };
const TOPICS = ["ticks.raw", "ticks.valid", "ticks.rejected"];

type Change<T> = { [K in keyof T]?: unknown };

/** A look at two partitions where every stage has done all that the log holds, but for what a test changes. */
function lookWith(change: Change<Look>, next = 100): Look {
  const topics = Object.fromEntries(
    TOPICS.map((name) => [name, { identity: `log/${name}`, ranges: [{ low: 0, high: 100 }, { low: 0, high: 100 }] }]),
  );
  const positions = Object.fromEntries(STAGES.map(({ stage, topics }) => [
    stage,
    topics.flatMap((topic) => [0, 1].map((partition) => positionWith(stage, topic, partition, next))),
  ]));
  return { positions, topics, ...change } as Look;
}

function positionWith(stage: string, topic: string, partition: number, next: number): Position {
  const isOwned = stage === "sink-cold" ? false : null;
  return {
    topic,
    partition,
    epoch: 7,
    since: 1_700_000_000_000,
    identity: `log/${topic}`,
    next,
    resume: next,
    isOwned,
  };
}

function factsWith(change: Change<Facts> = {}): Facts {
  const door = (name: string, place: string) => ({
    ...{ door: name, place, isThere: true, openMs: 1, answerMs: 1, failure: null },
  });
  return {
    versions: { deno: "2.9.6" },
    doors: [door("log", "log:data/log"), door("hot", "sqlite:data/hot.db"), door("lake", "file:data/lake")],
    looks: [lookWith({}), lookWith({})],
    rooms: [{ folders: ["data"], free: 5e9, total: 9e9 }],
    skew: null,
    ...change,
  } as Facts;
}

/** One look twice: what was not moved by the time of the second one. */
const still = (look: Look): Change<Facts> => ({ looks: [look, look] });

/** The problems' names and places. */
function found(change: Change<Facts>): string[] {
  return problemsOf(factsWith(change), BOUNDS).map(({ problem, place }) => `${problem}: ${place}`);
}

const problemsIn = (outcome: Outcome): string[] =>
  (outcome.problems as Problem[]).map(({ problem, place }) => `${problem}: ${place}`);

Deno.test("an installation that has done all there is to do has no problem", () => {
  assert.deepEqual(found({}), []);
  assert.match(healthText(factsWith(), []), /healthy: no problem was found$/);
});

Deno.test("what waited while somebody watched is stuck once a stage, and what moved is not", () => {
  assert.deepEqual(found(still(lookWith({}, 40))), ["stuck: validate", "stuck: sink-hot", "stuck: sink-cold"]);
  assert.deepEqual(found({ looks: [lookWith({}, 40), lookWith({}, 41)] }), []);
  const [first] = problemsOf(factsWith(still(lookWith({}, 40))), BOUNDS);
  assert.equal(first!.detail, "120 records wait in ticks.raw/0 and 1 more, and nobody takes them");
  assert.equal(first!.action, "deno task validate");
});

Deno.test("a unit in the hands of a living sink is not stuck, and a note tells of it", () => {
  const { positions } = lookWith({}, 40);
  const cold = (isOwned: boolean) => positions["sink-cold"]!.map((position) => ({ ...position, isOwned }));
  const look = (isOwned: boolean) =>
    still(lookWith({ positions: { ...lookWith({}).positions, "sink-cold": cold(isOwned) } }));
  assert.deepEqual(found(look(false)), ["stuck: sink-cold"]);
  assert.deepEqual(found(look(true)), []);
  assert.match(notesOf(factsWith(look(true))).join(), /holds a unit in hand/);
});

Deno.test("records that nobody ever took are stuck, unless their stage's door did not answer", () => {
  const { positions } = lookWith({});
  assert.deepEqual(found(still(lookWith({ positions: { ...positions, "sink-hot": [] } }))), ["stuck: sink-hot"]);
  assert.deepEqual(found(still(lookWith({ positions: { ...positions, "sink-hot": null } }))), []);
});

Deno.test("a store that another log fed is told once a topic, and not told to go on", () => {
  const { positions } = lookWith({}, 40);
  const foreign = positions["sink-hot"]!.map((position) => ({ ...position, identity: "elsewhere" }));
  const look = lookWith({ positions: { ...lookWith({}).positions, "sink-hot": foreign } });
  assert.deepEqual(found(still(look)), ["another log: sink-hot ticks.valid", "another log: sink-hot ticks.rejected"]);
});

Deno.test("a store whose log is gone is told that this one has no such topic", () => {
  const none = Object.fromEntries(TOPICS.map((name) => [name, null]));
  const { positions } = lookWith({});
  const look = lookWith({ topics: none, positions: { ...positions, validate: [], "sink-hot": [] } });
  const [problem, ...more] = problemsOf(factsWith(still(look)), BOUNDS);
  assert.deepEqual(more, []);
  assert.match(problem!.detail, /fed from log "log\/ticks.valid" and this log has no such topic/);
});

Deno.test("a place beyond the log's end or before its beginning is named with its partition", () => {
  const cut = (low: number, high: number) => {
    const { topics } = lookWith({});
    const ranges = [{ low: 0, high: 100 }, { low, high }];
    return still(lookWith({ topics: { ...topics, "ticks.valid": { ...topics!["ticks.valid"], ranges } } }));
  };
  assert.deepEqual(found(cut(0, 99)), [
    "beyond the log: sink-hot ticks.valid/1",
    "beyond the log: sink-cold ticks.valid/1",
  ]);
  assert.deepEqual(found(cut(0, 100)), []);
  assert.deepEqual(found(cut(101, 120)), [
    "before the log: sink-hot ticks.valid/1",
    "before the log: sink-cold ticks.valid/1",
  ]);
  assert.deepEqual(found(cut(100, 100)), []);
});

Deno.test("a missing topic can be prepared, and unequal ones cannot be mended", () => {
  const withRanges = (count: number) => {
    const { topics, positions } = lookWith({});
    const ranges = Array.from({ length: count }, () => ({ low: 0, high: 0 }));
    const rejected = count === 0 ? null : { identity: "log/ticks.rejected", ranges };
    const hot = positions["sink-hot"]!.filter(({ topic }) => topic !== "ticks.rejected");
    return still(
      lookWith({ topics: { ...topics, "ticks.rejected": rejected }, positions: { ...positions, "sink-hot": hot } }),
    );
  };
  const [missing] = problemsOf(factsWith(withRanges(0)), BOUNDS);
  assert.deepEqual([missing!.problem, missing!.action], ["missing topic", "deno task prepare --partitions 2"]);
  assert.deepEqual(found(withRanges(3)), ["unequal partitions: log"]);
  assert.deepEqual(found(withRanges(2)), []);
});

Deno.test("little room and a clock that is off are problems from their bounds on", () => {
  const room = (free: number) => ({ rooms: [{ folders: ["data"], free, total: 9e9 }] });
  assert.deepEqual(found(room(1e9 - 1)), ["disk room: data"]);
  assert.deepEqual(found(room(1e9)), []);
  assert.deepEqual(found({ skew: { ms: -1021, withinMs: 20 } }), ["clock: hot"]);
  assert.deepEqual(found({ skew: { ms: -1020, withinMs: 20 } }), []);
});

Deno.test("every problem says what mends it, and text shows it", () => {
  const facts = factsWith({
    ...still(lookWith({}, 40)),
    rooms: [{ folders: ["data"], free: 1, total: 9e9 }],
    skew: { ms: 5000, withinMs: 1 },
  });
  const problems = problemsOf(facts, BOUNDS);
  assert.equal(problems.length, 5);
  const text = healthText(facts, problems);
  for (const { action } of problems) assert.ok(action !== "" && text.includes(`▶ ${action}`), action);
});

Deno.test("a folder that was never used is no problem, is said, and is not made", async () => {
  await withData(async (data) => {
    const outcome = await run(doctor, data, "--watch", "0", "--room-min", "0");
    assert.deepEqual(outcome.problems, []);
    assert.match(String(outcome.text), /nothing recorded yet/);
    assert.deepEqual([...Deno.readDirSync(data)], []);
  });
});

Deno.test("doctor finds an embedded tape healthy, and then a missing hot store, another log and a broken one", async () => {
  await withData(async (data) => {
    await run(simulate, data, "--ticks", "3000");
    await flow(data);
    const check = () => run(doctor, data, "--watch", "0", "--room-min", "0");
    assert.deepEqual((await check()).problems, []);
    assert.doesNotMatch(String((await check()).text), /nothing recorded yet/);

    await Deno.remove(`${data}/hot.db`);
    assert.deepEqual(problemsIn(await check()), ["stuck: sink-hot"]);
    await Deno.writeTextFile(`${data}/hot.db`, "no database, and as long as one would be: ".repeat(100));
    assert.deepEqual(problemsIn(await check()), ["unreachable: hot"]);
    await Deno.remove(`${data}/hot.db`);

    await Deno.rename(`${data}/log`, `${data}/away`);
    await run(simulate, data, "--ticks", "3000");
    await run(validate, data);
    assert.deepEqual(problemsIn(await check()), ["another log: sink-cold ticks.valid", "stuck: sink-hot"]);

    const segment = `${data}/log/ticks.raw/0/00000000000000000000.jsonl`;
    await Deno.writeTextFile(segment, "not a record\n");
    assert.deepEqual(problemsIn(await check()), ["unreachable: log"]);
  });
});

Deno.test("as a process of its own, doctor may look at its disks, tells problems in JSON, and ends with 3", async () => {
  await withData(async (data) => {
    await run(simulate, data, "--ticks", "100");
    const args = ["run", "-A", "cmd/doctor.ts", "--data", data, "--watch", "0", "--room-min", "999999999", "--json"];
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args,
      cwd: new URL("../", import.meta.url),
    }).output();
    const [told, text] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
    assert.deepEqual(problemsIn(JSON.parse(told!)), [
      "missing topic: log",
      "stuck: validate",
      `disk room: ${data}/log, ${data}`,
    ]);
    assert.match(text!, /3 problems/);
    assert.equal(code, 3);
  });
});

Deno.test("doctor sees verdicts beyond the last checkpoint, and controls at the end as nothing to judge", async () => {
  await withData(async (data) => {
    await run(simulate, data, "--ticks", "500", "--symbols", "1");
    await flow(data);
    await Deno.remove(`${data}/log/checkpoint`, { recursive: true });
    const { problems, places } = await run(doctor, data, "--watch", "0", "--room-min", "0");
    assert.deepEqual(problems, []);
    const behind = (places as { stage: string; behind: number }[]).map(({ behind }) => behind);
    assert.deepEqual(behind, Array(8).fill(0));
  });
});

Deno.test("doors that nothing answers are one problem each, without a secret, and the lake is looked at all the same", async () => {
  const lines: string[] = [];
  const world = {
    now: Date.now,
    env: () => undefined,
    report: (line: string) => void lines.push(line),
    retryForMs: 2000,
  };
  await withData(async (data) => {
    const urls = {
      transport: "kafka://user:sesame@127.0.0.1:1?sasl=plain&insecure=true&prefix=mine.",
      hot: "postgres://market:sesame@127.0.0.1:1/market?schema=mine",
      lake: `file:${data}`,
    };
    const facts = { versions: {}, ...await examine(urls, world, () => Promise.resolve()) };
    const problems = problemsOf(facts, { ...BOUNDS, roomMin: 0 });
    assert.deepEqual(problems.map(({ problem, place }) => `${problem}: ${place}`), [
      "unreachable: log",
      "unreachable: hot",
    ]);
    assert.deepEqual(facts.doors.map(({ place }) => place), [
      "kafka://127.0.0.1:1?prefix=mine.",
      "postgres://127.0.0.1:1/market?schema=mine",
      `file:${data}`,
    ]);
    assert.deepEqual(lines, [], "nothing is tried again");
    assert.doesNotMatch(JSON.stringify([facts, problems]) + healthText(facts, problems), /sesame/);
  });
});

const kafka = Deno.env.get("KAFKA_URL");
const postgres = Deno.env.get("POSTGRES_URL");
Deno.test({
  name: "doctor finds a tape on Kafka and Postgres healthy, clocks included, and then another log",
  ignore: !kafka || !postgres,
  fn: async () => {
    await withData(async (data) => {
      const name = `doctor_${Deno.pid}_${Date.now()}`;
      const given = (url: string, parameter: string) => `${url}${url.includes("?") ? "&" : "?"}${parameter}`;
      const hot = given(postgres!, `schema=${name}`);
      places.set(data, { transport: given(kafka!, `prefix=${name}.`), hot });
      await run(simulate, data, "--ticks", "2000");
      await flow(data);
      const check = () => run(doctor, data, "--watch", "0", "--room-min", "0");
      const { problems, skew } = await check();
      assert.deepEqual(problems, []);
      assert.ok(Math.abs((skew as { ms: number }).ms) < 60_000);
      places.set(data, { transport: given(kafka!, `prefix=${name}_other.`), hot });
      await run(simulate, data, "--ticks", "2000");
      await run(validate, data);
      assert.deepEqual(problemsIn(await check()), [
        "another log: sink-hot ticks.valid",
        "another log: sink-hot ticks.rejected",
        "another log: sink-cold ticks.valid",
      ]);
    });
  },
});
