/** Trying again: how long, how often, until when, and what is said of it. */
import assert from "@std/assert";
import { simulated } from "../testdata/waiting.ts";
import { Misuse, Outage } from "./failure.ts";
import { listener, ofDisk, Patience, pause } from "./patience.ts";

const strict = { sanitizeOps: true, sanitizeResources: true } as const;
const outage = new Outage("Cannot write: no room, must have room");
const passing = () => ({ error: outage, passes: true });

Deno.test("pauses are of full jitter, grow, and stop growing at a ceiling", strict, async () => {
  for (const random of [0, 0.5, 0.999]) {
    const { world, waits } = simulated(600_000, random);
    await assert.rejects(new Patience("log", world, passing).persist(() => Promise.reject(outage)), outage);
    const bounds = [50, 100, 200, 400, 800, 1600, 3200, 5000, 5000];
    assert.deepEqual(waits.slice(0, 9), bounds.map((bound) => 1 + Math.floor(random * bound)));
    assert.equal(waits.reduce((sum, ms) => sum + ms), 600_000);
  }
});

Deno.test(
  "a store that is away for an hour is waited for, with one line when it goes and one when it is back",
  strict,
  async () => {
    const hour = 3_600_000;
    const { world, lines, waits } = simulated(2 * hour);
    const act = () => world.now() < hour ? Promise.reject(outage) : Promise.resolve("done");
    assert.equal(await new Patience("postgres", world, passing).persist(act), "done");
    assert.ok(waits.length > 1000 && waits.length < 2000, String(waits.length));
    assert.deepEqual(lines, [
      "Cannot write: no room, must have room; trying again for 7200 s",
      `postgres serves again after ${Math.round(world.now() / 1000)} s`,
    ]);
  },
);

Deno.test("what does not pass is thrown at once, and so is everything where nobody may wait", strict, async () => {
  const { world, waits } = simulated(60_000);
  const bug = new TypeError("a bug");
  const persist = (patience: Patience) => patience.persist(() => Promise.reject(bug));
  await assert.rejects(persist(new Patience("log", world, (error) => ({ error, passes: false }))), bug);
  await assert.rejects(persist(new Patience("log", { ...world, retryForMs: 0 }, passing)), outage);
  const { trying: _trying, ...impatient } = world;
  await assert.rejects(persist(new Patience("log", impatient, passing)), outage);
  assert.deepEqual(waits, []);
});

Deno.test("a stage that is asked to stop tries once more and gives up", strict, async () => {
  const simulation = simulated(60_000);
  simulation.onWait = (count) => count === 3 && simulation.stop.abort();
  let tries = 0;
  const act = () => (tries++, Promise.reject(outage));
  await assert.rejects(new Patience("kafka", simulation.world, passing).persist(act), outage);
  assert.deepEqual([tries, simulation.waits.length, simulation.lines.length], [4, 3, 1]);
});

Deno.test("an abort of the caller ends the wait, with the caller's reason", strict, async () => {
  const simulation = simulated(60_000);
  const abort = new AbortController();
  simulation.onWait = () => abort.abort(new Outage("closed"));
  const patience = new Patience("postgres", simulation.world, passing);
  await assert.rejects(patience.persist(() => Promise.reject(outage), abort.signal), /closed/);
  assert.equal(simulation.waits.length, 1);
});

Deno.test("several who wait for one door are one wait to the user, and each try is counted", strict, () => {
  const lines: string[] = [];
  const levels: boolean[] = [];
  let tries = 0;
  const hear = listener((line) => lines.push(line), (_door, more, isWaitedFor) => {
    tries += more;
    levels.push(isWaitedFor);
  });
  hear({ door: "lake", step: "begins", line: "no room" });
  hear({ door: "lake", step: "begins", line: "no room" });
  hear({ door: "lake", step: "goes on", line: "no room" });
  hear({ door: "lake", step: "is over", line: "lake serves again" });
  hear({ door: "lake", step: "is over", line: "lake serves again" });
  assert.deepEqual(lines, ["no room", "lake serves again"]);
  assert.deepEqual([tries, levels], [3, [true, true, true, true, false]]);
});

Deno.test("room may come; leave to write, a failing disk and a bug do not pass", strict, () => {
  const of = (code: string) => ofDisk("write", Object.assign(new Error("x"), { code }));
  for (const code of ["ENOSPC", "EDQUOT"]) assert.ok(of(code).passes && of(code).error instanceof Outage);
  for (const code of ["EROFS", "EACCES"]) assert.ok(!of(code).passes && of(code).error instanceof Misuse);
  for (const code of ["EIO", "EFBIG"]) assert.ok(!of(code).passes && of(code).error instanceof Outage);
  const bug = new TypeError("a bug");
  assert.deepEqual(ofDisk("write", bug), { error: bug, passes: false });
});

Deno.test("a pause ends at its abort and leaves no timer behind", strict, async () => {
  const abort = new AbortController();
  const paused = pause(1_000_000, abort.signal);
  abort.abort();
  await paused;
  await pause(1_000_000, abort.signal);
});
