import assert from "@std/assert";
import { DatabaseSync } from "node:sqlite";
import doctor from "../cmd/doctor.ts";
import simulate from "../cmd/simulate.ts";
import validate from "../cmd/validate.ts";
import { flow, places, run, withData } from "../testdata/flow.ts";
import { type DoorFact, examine, type Facts, type Look, type Position, STAGES } from "./examine.ts";
import { healthText, notesOf, type Problem, problemsOf, type Standing } from "./health.ts";
import { migrationsOf } from "./schema.ts";
import type { Outcome } from "./stage.ts";
import { openTransport } from "./transport.ts";

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
    pid: null,
    committed: null,
  };
}

function factsWith(change: Change<Facts> = {}): Facts {
  const door = (name: string, place: string) => ({
    ...{ door: name, place, isThere: true, version: null, guard: null, openMs: 1, answerMs: 1, failure: null },
  });
  return {
    versions: { deno: "2.9.6" },
    doors: [door("log", "log:data/log"), door("hot", "sqlite:data/hot.db"), door("lake", "file:data/lake")],
    looks: [lookWith({}), lookWith({})],
    rooms: [{ folders: ["data"], free: 5e9, total: 9e9 }],
    skews: {},
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
  const off = (door: string, ms: number) => ({ skews: { [door]: { ms, withinMs: 20 } } });
  for (const door of ["log", "hot"]) {
    assert.deepEqual(found(off(door, -1021)), [`clock: ${door}`]);
    assert.deepEqual(found(off(door, -1020)), []);
  }
});

Deno.test("a place that a living process holds and does not move is told with that process, and not to be joined", () => {
  const held = (pid: number | null) => {
    const { positions } = lookWith({}, 40);
    const validate = positions.validate!.map((position) => ({ ...position, isOwned: true, pid }));
    return factsWith(still(lookWith({ positions: { ...lookWith({}).positions, validate } })));
  };
  const [problem, ...more] = problemsOf(held(4711), BOUNDS);
  assert.deepEqual(more, []);
  assert.deepEqual([problem!.problem, problem!.place], ["held", "validate"]);
  assert.equal(
    problem!.detail,
    "120 records wait in ticks.raw/0 and 1 more, and process 4711 holds them since 2023-11-14T22:13:20.000Z and takes none",
  );
  assert.match(problem!.action, /stopped: kill -CONT 4711; hung: kill -9 4711, then deno task validate$/);
  assert.match(problemsOf(held(null), BOUNDS)[0]!.detail, /and a process holds them since/);
  assert.doesNotMatch(notesOf(held(4711)).join(), /sink-cold/);
});

Deno.test("what the user may not write is a problem where that is certain, and what everybody may is a note", () => {
  const guarded = (mode: number, owner: number, user: number) =>
    factsWith({ doors: [{ ...factsWith().doors[0], guard: { mode, owner, user } }] });
  const problems = (mode: number, owner: number, user: number) =>
    problemsOf(guarded(mode, owner, user), BOUNDS).map(({ detail }) => detail);
  assert.deepEqual(problems(0o555, 7, 7), [
    "mode 0555 of user 7 lets user 7 write nothing, must let who runs the stages",
  ]);
  assert.equal(problems(0o755, 7, 8).length, 1);
  assert.equal(problems(0o577, 7, 7).length, 1);
  for (const [mode, owner, user] of [[0o755, 7, 7], [0o775, 7, 8], [0o000, 7, 0]] as const) {
    assert.deepEqual(problems(mode, owner, user), []);
  }
  assert.deepEqual(notesOf(guarded(0o757, 7, 7)), [
    "every user of this host may write data/log (mode 0757): chmod o-w data/log",
  ]);
});

Deno.test("a store with an older schema is noted, and one with this program's is not", () => {
  const hot = (version: string) =>
    notesOf(factsWith({ versions: { "hot schema": "3" }, doors: [{ ...factsWith().doors[1], version }] }));
  assert.deepEqual(hot("schema 2"), [
    "hot has schema 2 and this program's is schema 3: the next sink-hot brings it there",
  ]);
  assert.deepEqual(hot("schema 3"), []);
});

Deno.test("every problem says what mends it, and text shows it", () => {
  const facts = factsWith({
    ...still(lookWith({}, 40)),
    rooms: [{ folders: ["data"], free: 1, total: 9e9 }],
    skews: { hot: { ms: 5000, withinMs: 1 } },
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
      `disk room: ${data}/log`,
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

Deno.test("a tape is told with its owners, its last commits, its formats and its permissions", async () => {
  await withData(async (data) => {
    const before = Date.now();
    await run(simulate, data, "--ticks", "500");
    await flow(data);
    await Deno.chmod(`${data}/log`, 0o750);
    const { doors, places, text } = await run(doctor, data, "--watch", "0", "--room-min", "0");
    const [log, hot, lake] = doors as DoorFact[];
    assert.deepEqual([log!.version, hot!.version, lake!.version], ["format 1", "schema 5", "format 2"]);
    assert.deepEqual(log!.guard, { mode: 0o750, owner: Deno.uid(), user: Deno.uid() });
    for (const { stage, topic, position } of places as Standing[]) {
      assert.ok(position!.since! >= before, stage);
      assert.equal(position!.isOwned, false, stage);
      assert.ok(position!.epoch! > 0);
      // A file's time may be kept to the second.
      if (topic !== "ticks.rejected") assert.ok(position!.committed! >= before - 1000, stage);
    }
    assert.match(String(text), /stage +place +epoch +owner since +last commit/);
    assert.match(String(text), /log +log:\S+ +format 1 +0750/);
  });
});

Deno.test("a reader that holds its places and takes nothing is found by its process", async () => {
  await withData(async (data) => {
    await run(simulate, data, "--ticks", "500");
    const world = { now: Date.now, env: () => undefined, report: () => {}, retryForMs: 0 };
    const log = await openTransport(`log:${data}/log`, world);
    const stop = new AbortController();
    for (const partition of [0, 1]) await log.claim("validate", partition);
    const batches = log.receive({ topics: ["ticks.raw"], group: "validate", signal: stop.signal });
    await batches[Symbol.asyncIterator]().next();
    const args = ["--watch", "0", "--room-min", "0"];
    const { problems } = await run(doctor, data, ...args);
    const [missing, held, ...more] = problems as Problem[];
    assert.deepEqual([missing!.problem, held!.problem, held!.place, more], ["missing topic", "held", "validate", []]);
    assert.match(held!.detail, new RegExp(`and process ${Deno.pid} holds them since .* and takes none$`));
    stop.abort();
    for await (const _ of batches);
    await log.close();
    assert.deepEqual(problemsIn(await run(doctor, data, ...args)), ["missing topic: log", "stuck: validate"]);
  });
});

/** Every file below a folder, with its bytes. */
async function bytesBelow(folder: string): Promise<Readonly<Record<string, string>>> {
  const found: Record<string, string> = {};
  for await (const { name, isDirectory } of Deno.readDir(folder)) {
    const path = `${folder}/${name}`;
    if (isDirectory) Object.assign(found, await bytesBelow(path));
    else found[path] = new TextDecoder("latin1").decode(await Deno.readFile(path));
  }
  return found;
}

/** The beginning of a record. */
const TORN = '{"crc":"0000';

Deno.test("doctor changes nothing, not even what a crash left and the next stage cuts off", async () => {
  await withData(async (data) => {
    await run(simulate, data, "--ticks", "500");
    await flow(data);
    for await (const { name } of Deno.readDir(`${data}/log/ticks.raw/0`)) {
      if (!name.endsWith(".jsonl")) continue;
      await Deno.writeTextFile(`${data}/log/ticks.raw/0/${name}`, TORN, { append: true });
    }
    const before = await bytesBelow(data);
    const args = ["run", "-A", "cmd/doctor.ts", "--data", data, "--watch", "0", "--room-min", "0"];
    const cwd = new URL("../", import.meta.url);
    const { code, stderr } = await new Deno.Command(Deno.execPath(), { args, cwd }).output();
    assert.equal(code, 0, new TextDecoder().decode(stderr));
    assert.deepEqual((await run(doctor, data, "--watch", "0", "--room-min", "0")).problems, []);
    // SQLite puts its journals, empty, beside a store that it opens.
    const { [`${data}/hot.db-wal`]: journal = "", [`${data}/hot.db-shm`]: _index, ...after } = await bytesBelow(data);
    assert.deepEqual(after, before);
    assert.equal(journal, "");
    await run(validate, data);
    const texts = Object.values(await bytesBelow(`${data}/log/ticks.raw/0`));
    assert.ok(texts.every((text) => !text.endsWith(TORN)), "a stage cuts it");
  });
});

Deno.test("doctor reads a store of an older schema as it is", async () => {
  await withData(async (data) => {
    await run(simulate, data, "--ticks", "500");
    await flow(data);
    const db = new DatabaseSync(`${data}/hot.db`);
    db.exec("alter table sink_offsets drop column updated_at; pragma user_version = 2");
    db.close();
    const { problems, notes, doors } = await run(doctor, data, "--watch", "0", "--room-min", "0");
    assert.deepEqual([problems, (doors as DoorFact[])[1]!.version], [[], "schema 2"]);
    assert.match(String(notes), /hot has schema 2 and this program's is schema 5/);
  });
});

const kafka = Deno.env.get("KAFKA_URL");
const postgres = Deno.env.get("POSTGRES_URL");
if (!kafka || !postgres) {
  console.log("health_test: Kafka and Postgres are not tried, KAFKA_URL and POSTGRES_URL are not both set");
}
Deno.test({
  name: "doctor finds a tape on Kafka and Postgres healthy, clocks included, and then another log",
  ignore: !kafka || !postgres,
  fn: async () => {
    await withData(async (data) => {
      const name = `doctor_${Deno.pid}_${Date.now()}`;
      const given = (url: string, parameter: string) => `${url}${url.includes("?") ? "&" : "?"}${parameter}`;
      const hot = given(postgres!, `schema=${name}`);
      places.set(data, { transport: given(kafka!, `prefix=${name}.`), hot });
      const check = () => run(doctor, data, "--watch", "0", "--room-min", "0");
      for (const _ of ["first", "again"]) {
        const { problems, notes, doors } = await check();
        assert.deepEqual([problems, (doors as DoorFact[])[1]!.isThere], [[], false]);
        assert.match(String(notes), /nothing recorded yet/);
      }
      await run(simulate, data, "--ticks", "2000");
      await flow(data);
      const { problems, skews, places: held, doors } = await check();
      assert.deepEqual(problems, []);
      const clocks = Object.entries(skews as Facts["skews"]);
      assert.deepEqual(clocks.map(([door]) => door), ["log", "hot"]);
      for (const [, { ms }] of clocks) assert.ok(Math.abs(ms) < 60_000);
      for (const { stage, topic, position } of held as Standing[]) {
        assert.ok(position!.since! > 0, stage);
        if (stage === "sink-hot" && topic === "ticks.valid") assert.ok(position!.committed! > 0);
      }
      assert.equal((doors as DoorFact[])[1]!.version, `schema ${migrationsOf("postgres").length}`);
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
